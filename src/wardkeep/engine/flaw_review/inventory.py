"""Which host has which version of which package, kept from look to look; and what of it listens.

A look that could not tell leaves the last one that could: a flaw ends when a look shows that it ended, never by silence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select

from wardkeep.advisories.components import Component
from wardkeep.advisories.database import Database
from wardkeep.advisories.ecosystems import is_vendor
from wardkeep.advisories.versions import NotAVersion
from wardkeep.core.errors import Unavailable
from wardkeep.core.facts import PLATFORM, Snapshot, Unknown
from wardkeep.engine.flaw_review.exposure import Exposed, exposure
from wardkeep.engine.image_packages import content_of, packages_of_image
from wardkeep.engine.inventories import ASKED, inventory_of
from wardkeep.engine.platform import Platform
from wardkeep.facts.container_packages import ContainerPackages, ImagePackages
from wardkeep.store.bulk import insert_tuples, upsert
from wardkeep.store.flaw_tables import installed, inventories, places

SCAN = "scan:"  # before the name of what was kept of `wardkeep vulns scan`
GONE = "gone"  # instead of a digest: a look showed that the image runs there no more
FORGET_AFTER = timedelta(days=30)
Place = tuple[str, str, str, str]  # ecosystem, package, version, archive where it is not the vendor's
UNSEEN: Place = (
    "",
    "",
    "",
    "",
)  # among the packages of an image: it was not looked into for those of its languages


@dataclass(frozen=True)
class HostInventory:
    """The last look at the packages of one asset: a host, an image that runs on one (`HOST/TAG`), or a kept scan (`scan:NAME`).

    `exposed` is None when what listens is not known.
    """

    host: str
    at: datetime
    digest: str
    exposed: Exposed | None


def note_inventories(platform: Platform, snapshots: Sequence[Snapshot]) -> int:
    """Keep what these looks say is installed; returns how many hosts changed."""
    given = [told for one in snapshots for told in (_of_host(one), *_of_images(one)) if told is not None]
    looked = {one.subject: one for one in snapshots if isinstance(_images(one), ContainerPackages)}
    if not given and not looked:
        return 0
    wanted: dict[str, set[Place]] = {}
    with platform.store.begin(rebuildable=True) as connection:
        platform.store.lock(connection, "inventories")
        known = known_inventories(connection)
        rows, told = [], dict[str, set[Place] | None]()
        for asset, at, digest, exposed, packages in [*given, *_gone(connection, known, given, looked)]:
            had = known.get(asset)
            if had is not None and (had.digest, had.exposed) == (digest, exposed):
                continue
            if had is None or had.digest != digest:
                if digest not in told:  # hosts of one kind have the same packages
                    told[digest] = packages()
                found = told[digest]
                if found is None:
                    continue
                wanted[asset] = _with_unseen(connection, asset, found)
            rows.append({"host": asset, "at": at, "digest": digest, "exposed": exposed})
        _replace(connection, wanted)
        upsert(connection, inventories, rows, ("at", "digest", "exposed"))
    return len(wanted)


Told = tuple[str, datetime, str, Exposed | None, Callable[[], set[Place] | None]]  # asset, when, digest, …


def _of_host(snapshot: Snapshot) -> Told | None:
    digest = _digest(snapshot)
    if not digest:
        return None
    return snapshot.subject, snapshot.at, digest, exposure(snapshot), lambda: _packages(snapshot)


def _with_unseen(connection: Connection, asset: str, found: set[Place]) -> set[Place]:
    """Where an image was not looked into, what was known of its language packages stays."""
    if UNSEEN not in found:
        return found
    p = places.c
    held = select(p.ecosystem, p.package, p.version, p.source).join(installed, installed.c.place == p.id)
    had = {(e, n, v, s) for e, n, v, s in connection.execute(held.where(installed.c.host == asset))}
    return (found - {UNSEEN}) | {place for place in had if not is_vendor(place[0])}


def _images(snapshot: Snapshot) -> ContainerPackages | None:
    if ContainerPackages.ask.id not in snapshot.answers or snapshot.problem:
        return None
    found = snapshot.learn(ContainerPackages)
    return None if isinstance(found, Unknown) else found


def _of_images(snapshot: Snapshot) -> Iterator[Told]:
    """The images that run on the host. Of one that has no readable package database, what was known of it stays."""
    by_tag: dict[str, list[ImagePackages]] = {}
    for one in getattr(_images(snapshot), "images", ()):
        by_tag.setdefault(one.tag, []).append(one)
    for tag, images in by_tag.items():
        given = repr([(one.kind, one.release, one.database, content_of(one, snapshot)[0]) for one in images])

        def packages(images: Sequence[ImagePackages] = images) -> set[Place] | None:
            read = [packages_of_image(one, snapshot) for one in images]
            if any(one.problem for one in read):
                return None
            found = places_of(c for one in read for c in one.inventory.components)
            return found | {UNSEEN} if any(one.unseen for one in read) else found

        digest = hashlib.sha256(given.encode()).hexdigest()
        yield image_asset(snapshot.subject, tag), snapshot.at, digest, None, packages


def _gone(
    connection: Connection,
    known: Mapping[str, HostInventory],
    given: Sequence[Told],
    looked: Mapping[str, Snapshot],
) -> list[Told]:
    """Images that ran on these hosts and do not any more: what was wrong with them is over there."""
    here = {asset for asset, *_ in given}
    made: list[Told] = []
    for asset, had in known.items():
        snapshot = looked.get(owner(asset)) if is_image(asset) else None
        if snapshot is None or asset in here:
            continue
        if had.digest != GONE:
            made.append((asset, snapshot.at, GONE, None, set))
        elif had.at < snapshot.at - FORGET_AFTER:
            connection.execute(delete(inventories).where(inventories.c.host == asset))
    return made


def image_asset(host: str, tag: str) -> str:
    """What an image that runs on a host is called."""
    return f"{host}/{tag}"[:253]


def is_scan(asset: str) -> bool:
    return asset.startswith(SCAN)


def is_image(asset: str) -> bool:
    return "/" in asset and not is_scan(asset)


def is_host(asset: str) -> bool:
    return not is_scan(asset) and not is_image(asset)


def owner(asset: str) -> str:
    """The host that an asset is, or runs on."""
    return asset.partition("/")[0]


def is_kept(asset: str, fleet: Container[str]) -> bool:
    """Whether an asset belongs to the fleet: its host does, or it is a scan somebody kept."""
    return is_scan(asset) or owner(asset) in fleet


def put_scan(connection: Connection, name: str, at: datetime, found: Iterable[Sequence[str]]) -> None:
    """Make what a kept scan holds exactly this: ecosystem, package, version and foreign archive of each package."""
    packages = {(e, p, v, s) for e, p, v, s in found}
    digest = hashlib.sha256(repr(sorted(packages)).encode()).hexdigest()
    _replace(connection, {SCAN + name: packages})
    upsert(
        connection,
        inventories,
        [{"host": SCAN + name, "at": at, "digest": digest, "exposed": None}],
        ("at", "digest", "exposed"),
    )


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
    return places_of(found.components)


def places_of(components: Iterable[Component]) -> set[Place]:
    return {(c.ecosystem, c.name, c.version, c.foreign) for c in components}


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
    """The host left the fleet, with the images that ran there; or a kept scan is forgotten."""
    for column in (installed.c.host, inventories.c.host):
        mine = (column == host) | column.startswith(f"{host}/", autoescape=True)
        connection.execute(delete(column.table).where(mine))


def known_inventories(connection: Connection) -> dict[str, HostInventory]:
    return {row.host: HostInventory(*row) for row in connection.execute(select(inventories))}


def every_place(connection: Connection) -> list[tuple[int, Component]]:
    """Each installed package version once, with its number."""
    held = select(installed.c.place).distinct()
    rows = connection.execute(select(places).where(places.c.id.in_(held)))
    return [(row.id, component_of(row)) for row in rows]


def names_installed(connection: Connection) -> dict[str, set[str]]:
    """The names of the packages that something has, by ecosystem."""
    held = select(installed.c.place).distinct()
    p = places.c
    made: dict[str, set[str]] = {}
    for ecosystem, name in connection.execute(
        select(p.ecosystem, p.package).where(p.id.in_(held)).distinct()
    ).all():
        made.setdefault(ecosystem, set()).add(name)
    return made


def hosts_of(connection: Connection, wanted: Iterable[int]) -> dict[int, list[str]]:
    """Place → the hosts that have it."""
    made: dict[int, list[str]] = {}
    numbers = sorted(wanted)
    for start in range(0, len(numbers), 500):
        some = select(installed).where(installed.c.place.in_(numbers[start : start + 500]))
        for number, host in connection.execute(some.order_by(installed.c.host)).all():
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
