"""The queue read by the database: counted, and a page at a time. A fleet may have tens of thousands of cases, on millions of assets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Text, and_, cast, func, or_, select, tuple_

from wardkeep.core.findings import Severity
from wardkeep.engine.deadlines import deadlines
from wardkeep.engine.flaw_review.cases import QUIET, Case, CaseAsset, case_of, last_day_of, weigh
from wardkeep.engine.platform import Platform
from wardkeep.store.flaw_tables import flaw_assets, flaw_cases, inventories

WHICH = ("open", "undecided", "late", "waived", "closed")
# What stands in the stored JSON as it is typed; other words are looked for in each case.
PLAIN = re.compile(r"[A-Za-z0-9.:_+~/-]+")
_RISKIEST = (flaw_cases.c.risk.desc(), flaw_cases.c.flaw, flaw_cases.c.package)


@dataclass(frozen=True)
class Alike:
    """`count` cases of which all of this is true. `last_day` as `Case.last_day`."""

    opened: datetime
    closed: datetime | None
    last_day: date
    decision: str
    count: int

    def is_late(self, day: date) -> bool:
        """Whether it was late on a day on which it was open, by the word that holds now."""
        return self.last_day < day and self.decision not in QUIET


def alike(platform: Platform, connection: Connection, *, still: bool = False) -> list[Alike]:
    """All cases, or those that are `still` open, those that stand alike together."""
    c, limits = flaw_cases.c, deadlines(platform.config.numbers)
    exploited = c.exploited != ""
    columns = (c.opened, c.closed, c.since, c.severity, exploited, c.decision)
    grouped = select(*columns, func.count()).where(c.decision != "planned").group_by(*columns)
    # The day of a plan is in the JSON of its decision: these few are read one by one.
    planned = select(*columns, c.said).where(c.decision == "planned")
    if still:
        grouped, planned = grouped.where(c.closed.is_(None)), planned.where(c.closed.is_(None))

    def made(row: Any, said: Any, count: int) -> Alike:
        due = date.fromisoformat(row[2]) + limits[weigh(row[3], row[4])]
        return Alike(row[0], row[1], last_day_of(due, row[5], said), row[5], count)

    return [
        *(made(row, {}, row[6]) for row in connection.execute(grouped).all()),
        *(made(row, row[6], 1) for row in connection.execute(planned).all()),
    ]


def count_cases(platform: Platform, connection: Connection, now: datetime) -> dict[str, int]:
    """How many cases each part of the queue has."""
    some, today = alike(platform, connection, still=True), now.date()
    closed = connection.execute(select(func.count()).where(flaw_cases.c.closed.is_not(None))).scalar()
    return {
        "open": sum(one.count for one in some),
        "undecided": sum(one.count for one in some if not one.decision),
        "late": sum(one.count for one in some if one.is_late(today)),
        "waived": sum(one.count for one in some if one.decision in QUIET),
        "closed": int(closed or 0),
    }


def part_of(platform: Platform, connection: Connection, which: str, now: datetime) -> Select[Any]:
    """The rows of a part of the queue, in its order: the riskiest first, of what is closed the last first."""
    c = flaw_cases.c
    query = select(flaw_cases).order_by(*_RISKIEST).where(c.closed.is_(None))
    if which == "undecided":
        return query.where(c.decision == "")
    if which == "waived":
        return query.where(c.decision.in_(QUIET))
    if which == "late":
        return query.where(c.decision.not_in(QUIET), _late(platform, connection, now.date()))
    if which == "closed":
        return select(flaw_cases).order_by(c.closed.desc(), *_RISKIEST).where(c.closed.is_not(None))
    return query


def _late(platform: Platform, connection: Connection, today: date) -> ColumnElement[bool]:
    """By the clock, or by the earlier day that it was planned for."""
    c, limits = flaw_cases.c, deadlines(platform.config.numbers)
    before = {severity: (today - span).isoformat() for severity, span in limits.items()}
    critical = or_(c.exploited != "", c.severity == "critical")
    past = [and_(critical, c.since < before[Severity.CRITICAL])]
    for severity, words in ((Severity.HIGH, ("high", "unknown")), (Severity.MEDIUM, ("medium",)), (Severity.LOW, ("low",))):  # fmt: skip
        past.append(and_(~critical, c.severity.in_(words), c.since < before[severity]))
    planned = select(c.flaw, c.package, c.said).where(c.closed.is_(None), c.decision == "planned")
    missed = [
        (row.flaw, row.package)
        for row in connection.execute(planned).all()
        if str(row.said.get("until", "9")) < today.isoformat()
    ]
    return or_(*past, *([tuple_(c.flaw, c.package).in_(missed)] if missed else []))


def with_words(connection: Connection, query: Select[Any], words: Sequence[str], numbers: Any) -> list[Case]:
    """Of the rows asked for the cases that have every word in name, package, other names or summary."""
    c = flaw_cases.c
    for word in words:
        if PLAIN.fullmatch(word):
            places = (c.flaw, c.package, cast(c.told, Text))
            query = query.where(or_(*(one.icontains(word, autoescape=True) for one in places)))
    found = (case_of(row, numbers) for row in connection.execute(query))
    return [case for case in found if all(word.lower() in _words(case) for word in words)]


def cases_named(platform: Platform, connection: Connection, flaw: str, *, closed: bool = False) -> list[Case]:
    """The cases of a flaw, by any of its names, the riskiest first; open ones, with `closed` all of them."""
    c = flaw_cases.c
    query = select(flaw_cases).order_by(*_RISKIEST)
    if not closed:
        query = query.where(c.closed.is_(None))
    if PLAIN.fullmatch(flaw):
        query = query.where(or_(c.flaw == flaw, cast(c.told, Text).contains(f'"{flaw}"', autoescape=True)))
    found = (case_of(row, platform.config.numbers) for row in connection.execute(query))
    return [case for case in found if flaw in (case.flaw, *case.told.get("aliases", ()))]


def open_on(
    platform: Platform, connection: Connection, host: str, start: int, limit: int | None
) -> tuple[int, list[tuple[Case, CaseAsset]]]:
    """How many cases are open on a host and in the images that run there, and some of them, the riskiest first."""
    c, a = flaw_cases.c, flaw_assets.c
    known = connection.execute(select(inventories.c.host)).scalars()
    names = [host, *sorted(name for name in known if name.startswith(f"{host}/"))]
    here = (a.host.in_(names), a.closed.is_(None))
    count = connection.execute(select(func.count()).where(*here)).scalar()
    joined = flaw_assets.join(flaw_cases, and_(c.flaw == a.flaw, c.package == a.package))
    columns = (a.host, a.version, a.fixed, a.state, a.opened, a.closed, a.how)
    placed = [one.label(f"asset_{one.name}") for one in columns]
    query = select(flaw_cases, *placed).select_from(joined).where(*here).order_by(*_RISKIEST, a.host)
    if limit is not None:
        query = query.limit(limit).offset(start)
    made = []
    for row in connection.execute(query).all():
        asset = CaseAsset(row.flaw, row.package, *row[-len(placed) :])
        made.append((case_of(row, platform.config.numbers), asset))
    return int(count or 0), made


@dataclass(frozen=True)
class FixedAlike:
    """`count` assets on which a flaw of this weight was seen fixed at the same time, by `due` or not."""

    weight: Severity
    opened: datetime
    closed: datetime
    due: date
    count: int

    @property
    def days(self) -> float:
        return (self.closed - self.opened) / timedelta(days=1)


def fixed_since(platform: Platform, connection: Connection, since: datetime, how: str) -> list[FixedAlike]:
    """What looks showed fixed on assets after a time, those alike together."""
    c, a, limits = flaw_cases.c, flaw_assets.c, deadlines(platform.config.numbers)
    joined = flaw_assets.join(flaw_cases, and_(c.flaw == a.flaw, c.package == a.package))
    columns = (a.opened, a.closed, c.since, c.severity, c.exploited != "")
    query = select(*columns, func.count()).select_from(joined).where(a.how == how, a.closed >= since)
    made = []
    for row in connection.execute(query.group_by(*columns)).all():
        weight = weigh(row[3], row[4])
        due = date.fromisoformat(row[2]) + limits[weight]
        made.append(FixedAlike(weight, row[0], row[1], due, row[5]))
    return made


def _words(case: Case) -> str:
    parts = (case.flaw, case.package, *case.told.get("aliases", ()), case.told.get("summary", ""))
    return " ".join(map(str, parts)).lower()
