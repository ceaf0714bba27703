"""Database engine: a supported version, kept whole, and not open to the world. PostgreSQL so far."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from wardkeep.core.control import Control
from wardkeep.core.findings import Seen, Severity, holds, passes, unsure
from wardkeep.facts.listeners import Listeners
from wardkeep.facts.postgres import Cluster, Postgres
from wardkeep.facts.services import Services

# End of life of each major version: postgresql.org/support/versioning.
POSTGRES_ENDS = {
    10: date(2022, 11, 10),
    11: date(2023, 11, 9),
    12: date(2024, 11, 21),
    13: date(2025, 11, 13),
    14: date(2026, 11, 12),
    15: date(2027, 11, 11),
    16: date(2028, 11, 9),
    17: date(2029, 11, 8),
    18: date(2030, 11, 14),
}
PORTS = {
    1433: "SQL Server",
    1521: "Oracle",
    3306: "MySQL or MariaDB",
    5432: "PostgreSQL",
    5984: "CouchDB",
    6379: "Redis",
    9200: "Elasticsearch",
    11211: "memcached",
    27017: "MongoDB",
}
OTHERS = [
    "mysql",
    "mysqld",
    "mariadb",
    "redis-server",
    "redis",
    "valkey-server",
    "mongod",
    "mongodb",
    "cassandra",
    "couchdb",
    "elasticsearch",
    "opensearch",
    "clickhouse-server",
    "influxdb",
    "memcached",
]

control = Control(
    "database_engine",
    missing=(
        "Engines other than PostgreSQL, and any engine in a container, are seen to run but not judged.",
        "Roles, grants, audit logging and pending updates of the engine are not looked at.",
        "No dump is restored as a drill yet.",
    ),
)
control.cannot_drill("not built")


@control.rule(
    says="Every database engine is a version that still gets security fixes.",
    severity=Severity.HIGH,
    serves={
        "164.308(a)(1)(ii)(B)": "A version without fixes keeps every flaw that is found from now on.",
        "164.308(a)(5)(ii)(B)": "Known flaws of an engine are a way in for malicious code.",
        "164.308(a)(8)": "The version is evaluated against its end of life each day, not once at the installation.",
    },
)
def engines_supported(
    postgres: Postgres, services: Services, listeners: Listeners, today: date
) -> Iterator[Seen]:
    for cluster in in_order(postgres):
        ends = POSTGRES_ENDS.get(cluster.major)
        if ends is None:
            why = f"PostgreSQL {cluster.major}: no end of support is known to this version of Wardkeep"
            yield unsure(
                cluster.subject, why, "Upgrade Wardkeep, or look at postgresql.org/support/versioning."
            )
        else:
            seen = f"PostgreSQL {cluster.major}, supported until {ends}"
            yield holds(today <= ends, cluster.subject, seen, "Move to a newer major version.")
    yield from not_judged(postgres, services, listeners)


engines_supported.cannot_mend("a major upgrade needs a rehearsal and a window that a person chooses")


@control.rule(
    says="No database can be reached from just any address.",
    severity=Severity.HIGH,
    serves={
        "164.308(a)(1)(ii)(B)": "An engine that only its applications can reach is exposed to far fewer attackers."
    },
)
def engines_not_open(listeners: Listeners) -> Iterator[Seen]:
    found = {(s.port, str(s)): s for s in listeners.sockets if s.protocol == "tcp" and s.port in PORTS}
    if not found:
        yield passes("host", "no usual port of a database engine is listened on")
    for port in sorted({key[0] for key in found}):
        sockets = [s for key, s in sorted(found.items()) if key[0] == port]
        wide = [
            s
            for s in sockets
            if (s.address is None and not s.interface) or (s.address and s.address.is_global)
        ]
        seen = f"{PORTS[port]}: " + "; ".join(map(str, sockets))
        todo = "Let the engine listen on loopback or on one inner address (`listen_addresses`, `bind`)."
        yield holds(not wide, f"port:tcp/{port}", seen, todo)


engines_not_open.cannot_mend("which address the applications use is known to the operator")


@control.rule(
    says="The engine notices damaged pages and loses no commit it has confirmed.",
    severity=Severity.MEDIUM,
    serves={
        "164.312(c)(1)": "Checksums and flushed commits are what protects records from silent alteration and loss.",
        "164.308(a)(7)(ii)(A)": "A backup of pages that were damaged unseen is no exact copy of the data.",
    },
)
def engine_keeps_data_whole(postgres: Postgres, services: Services, listeners: Listeners) -> Iterator[Seen]:
    yield from not_judged(postgres, services, listeners)
    for cluster in in_order(postgres):
        if not cluster.online:
            yield unsure(
                cluster.subject, "is down, so it cannot be asked", "Start it, or drop it if nobody needs it."
            )
            continue
        wanted = ("fsync", "full_page_writes", "data_checksums")
        off = [name for name in wanted if cluster.get(name) != "on"]
        seen = ", ".join(f"{name} = {cluster.get(name)}" for name in wanted)
        todo = "Turn on " + ", ".join(off) + "; checksums by `pg_checksums --enable` while it is stopped."
        yield holds(not off, cluster.subject, seen, todo)


engine_keeps_data_whole.cannot_mend("these settings need the engine stopped; a person chooses when")


@control.rule(
    says="The engine asks for modern passwords, and encrypts what leaves the host.",
    severity=Severity.MEDIUM,
    serves={
        "164.308(a)(1)(ii)(B)": "Weak password hashes and clear connections are risks the engine can switch off."
    },
)
def engine_asks_for_modern_passwords(
    postgres: Postgres, services: Services, listeners: Listeners
) -> Iterator[Seen]:
    yield from not_judged(postgres, services, listeners)
    for cluster in in_order(postgres):
        if not cluster.online:
            yield unsure(
                cluster.subject, "is down, so it cannot be asked", "Start it, or drop it if nobody needs it."
            )
            continue
        outside = cluster.get("listen_addresses") not in ("", "localhost", "127.0.0.1", "::1")
        good = cluster.get("password_encryption") == "scram-sha-256" and (
            not outside or cluster.get("ssl") == "on"
        )
        names = ("password_encryption", "listen_addresses", "ssl")
        seen = ", ".join(f"{name} = {cluster.get(name)}" for name in names)
        yield holds(good, cluster.subject, seen, "Set password_encryption to scram-sha-256 and ssl to on.")


engine_asks_for_modern_passwords.cannot_mend(
    "clients may still need the old form; a person checks them first"
)


def not_judged(postgres: Postgres, services: Services, listeners: Listeners) -> Iterator[Seen]:
    """Engines that are seen to be here and about which nothing else is known; a pass only if there is no engine at all."""
    others = services.installed(OTHERS)
    for unit in others:
        yield unsure(
            f"service:{unit.name}", f"{unit.name} ({unit.state}) is not looked into", "Look for yourself."
        )
    running = any(unit.runs for unit in others)
    known = {cluster.port for cluster in postgres.clusters if cluster.online}
    strange = {
        s.port: s
        for s in listeners.sockets
        if s.protocol == "tcp" and s.port in PORTS and s.port not in known
    }
    for port in [] if running else sorted(strange):
        why = f"{PORTS[port]} by {strange[port].programs}: no service of this host is known to hold it"
        yield unsure(f"port:tcp/{port}", why, "See whether a container runs the engine.")
    if not postgres.clusters and not others and not strange:
        yield passes(
            "host", "no cluster of PostgreSQL, no service and no listening port of a database engine"
        )


def in_order(postgres: Postgres) -> list[Cluster]:
    return sorted(postgres.clusters, key=lambda cluster: cluster.subject)
