"""The queue: what is installed on the fleet held against the advisories, and the difference to what was known put on record.

A case opens when a flaw concerns some host, and ends on a host when a later look shows another version there (fixed), when the
data no longer say so of the same version (withdrawn), or when the host left. What the vendor calls minor is counted, not queued,
unless it is known to be exploited.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from wardkeep.advisories.components import Component
from wardkeep.advisories.coverage import not_covered
from wardkeep.advisories.database import Database
from wardkeep.advisories.matching import WORST, Deadlines, Match, Matcher, State
from wardkeep.core.errors import Unavailable
from wardkeep.engine.flaw_review.case_facts import Listening, case_facts
from wardkeep.engine.flaw_review.cases import ASSET_FACTS, FACTS, Key, put_changes
from wardkeep.engine.flaw_review.exposure import UNKNOWN
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


@dataclass(frozen=True)
class Refreshed:
    """What a refresh found. `problem` says why it could not be made; then nothing changed. `minor`: called minor by the vendor.
    `reopened`: waived cases whose waiver ended."""

    problem: str = ""
    opened: int = 0
    joined: int = 0
    fixed: int = 0
    ended: int = 0
    minor: int = 0
    entry: int | None = None
    reopened: int = 0


@dataclass
class _Found:
    """A flaw in a package as it is now: by host, with the match that says so. Hosts of one kind share theirs."""

    by_host: dict[str, Match] = field(default_factory=dict)

    def add(self, match: Match, having: Sequence[str]) -> None:
        """Where a host has several versions of the package, the one that presses most speaks for it."""
        new = dict.fromkeys(having, match)
        for host in self.by_host.keys() & new.keys():
            if WORST.index(match.state) >= WORST.index(self.by_host[host].state):
                del new[host]
        self.by_host.update(new)

    @property
    def matches(self) -> list[Match]:
        """Those that speak for some host, each once."""
        return list({id(match): match for match in self.by_host.values()}.values())


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
    names: dict[str, set[str]] = {}
    for _, component in every:
        names.setdefault(component.ecosystem, set()).add(component.name)
    unsure = {one for one, some in names.items() if not_covered(db, {one: some}, now)}
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
    known = {number: [host for host in names if host in looks] for number, names in having.items()}
    for number, match in hits:
        if names := known.get(number):
            found.setdefault((match.id, match.component.name), _Found()).add(match, names)
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
        self.others = {name for name in looks if not is_host(name)}
        self.unheard = {name for name, look in looks.items() if look.exposed is None}
        self.listens: dict[str, dict[str, Mapping[str, str]]] = {}
        for name, look in looks.items():
            for package, ports in (look.exposed or {}).items():
                if ports:
                    # A look of an older version told the ports alone.
                    told = {ports: UNKNOWN} if isinstance(ports, str) else ports
                    self.listens.setdefault(package, {})[name] = told
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
        """What changed: rows of cases, and of assets by the hosts of which the same is true."""
        cases: list[dict[str, Any]] = []
        assets: list[dict[str, Any]] = []
        for key in sorted(set(self.found) | set(self.assets)):
            one = self.found.get(key, _Found())
            had = self.assets.get(key, {})
            differs = _differing(one, had)
            gone = sorted(had.keys() - one.by_host.keys())
            rows = self._rows(key) if gone or any(host in had for host in differs) else {}
            ended = [self._ended(rows[host]) for host in gone]
            over = [made for made in ended if made is not None]
            assets += over
            assets += self._groups(key, one, differs, rows)
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
        made = {name: row[name] for name in ("flaw", "package", *ASSET_FACTS)}
        return {
            **made,
            "hosts": [host],
            "closed": self.looks[host].at if how == FIXED else self.now,
            "how": how,
        }

    def _rows(self, key: Key) -> dict[str, Mapping[str, Any]]:
        """The open rows of one case, whole."""
        a = flaw_assets.c
        query = select(flaw_assets).where(a.flaw == key[0], a.package == key[1], a.closed.is_(None))
        return {row["host"]: dict(row) for row in self.connection.execute(query).mappings()}

    def _groups(
        self, key: Key, one: _Found, differs: Sequence[str], rows: Mapping[str, Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """The hosts where it is new or otherwise than it was, by what is true of them now."""
        groups: dict[tuple[int, datetime], list[str]] = {}
        for host in differs:
            opened = rows[host]["opened"] if host in rows else self.now
            groups.setdefault((id(one.by_host[host]), opened), []).append(host)
        self.counts["joined"] += len(differs) - sum(host in rows for host in differs)
        made = []
        for (_, opened), some in groups.items():
            version, fixed, state = _facts(one.by_host[some[0]])
            asset = {"flaw": key[0], "package": key[1], "version": version, "fixed": fixed, "state": state}
            made.append({**asset, "opened": opened, "closed": None, "how": "", "hosts": some})
        return made

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
        images = len(self.others & one.by_host.keys())
        listening = self._listening(key[1], one)
        facts = case_facts(one.matches, len(one.by_host), count, images, listening, opened.date())
        if is_open and known is not None and all(known[name] == value for name, value in facts.items()):
            return None
        if not is_open:
            self.counts["opened"] += 1
        made = {"flaw": key[0], "package": key[1], **facts, "opened": opened, "closed": None, "how": ""}
        return {**made, "anew": not is_open}

    def _listening(self, package: str, one: _Found) -> Listening:
        """Host → ports that the package holds there with whom the filter lets in; and of how many hosts that is not known."""
        held = self.listens.get(package, {})
        told = {host: held[host] for host in sorted(held.keys() & one.by_host.keys())}
        return told, len(self.unheard & one.by_host.keys())


def _differing(one: _Found, had: Mapping[str, tuple[str, str, str]]) -> list[str]:
    """The hosts of which something else is true than is kept, or nothing is kept yet."""
    if not had:
        return sorted(one.by_host)
    facts = {id(match): _facts(match) for match in one.matches}
    return [host for host in sorted(one.by_host) if had.get(host) != facts[id(one.by_host[host])]]


def _facts(match: Match) -> tuple[str, str, str]:
    return match.component.version, match.fixed, match.state.value
