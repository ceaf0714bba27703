"""What a reviewer does: decide about cases, and say that the day's review was done. Each act is in the ledger before it holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from wardkeep.advisories.vex import JUSTIFICATIONS as JUSTIFICATIONS
from wardkeep.core.errors import BadInput
from wardkeep.engine.findings import to_the_millisecond
from wardkeep.engine.flaw_review import KIND, ROW
from wardkeep.engine.flaw_review.cases import Case, Key, decide
from wardkeep.engine.flaw_review.queue import refresh
from wardkeep.engine.flaw_review.reading import cases_named, count_cases
from wardkeep.engine.platform import Platform, timestamp
from wardkeep.engine.schedules import attest
from wardkeep.engine.waivers import list_waivers, revoke

MOST_AT_ONCE = 1_000
LONGEST_TEXT = 2_000


def find_cases(platform: Platform, names: Sequence[str], *, closed: bool = False) -> list[Case]:
    """The open cases of these names: a flaw (by any of its names), or `FLAW:PACKAGE` for one package only.

    Raises BadInput for a name that no open case has. Brings the queue up to date first.
    """
    refresh(platform)
    found: dict[Key, Case] = {}
    for name in names:
        flaw, _, package = name.partition(":")
        if flaw.lower().startswith("cve-"):
            flaw = flaw.upper()
        with platform.store.read() as connection:
            known = cases_named(platform, connection, flaw, closed=closed)
        here = [case for case in known if package in ("", case.package)]
        if not here:
            raise BadInput(
                "no flaw of this name concerns the fleet now", where=name, todo="See `wardkeep vulns review`."
            )
        found |= {case.key: case for case in here}
    if len(found) > MOST_AT_ONCE:
        raise BadInput(f"at most {MOST_AT_ONCE:,} cases are decided at once")
    return list(found.values())


def accept(
    platform: Platform, cases: Sequence[Case], *, by: str, says: str = "", now: datetime | None = None
) -> int:
    """Take notice: the fix comes with the next patching, before the clock ends. Returns the ledger's index."""
    return note_decision(platform, cases, "accepted", {"says": text(says)}, by, now)


def reopen(
    platform: Platform, cases: Sequence[Case], *, by: str, says: str, now: datetime | None = None
) -> int:
    """Take a decision back: the cases are undecided again."""
    if any(not case.decision for case in cases):
        raise BadInput("nothing is decided about this", where=_names(cases))
    return note_decision(platform, cases, "", {"says": said("reason", says)}, by, now)


def plan(
    platform: Platform,
    cases: Sequence[Case],
    *,
    until: date,
    owner: str,
    by: str,
    says: str = "",
    now: datetime | None = None,
) -> int:
    """The flaws are mended by `until`, by `owner`. Raises BadInput for a day that is past, or after a clock that still runs."""
    now = now or datetime.now(UTC)
    if until < now.date():
        raise BadInput("the day of the plan is past", where=until.isoformat())
    for case in cases:
        if now.date() <= case.due.date() < until:
            raise BadInput(
                f"the clock of {case.flaw} {case.package} ends on {case.due.date()}",
                where=until.isoformat(),
                todo="Plan an earlier day, or waive it.",
            )
    told = {"says": text(says), "owner": said("owner", owner), "until": until.isoformat()}
    return note_decision(platform, cases, "planned", told, by, now)


def not_affected(
    platform: Platform,
    cases: Sequence[Case],
    *,
    justification: str,
    says: str,
    by: str,
    source: str = "",
    now: datetime | None = None,
) -> int:
    """State that the flaws do not concern the fleet, and why. `source` is the document the statement was read from, if any:
    only there may the reason stand in words alone."""
    if justification not in JUSTIFICATIONS and (justification or not source):
        raise BadInput(
            f"`{justification}` is no justification", todo=f"Write one of {', '.join(JUSTIFICATIONS)}."
        )
    told = {"justification": justification, "says": said("statement", says)}
    return note_decision(
        platform, cases, "not_affected", told | ({"source": source} if source else {}), by, now
    )


def done(platform: Platform, *, says: str, by: str, now: datetime | None = None) -> int:
    """The day's review was done: what was open, new and undecided then stands beside it in the ledger."""
    now = now or datetime.now(UTC)
    with platform.store.read() as connection:
        counts = count_cases(platform, connection, now)
    body = {name: counts[name] for name in ("open", "undecided")}
    return attest(platform, ROW, says=says, by=by, now=now, more=body)


def note_decision(
    platform: Platform,
    cases: Sequence[Case],
    decision: str,
    told: dict[str, Any],
    by: str,
    now: datetime | None = None,
) -> int:
    """Put a decision about open cases on record; "" takes one back. Returns the ledger's index."""
    now = to_the_millisecond(now or datetime.now(UTC))
    if not cases:
        raise BadInput("no case is named", todo="See `wardkeep vulns review`.")
    if any(case.closed for case in cases):
        raise BadInput("this case is closed: nothing of the fleet has the flaw", where=_names(cases))
    for case in cases:
        if case.decision == "waived" and decision != "waived":
            _end_waiver(platform, case, decision, by, now)
    keys = [case.key for case in cases]
    body: dict[str, Any] = {"act": decision or "reopened", "decision": decision, "at": timestamp(now)}
    body |= {"cases": [list(key) for key in keys], "said": told}
    with platform.store.begin() as connection:
        platform.store.lock(connection, KIND)
        entry = platform.record(KIND, by, body, subject={"control": ROW})
        decide(connection, keys, decision, now, by, told, entry)
    return entry


def _end_waiver(platform: Platform, case: Case, decision: str, by: str, now: datetime) -> None:
    """Another word about a waived case ends its waiver, so that it covers nothing the new word does not."""
    for held in list_waivers(platform, now, waiver=str(case.said.get("waiver", ""))):
        if held.state == "in force":
            word = decision.replace("_", " ") or "reopened"
            revoke(platform, held.id, reason=f"decided otherwise: {word}", by=by, now=now)


def said(what: str, given: str) -> str:
    """A text that must be there. Raises BadInput."""
    made = text(given)
    if not made:
        raise BadInput(f"the {what} must be said")
    return made


def text(given: str) -> str:
    made = " ".join(given.split())
    if len(made) > LONGEST_TEXT:
        raise BadInput(f"a text is longer than {LONGEST_TEXT:,} characters")
    return made


def _names(cases: Sequence[Case]) -> str:
    return ", ".join(f"{case.flaw} {case.package}" for case in cases[:3])
