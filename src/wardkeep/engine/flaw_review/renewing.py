"""Bringing the review up to date: the queue, then the waivers that ended. Both reopen by themselves; nobody has to remember."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import select

from wardkeep.controls.vulnerability_review import every_flaw_is_decided
from wardkeep.core.facts import PLATFORM
from wardkeep.core.findings import Finding, Severity, Verdict
from wardkeep.engine.flaw_review import ROW
from wardkeep.engine.flaw_review.acts import note_decision
from wardkeep.engine.flaw_review.cases import Case, case_of
from wardkeep.engine.flaw_review.queue import Refreshed, refresh
from wardkeep.engine.platform import Platform
from wardkeep.engine.waivers import Waiver, list_waivers, revoke
from wardkeep.store.flaw_tables import flaw_cases


def renew(platform: Platform, now: datetime | None = None) -> Refreshed:
    """The queue as of the newest looks and advisories, and no waiver left that has ended."""
    now = now or datetime.now(UTC)
    made = refresh(platform, now)
    return replace(made, reopened=len(settle(platform, now)))


def fingerprint(case: Case) -> str:
    """Of the finding that says whether the case is decided."""
    where = (ROW, every_flaw_is_decided.id, "", PLATFORM, f"flaw:{case.flaw} {case.package}")
    return Finding(*where, Verdict.FAIL, Severity.HIGH, "").fingerprint


def settle(platform: Platform, now: datetime | None = None) -> list[Case]:
    """Reopen the waived cases whose waiver ended, by its day, by hand, or because a fix is released now; returns them.

    A waiver of a flaw that is gone is revoked, so that it does not cover the same flaw when it comes back.
    """
    now = now or datetime.now(UTC)
    query = select(flaw_cases).where(flaw_cases.c.decision == "waived")
    with platform.store.read() as connection:
        waived = [case_of(row, platform.config.numbers) for row in connection.execute(query)]
    reopened = []
    for case in waived:
        held = list_waivers(platform, now, waiver=str(case.said.get("waiver", "")))
        waiver = held[0] if held else None
        why = _over(case, waiver, now)
        if not why:
            continue
        if waiver is not None and waiver.state == "in force":
            revoke(platform, waiver.id, reason=why, by="engine", now=now)
        if case.closed is None:
            note_decision(platform, [case], "", {"says": why}, "engine", now)
            reopened.append(case)
    return reopened


def _over(case: Case, waiver: Waiver | None, now: datetime) -> str:
    """Why the waiver does not hold any more; "" while it does."""
    if case.closed is not None:
        return "the flaw is gone from the fleet" if waiver is not None and waiver.state == "in force" else ""
    if waiver is None or waiver.state == "revoked":
        return "the waiver was revoked"
    if waiver.state == "expired" or waiver.expires <= now:
        return f"the waiver ended on {waiver.expires.date()}"
    if waiver.until_fixed and case.state == "fix_available":
        return f"a fix is released: {', '.join(case.told.get('fixed', ())) or 'see the advisory'}"
    return ""
