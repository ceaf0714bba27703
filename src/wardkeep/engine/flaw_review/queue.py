"""The queue: what is installed on the fleet held against the advisories, and the difference to what was known put on record.

A case opens when a flaw concerns some host, and ends on a host when a later look shows another version there (fixed), when the
data no longer say so of the same version (withdrawn), or when the host left. What the vendor calls minor is counted, not queued,
unless it is known to be exploited.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from wardkeep.advisories.components import Component
from wardkeep.advisories.coverage import not_covered
from wardkeep.advisories.database import Database
from wardkeep.advisories.matching import WORST, Deadlines, Match, Matcher, State
from wardkeep.advisories.risk import risk_of
from wardkeep.core.errors import Unavailable
from wardkeep.engine.flaw_review.cases import ASSET_FACTS, FACTS, Key, put_changes
from wardkeep.engine.flaw_review.exposure import CLOSED, INSIDE, OPEN, UNKNOWN, widest
from wardkeep.engine.flaw_review.inventory import (
    HostInventory,
    every_place,
    hosts_of,
    is_host,
    is_kept,
    is_scan,
    known_inventories,
)
from wardkeep.engine.folder import open_advisories
from wardkeep.engine.platform import Platform
from wardkeep.store.flaw_tables import flaw_assets, flaw_cases
from wardkeep.store.schema import hosts, settings

STATE = "flaw_review"  # in the settings: what the queue was last made from
FIXED, WITHDRAWN, LEFT = "fixed", "withdrawn", "left"
LISTENS, LISTENS_INSIDE, LISTENS_UNKNOWN = 15.0, 7.0, 7.0  # points of risk
FILTERED = {
    UNKNOWN: "what the packet filter lets in is not known",
    INSIDE: "the packet filter lets in private addresses alone",
    CLOSED: "the packet filter lets nobody in",
}
Listening = tuple[Mapping[str, Mapping[str, str]], int]


@dataclass(frozen=True)
class Refreshed:
    """What a refresh found. `problem` says why it could not be made; then nothing changed. `minor`: called minor by the vendor."""

    problem: str = ""
    opened: int = 0
    joined: int = 0
    fixed: int = 0
    ended: int = 0
    minor: int = 0
    entry: int | None = None


@dataclass
class _Found:
    """A flaw in a package as it is now: by host, with the match that says so."""

    by_host: dict[str, Match] = field(default_factory=dict)


def refresh(platform: Platform, now: datetime | None = None) -> Refreshed:
    """Bring the queue up to the newest looks and advisories. Does nothing when neither changed since the last time."""
    now = now or datetime.now(UTC)
    try:
        db = open_advisories(platform.folder)
    except Unavailable as e:
        return Refreshed(problem=e.without_place)
    with db, platform.store.begin() as connection:
        platform.store.lock(connection, STATE)
        return _refresh(platform, connection, db, now)


def _refresh(platform: Platform, connection: Connection, db: Database, now: datetime) -> Refreshed:
    fleet = set(connection.execute(select(hosts.c.name)).scalars())
    looks = {name: one for name, one in known_inventories(connection).items() if is_kept(name, fleet)}
    made_from = _digest(db, fleet, looks)
    last = connection.execute(select(settings.c.value).where(settings.c.key == STATE)).scalar() or {}
    if last.get("made_from") == made_from:
        return Refreshed(minor=int(last["minor"]))
    every = every_place(connection)
    found, minor = _match(platform, connection, db, looks, every)
    # Where the data do not cover an ecosystem, their silence about a flaw does not end it.
    unsure = {one for one in {component.ecosystem for _, component in every} if not_covered(db, [one], now)}
    changes = _Changes(connection, now, fleet, looks, found, every, unsure)
    cases, assets = changes.made()
    entry = None
    if cases or assets:
        body = {"act": "queue", "built": db.meta["built"], "hosts": len(looks), **changes.counts}
        entry = put_changes(platform, cases, assets, body, connection)
    value = {"made_from": made_from, "minor": minor, "at": now.isoformat(), "built": db.meta["built"]}
    if last:
        where = settings.c.key == STATE
        connection.execute(update(settings).where(where).values(value=value, changed=now))
    else:
        connection.execute(insert(settings).values(key=STATE, value=value, changed=now))
    return Refreshed("", **changes.counts, minor=minor, entry=entry)


def last_refresh(connection: Connection) -> Mapping[str, Any]:
    """`at`, `built` and `minor` of the last refresh; empty before the first."""
    value = connection.execute(select(settings.c.value).where(settings.c.key == STATE)).scalar()
    return value or {}


def _digest(db: Database, fleet: set[str], looks: Mapping[str, HostInventory]) -> str:
    told = [db.meta["built"], str(db.stamp), *sorted(fleet)]
    told += [f"{one.host} {one.digest} {one.exposed}" for _, one in sorted(looks.items())]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _match(
    platform: Platform,
    connection: Connection,
    db: Database,
    looks: Mapping[str, HostInventory],
    every: Sequence[tuple[int, Component]],
) -> tuple[dict[Key, _Found], int]:
    """Each package version is held against its rows once, whatever the number of hosts that have it."""
    matcher = Matcher(db, Deadlines.of(platform.config.numbers))
    hits: list[tuple[int, Match]] = []
    minor: set[Key] = set()
    for number, component in every:
        for match in matcher.matches([component]):
            if match.state is State.IGNORED and not match.kev:
                minor.add((match.id, component.name))
            else:
                hits.append((number, match))
    having = hosts_of(connection, {number for number, _ in hits})
    found: dict[Key, _Found] = {}
    for number, match in hits:
        for host in having.get(number, ()):
            if host in looks:
                one = found.setdefault((match.id, match.component.name), _Found())
                held = one.by_host.get(host)
                if held is None or WORST.index(match.state) < WORST.index(held.state):
                    one.by_host[host] = match
    return found, len(minor - set(found))


class _Changes:
    """What is there now, held against what the tables know."""

    def __init__(
        self,
        connection: Connection,
        now: datetime,
        fleet: set[str],
        looks: Mapping[str, HostInventory],
        found: Mapping[Key, _Found],
        every: Sequence[tuple[int, Component]],
        unsure: set[str],
    ) -> None:
        self.now, self.fleet, self.looks, self.found, self.unsure = now, fleet, looks, found, unsure
        self.counts = {"opened": 0, "joined": 0, "fixed": 0, "ended": 0}
        rows = connection.execute(select(flaw_cases)).mappings()
        self.cases: dict[Key, Mapping[str, Any]] = {(row["flaw"], row["package"]): dict(row) for row in rows}
        # Of a large fleet these are a million rows, of which few change: only what is compared is read of all.
        self.assets: dict[Key, dict[str, tuple[str, str, str]]] = {}
        a = flaw_assets.c
        query = select(a.flaw, a.package, a.host, a.version, a.fixed, a.state).where(a.closed.is_(None))
        for some in connection.execute(query).partitions(
            10_000
        ):  # a call for each row costs as much as the row
            for flaw, package, host, version, fixed, state in some:
                self.assets.setdefault((flaw, package), {})[host] = (version, fixed, state)
        self.connection = connection
        # Only what a case may have ended for is asked about.
        over = {
            key[1]
            for key, rows in self.assets.items()
            if key not in found or not rows.keys() <= found[key].by_host.keys()
        }
        concerned = {number: component for number, component in every if component.name in over}
        numbers = hosts_of(connection, concerned)
        self.versions = {
            (host, component.name, component.version): component.ecosystem
            for number, component in concerned.items()
            for host in numbers.get(number, ())
        }

    def made(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Rows of cases and of assets that changed."""
        cases: list[dict[str, Any]] = []
        assets: list[dict[str, Any]] = []
        for key in sorted(set(self.found) | set(self.assets)):
            one = self.found.get(key, _Found())
            had = self.assets.get(key, {})
            differs = [host for host, match in sorted(one.by_host.items()) if had.get(host) != _facts(match)]
            gone = sorted(had.keys() - one.by_host.keys())
            rows = self._rows(key) if gone or any(host in had for host in differs) else {}
            ended = [self._ended(rows[host]) for host in gone]
            over = [made for made in ended if made is not None]
            assets += over
            assets += [self._asset(key, host, one.by_host[host], rows.get(host)) for host in differs]
            case = self._case(key, one, len(ended) - len(over), over)
            if case is not None:
                cases.append(case)
        return cases, assets

    def _ended(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """An asset that is not among those found any more; None where nobody can say that it ended."""
        host = row["host"]
        ecosystem = self.versions.get((host, row["package"], row["version"]))
        if not is_kept(host, self.fleet) or (is_scan(host) and host not in self.looks):
            how = LEFT
        elif host not in self.looks:
            return None
        elif ecosystem is None:
            how = FIXED
        elif ecosystem in self.unsure:
            return None
        else:
            how = WITHDRAWN
        self.counts["fixed" if how == FIXED else "ended"] += 1
        made = {name: row[name] for name in ("flaw", "package", "host", *ASSET_FACTS)}
        return {**made, "closed": self.looks[host].at if how == FIXED else self.now, "how": how}

    def _rows(self, key: Key) -> dict[str, Mapping[str, Any]]:
        """The open rows of one case, whole."""
        a = flaw_assets.c
        query = select(flaw_assets).where(a.flaw == key[0], a.package == key[1], a.closed.is_(None))
        return {row["host"]: dict(row) for row in self.connection.execute(query).mappings()}

    def _asset(self, key: Key, host: str, match: Match, had: Mapping[str, Any] | None) -> dict[str, Any]:
        if had is None:
            self.counts["joined"] += 1
        opened = had["opened"] if had is not None else self.now
        version, fixed, state = _facts(match)
        made = {"flaw": key[0], "package": key[1], "host": host, "version": version, "fixed": fixed}
        return {**made, "state": state, "opened": opened, "closed": None, "how": ""}

    def _case(
        self,
        key: Key,
        one: _Found,
        stays: int,
        over: Sequence[Mapping[str, Any]],
    ) -> dict[str, Any] | None:
        known = self.cases.get(key)
        is_open = known is not None and known["closed"] is None
        if not one.by_host:
            if not is_open or known is None:
                return None
            if stays:
                return None
            ways = {row["how"] for row in over}
            how = FIXED if FIXED in ways else WITHDRAWN if WITHDRAWN in ways else LEFT
            kept = {name: known[name] for name in ("flaw", "package", *FACTS)}
            closed = max((row["closed"] for row in over), default=self.now)
            return {**kept, "hosts": 0, "closed": closed, "how": how, "anew": False}
        opened = known["opened"] if is_open and known is not None else self.now
        count = len(one.by_host) + stays
        images = sum(not is_host(asset) for asset in one.by_host)
        facts = case_facts(one.by_host.values(), count, images, self._listening(one), opened.date())
        if is_open and known is not None and all(known[name] == value for name, value in facts.items()):
            return None
        if not is_open:
            self.counts["opened"] += 1
        made = {"flaw": key[0], "package": key[1], **facts, "opened": opened, "closed": None, "how": ""}
        return {**made, "anew": not is_open}

    def _listening(self, one: _Found) -> Listening:
        """Host → ports that the package holds there with whom the filter lets in; and of how many hosts that is not known."""
        told, unknown = {}, 0
        for host, match in sorted(one.by_host.items()):
            exposed = self.looks[host].exposed
            if exposed is None:
                unknown += 1
            elif ports := exposed.get(match.component.name):
                # A look of an older version told the ports alone.
                told[host] = {ports: UNKNOWN} if isinstance(ports, str) else ports
        return told, unknown


def _facts(match: Match) -> tuple[str, str, str]:
    return match.component.version, match.fixed, match.state.value


def case_facts(
    matches: Iterable[Match], count: int, images: int, listening: Listening, opened: date
) -> dict[str, Any]:
    """What is kept of a case: the most pressing of its matches speaks for it.

    Its clock starts when the fix was published; without a released fix, on the day it first concerned the fleet: then it is
    the time to decide how to live with it.
    """
    some = sorted(matches, key=lambda one: (WORST.index(one.state), -one.risk.value, one.component.version))
    first = some[0]
    risk = risk_of(
        first.severity,
        first.score if first.score is not None else -1.0,
        kev=bool(first.kev),
        epss=first.epss if first.epss is not None else -1.0,
        ssvc=first.ssvc,
        has_fix=first.state is State.FIX_AVAILABLE,
        more=_exposure(listening, len(some), images),
    )
    told = {
        "aliases": list(first.aliases),
        "summary": first.summary,
        "advisory": first.advisory,
        "published": first.published,
        "severity_source": first.severity_source,
        "score": first.score,
        "epss": first.epss,
        "ssvc": first.ssvc,
        "because": risk.because,
        "why": first.why,
        "fixed": sorted({one.fixed for one in some if one.fixed}),
        "ecosystems": sorted({one.component.ecosystem for one in some}),
        # As JSON gives it back: pairs would differ from what is stored, and every case be written at every change of any.
        "places": sorted(
            [*one] for one in {(one.component.ecosystem, one.component.version) for one in some}
        ),
        "listens": {host: _ports(ports) for host, ports in listening[0].items()},
        "images": images,
    }
    return {
        "state": first.state.value,
        "severity": first.severity,
        "exploited": first.kev,
        "risk": risk.value,
        "since": (
            min(one.since for one in some if one.state is first.state)
            if first.state is State.FIX_AVAILABLE
            else opened
        ).isoformat(),
        "hosts": count,
        "told": dict(
            sorted(told.items())
        ),  # the ledger's order: what is written now and what is told again are alike
    }


def _exposure(listening: Listening, of: int, images: int) -> list[tuple[str, float]]:
    """The widest of what its hosts' filters let in speaks for it; a filter that is not known counts as open."""
    told, unknown = listening
    where = "hosts and images" if images else "hosts"
    by_reach: dict[str, list[Mapping[str, str]]] = {}
    for ports in told.values():
        by_reach.setdefault(widest(ports.values()), []).append(ports)
    if by_reach and (not unknown or widest(by_reach) in (OPEN, UNKNOWN)):
        reach = widest(by_reach)
        some = by_reach[reach]
        shown = sorted({port for ports in some for port, one in ports.items() if one == reach})
        more = f"; {FILTERED[reach]}" if reach != OPEN else ""
        text = f"listens to the network on {len(some)} of {of} {where} ({', '.join(shown[:3])}{more})"
        return [(text, {INSIDE: LISTENS_INSIDE, CLOSED: 0.0}.get(reach, LISTENS))]
    if unknown:
        return [(f"whether it listens is not known on {unknown} of {of} {where}", LISTENS_UNKNOWN)]
    return []


def _ports(ports: Mapping[str, str]) -> str:
    """`443/tcp, 8080/tcp (the packet filter lets nobody in)`."""
    return ", ".join(
        port if reach == OPEN else f"{port} ({FILTERED[reach]})" for port, reach in ports.items()
    )
