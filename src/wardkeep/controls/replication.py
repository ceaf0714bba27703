"""Data replication: each database has a second, current copy. PostgreSQL's streaming replication so far."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from wardkeep.core.changes import OnHost, Step
from wardkeep.core.control import Control
from wardkeep.core.findings import Seen, Severity, fails, passes, unsure
from wardkeep.facts.postgres import Cluster, Postgres


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What replication is held to."""

    lag_mib: int = field(
        default=64, metadata={"doc": "a replica is at most this much of the log behind", "unit": "MiB"}
    )


control = Control(
    "replication",
    policy=Policy,
    missing=(
        "Data that is not in PostgreSQL (files, other engines, containers) is not seen to be replicated.",
        "Whether a replica holds the same data, and could take over, is not tried: the drill moves the log but promotes nobody.",
    ),
)


HERE = frozenset({"local", "127.0.0.1", "::1"})  # a second copy on the same disk is lost with the first


@control.rule(
    says="Every PostgreSQL cluster has a replica that keeps up.",
    severity=Severity.HIGH,
    serves={
        "164.308(a)(7)(ii)(A)": "A replica that keeps up is a second exact copy, seconds old.",
        "164.308(a)(7)(ii)(B)": "With a current replica, recovery is a promotion and not a restore of yesterday.",
        "164.312(c)(1)": "Two copies on two machines are not destroyed by the loss of one.",
    },
)
def clusters_replicated(postgres: Postgres, policy: Policy) -> Iterator[Seen]:
    if not postgres.clusters:
        yield unsure(
            "host", "no PostgreSQL is here; whether other data on this host needs a replica nobody has told"
        )
    for cluster in sorted(postgres.clusters, key=lambda c: c.subject):
        yield judge(cluster, policy)


clusters_replicated.cannot_mend("a replica needs another host, which the operator chooses")


def judge(cluster: Cluster, policy: Policy) -> Seen:
    """What is to be said of one cluster."""
    if not cluster.online:
        return unsure(
            cluster.subject, "is down, so it cannot be asked", "Start it, or drop it if nobody needs it."
        )
    if cluster.standby:
        if cluster.receiving:
            return passes(cluster.subject, "is a standby and receives from its primary")
        return fails(
            cluster.subject, "is a standby that receives nothing", "See its log and its primary_conninfo."
        )
    away = [r for r in cluster.replicas if r.address not in HERE]
    close = [r for r in away if r.state == "streaming" and 0 <= r.lag <= policy.lag_mib * 2**20]
    far = [r for r in away if r not in close]
    # Lags differ from look to look; the names are what is told.
    told = "; ".join(
        [
            f"{r.name} at {r.address}: {r.state}, {r.sync}, {r.lag} bytes behind"
            for r in sorted(close + far, key=str)
        ]
    )
    if close:
        return passes(cluster.subject, told)
    if cluster.replicas and not away:
        return fails(
            cluster.subject, "all its replicas are on this very machine", "Set up a standby on another host."
        )
    if far:
        return fails(cluster.subject, told, "See why the replica does not keep up.")
    return fails(cluster.subject, "is a primary without any replica", "Set up a standby on another host.")


# A message in the write-ahead log belongs to no table and leaves nothing behind, yet every replica must receive it.
DRILL = """set -u
ask() { runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -p PORT -d postgres -c "$1"; }
point=$(ask "SELECT pg_logical_emit_message(true, 'wardkeep-drill', 'is anybody there')") || exit 3
ask "SELECT pg_switch_wal()" >/dev/null || exit 3
for try in 1 2 3 4 5 6 7 8 9 10; do
  seen=$(ask "SELECT count(*) FROM pg_stat_replication WHERE NOT client_addr <<= inet '127.0.0.0/8' AND flush_lsn >= '$point'") || exit 3
  [ "$seen" -gt 0 ] && { echo "$seen replicas have it"; exit 0; }
  sleep 1
done
echo "no replica on another machine has it after 10 s"
exit 1
"""


@control.drilled_by
def send_and_see_it_arrive(postgres: Postgres) -> Iterator[Step]:
    for cluster in sorted(postgres.clusters, key=lambda c: c.subject):
        if cluster.online and not cluster.standby:
            yield OnHost(
                f"A message through the log of {cluster.major}/{cluster.name} reaches a replica on another machine",
                DRILL.replace("PORT", str(cluster.port)),
                clusters_replicated.id,
                expect_text="replicas have it",
            )
