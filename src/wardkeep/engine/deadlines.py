"""By when a finding has to be closed: by its severity, from the day the fault began."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from wardkeep.core.findings import Severity
from wardkeep.core.profiles import Numbers, months
from wardkeep.store import Store
from wardkeep.store.schema import findings, settings

Deadlines = Mapping[Severity, timedelta]
_KEY = "deadlines"


def deadlines(numbers: Numbers) -> Deadlines:
    """How long a finding may stay open, by severity. Critical and high come from the profile's numbers; medium and low,
    where no rule-making names a number, are a quarter and a year."""
    return {
        Severity.CRITICAL: numbers.patch_critical,
        Severity.HIGH: numbers.patch_high,
        Severity.MEDIUM: months(3),
        Severity.LOW: months(12),
    }


def due_at(limits: Deadlines, severity: Severity, since: str, failing_since: datetime) -> datetime:
    """The deadline: from the fault's own date (`since`, ISO, "" if not known), but never later than from when we saw it."""
    began = _day(since)
    return (min(began, failing_since) if began else failing_since) + limits[severity]


def keep_to(store: Store, connection: Connection, limits: Deadlines, now: datetime) -> int:
    """When the operator changed the numbers, give every open finding its new deadline. Returns how many changed."""
    wanted = {str(severity): int(limits[severity].total_seconds()) for severity in Severity}
    stored = select(settings.c.value).where(settings.c.key == _KEY)
    if connection.execute(stored).scalar() == wanted:
        return 0
    store.lock(connection, "deadlines")
    held = connection.execute(stored).scalar()
    if held is None:
        connection.execute(insert(settings).values(key=_KEY, value=wanted, changed=now))
    else:
        where = settings.c.key == _KEY
        connection.execute(update(settings).where(where).values(value=wanted, changed=now))
    f = findings.c
    rows = connection.execute(
        select(f.id, f.severity, f.since, f.failing_since, f.due).where(
            f.pressing < 8, f.failing_since.is_not(None)
        )
    )
    changes: list[dict[str, Any]] = []
    for row in rows:
        new = due_at(limits, Severity(row.severity), row.since, row.failing_since)
        if new != row.due:
            changes.append({"row": row.id, "due": new})
    if changes:
        connection.execute(update(findings).where(f.id == bindparam("row")), changes)
    return len(changes)


def _day(text: str) -> datetime | None:
    """An ISO date (or the date of a time) as UTC midnight; None where a control gave none."""
    if not text:
        return None
    try:
        return datetime.combine(date.fromisoformat(text[:10]), time(), UTC)
    except ValueError:
        return None
