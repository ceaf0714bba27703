"""What programs may do about published flaws, with the scope `flaws`: decide, and say that the day's review was done."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import AfterValidator, Field
from starlette.responses import Response

from wardkeep.console.api.acting import Body, Long, Short, storable
from wardkeep.console.api.parameters import known_only
from wardkeep.console.auth.bearer import SCHEME, Caller, need
from wardkeep.console.render import json_answer
from wardkeep.console.setting import console
from wardkeep.engine.flaw_review import acts
from wardkeep.engine.flaw_review.cases import read_cases
from wardkeep.engine.flaw_review.deciding import Asked, decide_as_asked
from wardkeep.engine.flaw_review.follow import look_at_row
from wardkeep.engine.flaw_review.views import CaseView, case_view

router = APIRouter(prefix="/api/v1", dependencies=[Depends(SCHEME), Depends(known_only)])
Decides = Annotated[Caller, Depends(need("flaws"))]
Text = Annotated[str, Field(max_length=2000), AfterValidator(storable)]


class DecisionAsked(Body):
    """`flaws` are names (CVE-…, DSA-…), or FLAW:PACKAGE for one package. What a decision needs beside `says`: a plan `owner` and
    `until`; a waiver those and `compensating`; not affected `justification`, one of OpenVEX's five."""

    flaws: list[Short] = Field(min_length=1, max_length=acts.MOST_AT_ONCE)
    decision: Literal["accepted", "planned", "waived", "not_affected", "reopened"]
    says: Text = ""
    owner: Annotated[str, Field(max_length=120), AfterValidator(storable)] = ""
    compensating: Text = ""
    until: date | None = None
    until_fixed: bool = False
    justification: Annotated[str, Field(max_length=80), AfterValidator(storable)] = ""


class DecisionTold(Body):
    """`entry` is the ledger's, the last of several; `cases` as they are now."""

    entry: int
    cases: list[CaseView]
    waivers: list[str]


class ReviewAsked(Body):
    """What the day's review came to."""

    says: Long


class ReviewTold(Body):
    """The ledger's entry."""

    entry: int


@router.post("/flaws/decisions", tags=["flaws"], status_code=201, response_model=DecisionTold)
def decide(request: Request, caller: Decides, asked: DecisionAsked) -> Response:
    """Decide about open flaws, for the whole fleet; all of them or none. It is in the ledger under the token's user."""
    place = console(request)
    cases = acts.find_cases(place.platform, asked.flaws)
    given = Asked(**asked.model_dump(exclude={"flaws"}))
    entry, waivers = decide_as_asked(place.platform, cases, given, by=caller.actor)
    now = place.accounts.books.clock()
    with place.platform.store.read() as connection:
        after = read_cases(place.platform, connection, keys=[case.key for case in cases])
    told = {"entry": entry, "cases": [case_view(case, now) for case in after], "waivers": waivers}
    return json_answer(told, 201)


@router.post("/flaws/reviewed", tags=["flaws"], status_code=201, response_model=ReviewTold)
def reviewed(request: Request, caller: Decides, asked: ReviewAsked) -> Response:
    """Say that the day's review was done. A day without one is a finding."""
    platform = console(request).platform
    entry = acts.done(platform, says=asked.says, by=caller.actor)
    look_at_row(platform)
    return json_answer({"entry": entry}, 201)
