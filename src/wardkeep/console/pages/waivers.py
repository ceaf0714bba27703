"""Waiving a finding, and taking a waiver back. Only operators, and never without an owner, a reason and an end."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from fastapi import APIRouter, Depends, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from wardkeep.console.auth.gate import Operator, field, read_form
from wardkeep.console.pages.findings import NOTHING_ASKED
from wardkeep.console.pages.rows import read_day
from wardkeep.console.render import answer
from wardkeep.console.setting import console
from wardkeep.core.errors import BadInput
from wardkeep.engine.finding_views import find_finding
from wardkeep.engine.waivers import revoke, waive

router = APIRouter(dependencies=[Depends(read_form)], include_in_schema=False)


@router.post("/findings/{fingerprint}/waivers")
def add_waiver(request: Request, visitor: Operator, fingerprint: str) -> Response:
    place = console(request)
    asked = {name: field(request, name) for name in NOTHING_ASKED}
    try:
        day = read_day(asked["expires"])
        if day is None:
            raise BadInput("a waiver needs an end", where="until", todo="Give a day.")
        # Until the end of that day: what a person means by a date.
        until = datetime.combine(day, time(), UTC) + timedelta(days=1)
        waive(
            place.platform,
            fingerprint[:16],
            owner=asked["owner"],
            reason=asked["reason"],
            compensating=asked["compensating"],
            expires=until,
            by=visitor.actor,
            now=place.accounts.books.clock(),
        )
    except BadInput as e:
        now = place.accounts.books.clock()
        found = find_finding(place.platform, fingerprint, now)
        if found is None:
            raise HTTPException(404, "No finding has this fingerprint") from None
        more = {"error": e.line(), "asked": asked, "today": now.date()}
        return answer(request, visitor, "finding.html", {"detail": found}, status=422, **more)
    return RedirectResponse(f"/findings/{fingerprint}", 303)


@router.post("/findings/{fingerprint}/waivers/revoke")
def end_waiver(request: Request, visitor: Operator, fingerprint: str) -> Response:
    reason = field(request, "reason")
    revoke(console(request).platform, field(request, "id", limit=40), reason=reason, by=visitor.actor)
    return RedirectResponse(f"/findings/{fingerprint}", 303)
