"""Findings: a list with filters in the address and paging on the server; one finding with its history."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from wardkeep.console.auth.gate import Anyone
from wardkeep.console.render import answer, twin
from wardkeep.console.setting import console
from wardkeep.core.findings import Severity, Verdict
from wardkeep.engine.finding_views import STATES, Filters, find_finding, list_findings
from wardkeep.engine.row_views import row_titles

router = APIRouter(include_in_schema=False)
NOTHING_ASKED = {"owner": "", "reason": "", "compensating": "", "expires": ""}  # the empty waive form


def read_filters(
    verdict: str = "",
    severity: str = "",
    control: str = "",
    host: str = "",
    rule: str = "",
    q: str = "",
    state: str = "",
) -> Filters:
    """The filters as they stand in the address."""
    return Filters(verdict[:60], severity[:60], control[:64], host[:253], rule[:128], q[:200], state[:20])


Wanted = Annotated[Filters, Depends(read_filters)]


def sentence(filters: Filters, count: int, more: bool) -> str:
    """The heading: what was found, with the number that is known."""
    n = f"More than {count:,}" if more else f"{count:,}" if count else "No"
    what = " or ".join(v + "ing" if v in ("fail", "pass") else v for v in filters.verdict.split(",") if v)
    state = filters.state if filters.state not in ("", "all") else ""
    words = [
        n,
        state,
        filters.severity.replace(",", " or "),
        what,
        "finding" if count == 1 and not more else "findings",
    ]
    text = " ".join(word for word in words if word)
    if filters.host:
        text += f" on {filters.host}"
    if filters.q:
        text += f" with “{filters.q}”"
    return text


@twin(router, "/findings")
def findings(request: Request, visitor: Anyone, filters: Wanted, after: str = "") -> Response:
    place = console(request)
    found = list_findings(place.platform, filters, after=after[:64], now=place.accounts.books.clock())
    return answer(
        request,
        visitor,
        "findings.html",
        {
            "filters": filters,
            "findings": found.findings,
            "count": found.count,
            "more": found.more,
            "after": found.after,
        },
        heading=sentence(filters, found.count, found.more),
        asked=asdict(filters),
        first=not after,
        choices={
            "verdict": [
                ("", "any"),
                ("fail,unknown", "fail or unknown"),
                *((v.value, v.value) for v in Verdict),
            ],
            "severity": [
                ("", "any"),
                ("critical,high", "critical or high"),
                *((s.value, s.value) for s in Severity),
            ],
            "state": [("", "any"), *((s, s) for s in STATES if s != "all")],
            "control": [("", "any"), *row_titles()],
        },
    )


@twin(router, "/findings/{fingerprint}")
def finding(request: Request, visitor: Anyone, fingerprint: str) -> Response:
    place = console(request)
    now = place.accounts.books.clock()
    found = find_finding(place.platform, fingerprint, now)
    if found is None:
        raise HTTPException(404, "No finding has this fingerprint")
    return answer(
        request, visitor, "finding.html", {"detail": found}, error="", asked=NOTHING_ASKED, today=now.date()
    )
