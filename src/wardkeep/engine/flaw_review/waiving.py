"""Waiving a case is waiving its finding: one mechanism for both. A waiver ends by its day, by hand, or when a fix is released."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from wardkeep.core.errors import BadInput
from wardkeep.engine.flaw_review.acts import note_decision, text
from wardkeep.engine.flaw_review.cases import Case
from wardkeep.engine.flaw_review.follow import look_at_row
from wardkeep.engine.flaw_review.renewing import fingerprint
from wardkeep.engine.platform import Platform
from wardkeep.engine.waivers import Waiver, list_waivers, waive


def waive_cases(
    platform: Platform,
    cases: Sequence[Case],
    *,
    owner: str,
    reason: str,
    compensating: str,
    expires: datetime,
    until_fixed: bool,
    by: str,
    now: datetime | None = None,
) -> tuple[list[Waiver], int]:
    """Accept the flaws until `expires`, or `until_fixed` until a fix is released; the waivers, and the last entry. Raises BadInput as `engine.waivers.waive`."""
    now = now or datetime.now(UTC)
    if until_fixed and (ready := [case for case in cases if case.state == "fix_available"]):
        raise BadInput(
            f"{ready[0].flaw} has a released fix: it cannot wait for one",
            todo="Leave --until-fixed out, or install it.",
        )
    if before := [case for case in cases if case.decision]:
        # What passes cannot be waived: the earlier word is taken back first, on record.
        note_decision(platform, before, "", {"says": "it is waived instead"}, by, now)
    look_at_row(platform)
    made, entry = [], platform.ledger.size - 1
    for case in cases:
        given = waive(
            platform,
            fingerprint(case),
            owner=owner,
            reason=reason,
            compensating=compensating,
            expires=expires,
            by=by,
            now=now,
            until_fixed=until_fixed,
        )
        told = {
            "says": text(reason),
            "owner": given.owner,
            "compensating": given.compensating,
            "waiver": given.id,
            "until": expires.date().isoformat(),
            "until_fixed": until_fixed,
        }
        entry = note_decision(platform, [case], "waived", told, by, now)
        made.append(given)
    return made, entry


def waivers_of(platform: Platform, cases: Iterable[Case], now: datetime | None = None) -> list[Waiver]:
    """All waivers that these cases ever had."""
    return [one for case in cases for one in list_waivers(platform, now, fingerprint=fingerprint(case))]
