"""Changes that were begun and not ended: said as a finding, so that none can be forgotten."""

from __future__ import annotations

from sqlalchemy import select

from wardkeep.core.facts import PLATFORM
from wardkeep.core.findings import Finding, Severity, Verdict
from wardkeep.engine.apply.records import Applied, list_applies
from wardkeep.engine.leases import known_workers
from wardkeep.engine.platform import Platform
from wardkeep.store.schema import fences

ROW = "operating_system"
SAYS = "Every change that Wardkeep began on a host is made or taken back."


def left_open(platform: Platform) -> list[Applied]:
    """Every change begun without end that no living worker is at, and every one that failed half way."""
    living = {known.id for known in known_workers(platform.store) if not known.dead}
    with platform.store.read() as connection:
        held = connection.execute(select(fences.c.work, fences.c.worker).where(fences.c.work != "")).all()
    busy = {row.work for row in held if row.worker in living}
    return [one for one in list_applies(platform, open_only=True) if one.id not in busy]


def unfinished_findings(platform: Platform) -> list[Finding]:
    """One failing finding for each change left open; one that passes when there is none."""
    return [_finding(one) for one in left_open(platform)] or [
        Finding(
            ROW,
            f"{ROW}.changes_end",
            SAYS,
            PLATFORM,
            "changes",
            Verdict.PASS,
            Severity.HIGH,
            "no change is half done",
        )
    ]


def _finding(one: Applied) -> Finding:
    if one.state == "begun":
        seen = f"begun on {one.host} at {one.begun:%Y-%m-%d %H:%M} UTC, and not ended"
        todo = f"It goes on when Wardkeep runs (`wardkeep up`); or take it back: `wardkeep apply --undo {one.plan}`."
    else:
        seen = f"failed half way on {one.host}: {one.summary}"
        todo = f"Mend the cause, then take it back: `wardkeep apply --undo {one.plan}`."
    return Finding(
        ROW, f"{ROW}.changes_end", SAYS, PLATFORM, f"apply:{one.id}", Verdict.FAIL, Severity.HIGH, seen, todo
    )
