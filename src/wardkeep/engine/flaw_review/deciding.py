"""One decision as a form or a program gives it: which word, with what belongs to it. The refusals are those of the acts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from wardkeep.core.errors import BadInput
from wardkeep.engine.flaw_review import acts
from wardkeep.engine.flaw_review.cases import Case
from wardkeep.engine.flaw_review.follow import look_at_row
from wardkeep.engine.flaw_review.waiving import waive_cases
from wardkeep.engine.platform import Platform

DECISIONS = ("accepted", "planned", "waived", "not_affected", "reopened")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """`says` is the reason, in words. `until` is the last day of a plan or waiver."""

    decision: str
    says: str = ""
    owner: str = ""
    compensating: str = ""
    until: date | None = None
    until_fixed: bool = False
    justification: str = ""


def decide_as_asked(
    platform: Platform, cases: Sequence[Case], asked: Asked, *, by: str, now: datetime | None = None
) -> tuple[int, list[str]]:
    """Carry the decision out; the row follows at once. Returns the last entry and the ids of waivers. Raises BadInput."""
    waivers: list[str] = []
    if asked.decision == "accepted":
        entry = acts.accept(platform, cases, by=by, says=asked.says, now=now)
    elif asked.decision == "reopened":
        entry = acts.reopen(platform, cases, by=by, says=asked.says, now=now)
    elif asked.decision == "not_affected":
        why = asked.justification
        entry = acts.not_affected(platform, cases, justification=why, says=asked.says, by=by, now=now)
    elif asked.decision in ("planned", "waived"):
        if asked.until is None:
            raise BadInput("this needs a day", where="until", todo="Give a day.")
        if asked.decision == "planned":
            entry = acts.plan(
                platform, cases, until=asked.until, owner=asked.owner, says=asked.says, by=by, now=now
            )
        else:
            made, entry = waive_cases(
                platform,
                cases,
                owner=asked.owner,
                reason=asked.says,
                compensating=asked.compensating,
                # Until the end of that day: what a person means by a date.
                expires=datetime.combine(asked.until, time(), UTC) + timedelta(days=1),
                until_fixed=asked.until_fixed,
                by=by,
                now=now,
            )
            waivers = [one.id for one in made]
    else:
        raise BadInput(
            f"{asked.decision[:40]!r} is no decision", where="decision", todo=f"Use {', '.join(DECISIONS)}."
        )
    look_at_row(platform)
    return entry, waivers
