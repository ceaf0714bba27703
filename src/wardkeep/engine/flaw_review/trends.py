"""How the review goes over time: cases open and late at the end of each day, and how long a flaw takes to be mended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, select

from wardkeep.core.findings import Severity
from wardkeep.engine.flaw_review.cases import QUIET
from wardkeep.engine.flaw_review.queue import FIXED
from wardkeep.engine.flaw_review.reading import FixedAlike, alike, fixed_since
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
    today = now.date()
    first = today - timedelta(days=days - 1)
    opened, late, fixed = [0] * (days + 1), [0] * (days + 1), [0] * days
    for one in alike(platform, connection):
        # Open at the end of each day from the one on which it opened to the one before it closed.
        begin = max((one.opened.date() - first).days, 0)
        end = min((one.closed.date() - first).days, days) if one.closed else days
        if begin >= end:
            continue
        opened[begin] += one.count
        opened[end] -= one.count
        overdue = max((one.last_day - first).days + 1, begin)
        if one.decision not in QUIET and overdue < end:
            late[overdue] += one.count
            late[end] -= one.count
    mended_there = fixed_since(platform, connection, now - timedelta(days=days), FIXED)
    for fix in mended_there:
        place = (fix.closed.date() - first).days
        if 0 <= place < days:
            fixed[place] += fix.count
    made, still, behind = [], 0, 0
    for n in range(days):
        still, behind = still + opened[n], behind + late[n]
        made.append(Day(first + timedelta(days=n), still, behind, fixed[n]))
    return Trends(tuple(made), _mended(mended_there))


def mended(platform: Platform, connection: Connection, since: datetime) -> tuple[Mended, ...]:
    """From the day a flaw first concerned a host to the look that showed it fixed there."""
    return _mended(fixed_since(platform, connection, since, FIXED))


def _mended(some: Sequence[FixedAlike]) -> tuple[Mended, ...]:
    made = []
    for severity in Severity:
        of = [one for one in some if one.weight is severity]
        count = sum(one.count for one in of)
        in_time = sum(one.count for one in of if one.closed.date() <= one.due)
        mean = sum(one.days * one.count for one in of) / count if count else None
        made.append(Mended(str(severity), count, in_time, mean))
    return tuple(made)


def last_review(connection: Connection) -> datetime | None:
    """When a person last said that the review was done."""
    from wardkeep.engine.flaw_review import ROW
    from wardkeep.store.schema import schedules

    done: datetime | None = connection.execute(
        select(schedules.c.last_done).where(schedules.c.key == f"review:{ROW}")
    ).scalar()
    return done
