"""How the review goes over time: cases open and late at the end of each day, and how long a flaw takes to be mended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import Connection, select

from wardkeep.core.findings import Severity
from wardkeep.engine.flaw_review.cases import QUIET, Case, CaseAsset, read_assets, read_cases
from wardkeep.engine.flaw_review.queue import FIXED
from wardkeep.engine.platform import Platform

DAYS = 90


@dataclass(frozen=True)
class Day:
    """At the end of a day, UTC. `late` are those of the open ones whose clock, or the day they are planned for, had ended and that nobody lives with by a waiver now."""

    day: date
    open: int
    late: int
    fixed: int


@dataclass(frozen=True)
class Mended:
    """Flaws seen fixed on hosts within the span, by the severity their clock runs by. `mean_days` is None where there were none."""

    severity: str
    fixed: int
    in_time: int
    mean_days: float | None


@dataclass(frozen=True)
class Trends:
    """`days` are the last 90, the newest last. A case that came back counts from when it did."""

    days: tuple[Day, ...]
    mended: tuple[Mended, ...]


def trends(platform: Platform, now: datetime, connection: Connection, days: int = DAYS) -> Trends:
    """From what the tables know now."""
    cases = read_cases(platform, connection, closed=True)
    assets = read_assets(connection, how=FIXED)
    span = [now.date() - timedelta(days=back) for back in range(days - 1, -1, -1)]
    return Trends(
        tuple(_day(day, cases, assets) for day in span), mended(cases, assets, now - timedelta(days=days))
    )


def _day(day: date, cases: Sequence[Case], assets: Sequence[CaseAsset]) -> Day:
    end = datetime.combine(day + timedelta(days=1), time(), UTC)
    there = [case for case in cases if case.opened < end and (case.closed is None or case.closed >= end)]
    late = [case for case in there if case.last_day < day and case.decision not in QUIET]
    fixed = [one for one in assets if one.how == FIXED and one.closed and one.closed.date() == day]
    return Day(day, len(there), len(late), len(fixed))


def mended(cases: Sequence[Case], assets: Sequence[CaseAsset], since: datetime) -> tuple[Mended, ...]:
    """From the day a flaw first concerned a host to the look that showed it fixed there."""
    of = {case.key: case for case in cases}
    made = []
    for severity in Severity:
        took = []
        in_time = 0
        for one in assets:
            case = of.get((one.flaw, one.package))
            if one.how != FIXED or one.closed is None or one.closed < since or case is None:
                continue
            if case.weight is severity:
                took.append((one.closed - one.opened) / timedelta(days=1))
                in_time += one.closed.date() <= case.due.date()
        made.append(Mended(str(severity), len(took), in_time, sum(took) / len(took) if took else None))
    return tuple(made)


def last_review(connection: Connection) -> datetime | None:
    """When a person last said that the review was done."""
    from wardkeep.engine.flaw_review import ROW
    from wardkeep.store.schema import schedules

    done: datetime | None = connection.execute(
        select(schedules.c.last_done).where(schedules.c.key == f"review:{ROW}")
    ).scalar()
    return done
