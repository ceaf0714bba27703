"""Which host has which version of which package, kept from look to look; and what of it listens.

A look that could not tell leaves the last one that could: a flaw ends when a look shows that it ended, never by silence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select

from wardkeep.advisories.components import Component
from wardkeep.advisories.database import Database
from wardkeep.advisories.versions import NotAVersion
from wardkeep.core.errors import Unavailable
from wardkeep.core.facts import PLATFORM, Snapshot, Unknown
from wardkeep.engine.inventories import ASKED, inventory_of
from wardkeep.engine.platform import Platform
from wardkeep.facts.listener_programs import ListenerPrograms
from wardkeep.facts.listeners import Listeners
from wardkeep.facts.packages import Packages
from wardkeep.store.bulk import insert_tuples, upsert
from wardkeep.store.flaw_tables import installed, inventories, places

Place = tuple[str, str, str, str]  # ecosystem, package, version, archive where it is not the vendor's
Exposed = Mapping[str, str]  # source package → where it listens


@dataclass(frozen=True)
class HostInventory:
    """The last look at one host's packages. `exposed` is None when what listens is not known."""

    host: str
    at: datetime
    digest: str
    exposed: Exposed | None


def note_inventories(platform: Platform, snapshots: Sequence[Snapshot]) -> int:
    """Keep what these looks say is installed; returns how many hosts changed."""
    given = [(one, digest) for one in snapshots if (digest := _digest(one))]
    if not given:
        return 0
    wanted: dict[str, set[Place]] = {}
    with platform.store.begin(rebuildable=True) as connection:
        platform.store.lock(connection, "inventories")
        known = known_inventories(connection)
        rows, told = [], dict[str, set[Place] | None]()
        for snapshot, digest in given:
            had = known.get(snapshot.subject)
            exposed = exposure(snapshot)
            if had is not None and (had.digest, had.exposed) == (digest, exposed):
                continue
            if had is None or had.digest != digest:
                if digest not in told:  # hosts of one kind have the same packages
                    told[digest] = _packages(snapshot)
                packages = told[digest]
                if packages is None:
                    continue
                wanted[snapshot.subject] = packages
            rows.append({"host": snapshot.subject, "at": snapshot.at, "digest": digest, "exposed": exposed})
        _replace(connection, wanted)
        upsert(connection, inventories, rows, ("at", "digest", "exposed"))
    return len(wanted)


def _digest(snapshot: Snapshot) -> str:
    """Of the raw answers, so that a quiet look costs no parsing; "" where they were not asked or did not arrive."""
    if snapshot.subject == PLATFORM or snapshot.problem:
        return ""
    answers = [snapshot.answers.get(kind.ask.id) for kind in ASKED]
    if any(one is None or not one.whole for one in answers):
        return ""
    told = b"\0".join(one.stdout for one in answers if one is not None)
    return hashlib.sha256(told).hexdigest()


def _packages(snapshot: Snapshot) -> set[Place] | None:
    try:
        found = inventory_of(snapshot, snapshot.at.date())
    except Unavailable:
        return None
    return {(c.ecosystem, c.name, c.version, c.foreign) for c in found.components}


def _replace(connection: Connection, wanted: Mapping[str, set[Place]]) -> None:
    """Make what is installed on these hosts exactly this: read what is known of all of them, then write what differs."""
    if not wanted:
        return
    i = installed.c
    had: dict[str, set[int]] = {host: set() for host in wanted}
    names = sorted(wanted)
    for start in range(0, len(names), 500):
        here = select(i.host, i.place).where(i.host.in_(names[start : start + 500]))
        for host, number in connection.execute(here):
            had[host].add(number)
    numbers = _numbers(connection, set().union(*wanted.values()))
    rows = []
    for host in names:
        now = {numbers[place] for place in wanted[host]}
        if gone := sorted(had[host] - now):
            connection.execute(delete(installed).where(i.host == host, i.place.in_(gone)))
        rows += [(number, host) for number in sorted(now - had[host])]
    insert_tuples(connection, installed, ("place", "host"), rows)


def _numbers(connection: Connection, wanted: set[Place]) -> dict[Place, int]:
    """The number of each place; those that were never seen before get theirs now."""
    p = places.c
    kept = select(p.ecosystem, p.package, p.version, p.source, p.id)
    kept = kept.where(p.ecosystem.in_({place[0] for place in wanted}))
    numbers = {(e, n, v, s): int(number) for e, n, v, s, number in connection.execute(kept)}
    if absent := sorted(wanted - set(numbers)):
        insert_tuples(connection, places, ("ecosystem", "package", "version", "source"), absent)
        numbers = {(e, n, v, s): int(number) for e, n, v, s, number in connection.execute(kept)}
    return numbers


def forget_host(connection: Connection, host: str) -> None:
    """The host left the fleet."""
    connection.execute(delete(installed).where(installed.c.host == host))
    connection.execute(delete(inventories).where(inventories.c.host == host))


def exposure(snapshot: Snapshot) -> Exposed | None:
    """Which source packages hold a socket that the network can reach, and where; None when that was not learnt.

    By the program file of each listening process and the package that owns it. Not seen: what sits behind a socket of another
    program (a proxy, systemd), and libraries inside a listening program. No firewall is taken into account.
    """
    if any(kind.ask.id not in snapshot.answers for kind in (Listeners, ListenerPrograms)):
        return None
    listeners, programs = snapshot.learn(Listeners), snapshot.learn(ListenerPrograms)
    packages = snapshot.learn(Packages)
    if isinstance(listeners, Unknown) or isinstance(programs, Unknown) or isinstance(packages, Unknown):
        return None
    source = {one.name.partition(":")[0]: one.source for one in packages.installed}
    owners: dict[str, set[str]] = {}
    for program in programs.programs:
        if program.package in source and not program.elsewhere:
            owners.setdefault(program.name, set()).add(source[program.package])
    found: dict[str, set[str]] = {}
    for socket in listeners.to_the_world():
        for name, _ in socket.holders:
            for package in owners.get(name, ()):
                found.setdefault(package, set()).add(f"{socket.port}/{socket.protocol}")
    return {package: ", ".join(sorted(ports, key=_by_port)) for package, ports in sorted(found.items())}


def _by_port(text: str) -> tuple[int, str]:
    port, _, protocol = text.partition("/")
    return int(port), protocol


def known_inventories(connection: Connection) -> dict[str, HostInventory]:
    return {row.host: HostInventory(*row) for row in connection.execute(select(inventories))}


def every_place(connection: Connection) -> list[tuple[int, Component]]:
    """Each installed package version once, with its number."""
    held = select(installed.c.place).distinct()
    rows = connection.execute(select(places).where(places.c.id.in_(held)))
    return [(row.id, component_of(row)) for row in rows]


def ecosystems_installed(connection: Connection) -> set[str]:
    held = select(installed.c.place).distinct()
    return set(
        connection.execute(select(places.c.ecosystem).where(places.c.id.in_(held)).distinct()).scalars()
    )


def hosts_of(connection: Connection, wanted: Iterable[int]) -> dict[int, list[str]]:
    """Place → the hosts that have it."""
    made: dict[int, list[str]] = {}
    numbers = sorted(wanted)
    for start in range(0, len(numbers), 500):
        some = select(installed).where(installed.c.place.in_(numbers[start : start + 500]))
        for number, host in connection.execute(some.order_by(installed.c.host)):
            made.setdefault(number, []).append(host)
    return made


def affected_by(connection: Connection, db: Database, name: str) -> dict[str, list[Component]]:
    """The hosts that an advisory or flaw (by any of its names) may concern, each with the package versions that make it so."""
    made: dict[str, list[Component]] = {}
    for number in db.numbers(name):
        for ecosystem, package in db.packages_of(number):
            here = (places.c.ecosystem == ecosystem, places.c.package == package)
            found = connection.execute(select(places).where(*here)).all()
            rows = db.package(ecosystem, package) if found else None
            if rows is None:
                continue
            wanted = set(rows.rows_of(number))
            inside = {}
            for one in found:
                try:
                    concerned = not wanted.isdisjoint(rows.affected(one.version))
                except NotAVersion:
                    concerned = True
                if concerned:
                    inside[one.id] = component_of(one)
            for place, hosts in hosts_of(connection, inside).items():
                for host in hosts:
                    made.setdefault(host, []).append(inside[place])
    return made


def component_of(row: Any) -> Component:
    return Component(row.ecosystem, row.package, row.version, foreign=row.source)
