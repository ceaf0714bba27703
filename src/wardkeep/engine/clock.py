"""Noticing that time did not pass as it should: the clock set back, or a stretch in which nothing of ours ran."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, select, update

from wardkeep.core.facts import PLATFORM
from wardkeep.core.findings import Finding, Severity, Verdict
from wardkeep.engine.platform import Platform, timestamp
from wardkeep.store.schema import settings

SAID_FOR = timedelta(days=1)  # how long the finding stays, so that somebody sees it
_KEY = "clock"


@dataclass(frozen=True)
class Noticed:
    """`what` is `set back` or `gap`; between `before` and `after` the record cannot be trusted or is empty."""

    what: str
    before: datetime
    after: datetime


def tick(platform: Platform, now: datetime, *, expected: timedelta) -> Noticed | None:
    """Say "I am running at `now`". Called about every `expected`; what is noticed goes into the ledger, once.

    Set back: this tick is before the last one. Gap: it is later by more than five times what was expected (the machine
    slept, or Wardkeep was stopped); a row whose time passed in the gap becomes a finding of its own besides.
    """
    # Losing the last tick to a power cut only makes the gap look longer: no reason to wait for the disk every time.
    with platform.store.begin(rebuildable=True) as connection:
        platform.store.lock(connection, "clock")
        found = connection.execute(select(settings.c.value).where(settings.c.key == _KEY)).scalar()
        told: dict[str, Any] = found or {}
        last = datetime.fromisoformat(told["last"]) if told else now
        noticed = None
        if now < last - timedelta(seconds=2):
            noticed = Noticed("set back", last, now)
        elif now - last > max(5 * expected, timedelta(minutes=10)):
            noticed = Noticed("gap", last, now)
        if noticed:
            between = {"before": timestamp(noticed.before), "after": timestamp(noticed.after)}
            platform.record("state", "engine", {"noticed": noticed.what, **between})
            told = {**told, "noticed": {"what": noticed.what, **between}}
        value = {**told, "last": now.isoformat()}
        if found is None:
            connection.execute(insert(settings).values(key=_KEY, value=value, changed=now))
        else:
            connection.execute(
                update(settings).where(settings.c.key == _KEY).values(value=value, changed=now)
            )
    return noticed


def clock_finding(platform: Platform, now: datetime) -> Finding:
    """What `tick` noticed in the last day, as a finding of the row system_monitoring about the platform."""
    with platform.store.read() as connection:
        told = connection.execute(select(settings.c.value).where(settings.c.key == _KEY)).scalar()
    verdict, seen, todo = Verdict.PASS, "time went forward, and no stretch was missed in the last day", ""
    if told is None:
        verdict, seen = Verdict.UNKNOWN, "Wardkeep has not run long enough to tell"
        todo = "Let `wardkeep up` or its service run."
    elif noticed := told.get("noticed"):
        before, after = noticed["before"], noticed["after"]
        if abs(now - datetime.fromisoformat(after)) < SAID_FOR:
            verdict = Verdict.UNKNOWN if noticed["what"] == "gap" else Verdict.FAIL
            seen = f"nothing ran from {before} to {after}"
            todo = "See why; what happened then was not observed."
            if verdict is Verdict.FAIL:
                seen = f"the clock was set back from {before} to {after}"
                todo = "See by whom; times on record before and after may overlap."
    return Finding(
        "system_monitoring",
        "system_monitoring.platform_runs",
        "Wardkeep itself runs without a gap, and its clock only goes forward.",
        PLATFORM,
        "clock",
        verdict,
        Severity.MEDIUM,
        seen,
        todo,
    )
