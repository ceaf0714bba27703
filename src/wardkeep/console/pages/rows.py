"""A row of the matrix: what it promises, why, how it stands now or stood on a day."""

from __future__ import annotations

from datetime import date

from fastapi import APIRouter, Request
from starlette.responses import Response

from wardkeep.console.auth.gate import Anyone
from wardkeep.console.pages.matrix import line, row_json
from wardkeep.console.render import answer, plain, twin
from wardkeep.console.setting import console
from wardkeep.core.errors import BadInput
from wardkeep.engine.finding_views import Filters, list_findings
from wardkeep.engine.ledger_views import ledger_page
from wardkeep.engine.row_views import find_row, row_as_of

router = APIRouter(include_in_schema=False)


def read_day(text: str) -> date | None:
    """`2026-11-22`, or None for an empty field. Raises BadInput."""
    if not text:
        return None
    try:
        return date.fromisoformat(text[:20])
    except ValueError:
        raise BadInput(f"{text[:20]!r} is no day", where="as_of", todo="Write it as 2026-11-22.") from None


@twin(router, "/rows/{control}")
def row(request: Request, visitor: Anyone, control: str, as_of: str = "") -> Response:
    platform, now = console(request).platform, console(request).accounts.books.clock()
    day = read_day(as_of)
    found = find_row(platform, control, now)
    then = row_as_of(platform, control, day) if day else None
    pressing = list_findings(platform, Filters(control=control, verdict="fail,unknown"), limit=10, now=now)
    data = {
        **{k: v for k, v in plain(found).items() if k != "row"},
        **row_json(found.row),
        "as_of": then,
    }
    evidence = (
        ledger_page(platform, control=control, limit=8).entries if visitor.may("operator", "auditor") else ()
    )
    return answer(
        request,
        visitor,
        "row.html",
        data,
        found=found,
        line=line(found.row),
        then=then,
        pressing=pressing,
        evidence=evidence,
        today=now.date(),
    )
