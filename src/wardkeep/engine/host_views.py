"""Hosts as people read them. Read only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from wardkeep.controls.matrix import ROWS
from wardkeep.core.facts import PLATFORM
from wardkeep.engine.platform import Platform
from wardkeep.store.schema import hosts, row_days, row_states, runs, tallies

PAGE = 100


@dataclass(frozen=True)
class HostView:
    """A host: how it is reached, when it was last observed, its findings by verdict and how many press most."""

    name: str
    url: str
    jump: str
    distribution: str
    labels: dict[str, str]
    added: datetime | None
    last_observed: datetime | None
    problem: str
    fails: int
    unknowns: int
    passes: int
    critical: int

    @property
    def verdict(self) -> str:
        """Fail before unknown; a host that could not be asked, or never was, is unknown."""
        if self.fails:
            return "fail"
        return "unknown" if self.unknowns or self.problem or not self.passes else "pass"


@dataclass(frozen=True)
class HostPage:
    """`count` hosts match; `after` is the name to go on behind, "" at the end."""

    hosts: tuple[HostView, ...]
    count: int
    after: str


@dataclass(frozen=True)
class HostRow:
    """A row of the matrix on one host."""

    control: str
    title: str
    verdict: str
    passes: int
    fails: int
    unknowns: int
    at: datetime
    entry: int | None


@dataclass(frozen=True)
class RunView:
    """Something that ran on a host."""

    kind: str
    control: str
    started: datetime
    finished: datetime | None
    outcome: str
    summary: str


@dataclass(frozen=True)
class HostDetail:
    """A host in full. `days` is its worst state a day, oldest first."""

    host: HostView
    host_keys: tuple[str, ...]
    rows: tuple[HostRow, ...]
    runs: tuple[RunView, ...]
    days: tuple[tuple[str, str], ...]


def page_hosts(platform: Platform, *, q: str = "", after: str = "", limit: int = PAGE) -> HostPage:
    """Hosts by name, whose names contain `q`, after the name `after`."""
    wanted = [hosts.c.name.contains(q.lower()[:100], autoescape=True)] if q else []
    with platform.store.read() as read:
        count = read.execute(select(func.count()).select_from(hosts).where(*wanted)).scalar_one()
        query = select(hosts).where(*wanted, hosts.c.name > after).order_by(hosts.c.name).limit(limit + 1)
        rows = read.execute(query).all()
        counts = _counts(read, [row.name for row in rows[:limit]])
        seen = _last_observed(read, [row.name for row in rows[:limit]])
    shown = tuple(_view(row, counts.get(row.name, {}), seen.get(row.name)) for row in rows[:limit])
    return HostPage(shown, count, rows[limit - 1].name if len(rows) > limit else "")


def host_detail(platform: Platform, name: str) -> HostDetail | None:
    """One host; None when there is none of this name. `platform` is Wardkeep itself as a subject."""
    with platform.store.read() as read:
        row = read.execute(select(hosts).where(hosts.c.name == name)).one_or_none()
        if row is None and name != PLATFORM:
            return None
        counts, seen = _counts(read, [name]).get(name, {}), _last_observed(read, [name]).get(name)
        view = _view(row, counts, seen) if row is not None else _itself(counts, seen)
        states = {
            s.control: s for s in read.execute(select(row_states).where(row_states.c.host == name)).all()
        }
        ran = read.execute(
            select(runs).where(runs.c.host == name).order_by(runs.c.started.desc()).limit(20)
        ).all()
        days = read.execute(
            select(row_days.c.day, row_days.c.worst).where(row_days.c.host == name).distinct()
        ).all()
    return HostDetail(
        host=view,
        host_keys=tuple(row.host_keys) if row is not None else (),
        rows=tuple(
            HostRow(r.id, r.title, s.worst, s.passes, s.fails, s.unknowns, s.at, s.entry)
            for r in ROWS
            if (s := states.get(r.id))
        ),
        runs=tuple(RunView(r.kind, r.control, r.started, r.finished, r.outcome, r.summary) for r in ran),
        days=_worst_days(days),
    )


def _worst_days(days: Any) -> tuple[tuple[str, str], ...]:
    rank, worst = {"fail": 0, "unknown": 1, "pass": 2}, dict[str, str]()
    for day, verdict in days:
        if day not in worst or rank[verdict] < rank[worst[day]]:
            worst[day] = verdict
    return tuple(sorted(worst.items()))


def _counts(read: Any, names: list[str]) -> dict[str, dict[int, int]]:
    query = (
        select(tallies.c.host, tallies.c.pressing, func.sum(tallies.c.n))
        .where(tallies.c.host.in_(names))
        .group_by(tallies.c.host, tallies.c.pressing)
    )
    found: dict[str, dict[int, int]] = {}
    for host, band, n in read.execute(query):
        found.setdefault(host, {})[band] = int(n)
    return found


def _last_observed(read: Any, names: list[str]) -> dict[str, datetime]:
    query = (
        select(row_states.c.host, func.max(row_states.c.at, type_=row_states.c.at.type))
        .where(row_states.c.host.in_(names))
        .group_by(row_states.c.host)
    )
    return {host: at for host, at in read.execute(query)}


def _itself(bands: dict[int, int], seen: datetime | None) -> HostView:
    """Wardkeep's own schedules, alerts and gaps are looked at like a host's."""
    return _counted(
        HostView(PLATFORM, "this installation of Wardkeep", "", "", {}, None, seen, "", 0, 0, 0, 0), bands
    )


def _counted(view: HostView, bands: dict[int, int]) -> HostView:
    return replace(
        view,
        fails=sum(n for band, n in bands.items() if band < 4),
        unknowns=sum(n for band, n in bands.items() if 4 <= band < 8),
        passes=sum(n for band, n in bands.items() if 8 <= band < 12),
        critical=bands.get(0, 0),
    )


def _view(row: Any, bands: dict[int, int], seen: datetime | None) -> HostView:
    told = (row.name, row.url, row.jump, row.distribution, dict(row.labels), row.added)
    return _counted(HostView(*told, row.last_observed or seen, row.last_problem, 0, 0, 0, 0), bands)
