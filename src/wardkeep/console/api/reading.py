"""What programs may read with the scope `read`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from wardkeep.console.api.parameters import known_only
from wardkeep.console.auth.bearer import SCHEME, Caller, need
from wardkeep.console.auth.gate import READERS, Forbidden
from wardkeep.console.pages.findings import Wanted
from wardkeep.console.pages.matrix import row_json
from wardkeep.console.pages.rows import read_day
from wardkeep.console.render import json_answer
from wardkeep.console.setting import console
from wardkeep.engine.finding_views import FindingDetail, FindingPage, find_finding, list_findings
from wardkeep.engine.flaw_review.views import CaseDetail, QueuePage, flaw_detail, queue_page
from wardkeep.engine.host_views import HostDetail, HostPage, host_detail, page_hosts
from wardkeep.engine.ledger_views import EntryDetail, LedgerPage, find_entry, ledger_page, read_blob
from wardkeep.engine.row_views import AsOf, RowDetail, find_row, row_as_of
from wardkeep.engine.settings import Setting, settings_in_force
from wardkeep.engine.views import RowView, Score, matrix, score

router = APIRouter(prefix="/api/v1", dependencies=[Depends(SCHEME), Depends(known_only)])
Reads = Annotated[Caller, Depends(need("read"))]


def ledger_reader(request: Request, caller: Reads) -> Caller:
    """The ledger's raw answers may hold sensitive text: operators and auditors only."""
    if caller.user.role not in READERS:
        raise Forbidden(
            f"the ledger is for operators and auditors, and {caller.user.name} is {caller.user.role}"
        )
    return caller


ReadsLedger = Annotated[Caller, Depends(ledger_reader)]


@router.get("/score", tags=["matrix"], response_model=Score)
def read_score(request: Request, caller: Reads) -> Response:
    """How many of the 25 rows hold, fail, are unknown or overdue."""
    return json_answer(score(matrix(console(request).platform)))


@router.get("/controls", tags=["matrix"], response_model=list[RowView])
def read_controls(request: Request, caller: Reads) -> Response:
    """All rows of the matrix, in its order."""
    return json_answer([row_json(row) for row in matrix(console(request).platform)])


@router.get("/controls/{control}", tags=["matrix"], response_model=RowDetail)
def read_control(request: Request, caller: Reads, control: str) -> Response:
    """One row: rules with what they serve, hosts, drills, policy values."""
    return json_answer(find_row(console(request).platform, control))


@router.get("/controls/{control}/as-of", tags=["matrix"], response_model=AsOf)
def read_control_as_of(
    request: Request, caller: Reads, control: str, day: Annotated[str, Query(description="2026-11-22, UTC")]
) -> Response:
    """How the row stood at the end of a day."""
    wanted = read_day(day)
    if wanted is None:
        raise HTTPException(422, "day: give a day such as 2026-11-22")
    return json_answer(row_as_of(console(request).platform, control, wanted))


@router.get("/findings", tags=["findings"], response_model=FindingPage)
def read_findings(
    request: Request,
    caller: Reads,
    filters: Wanted,
    after: str = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Response:
    """Findings, what needs somebody first. Go on with `after` until it is empty."""
    return json_answer(list_findings(console(request).platform, filters, after=after[:64], limit=limit))


@router.get("/findings/{fingerprint}", tags=["findings"], response_model=FindingDetail)
def read_finding(request: Request, caller: Reads, fingerprint: str) -> Response:
    """One finding with its history and waivers."""
    found = find_finding(console(request).platform, fingerprint)
    if found is None:
        raise HTTPException(404, "No finding has this fingerprint")
    return json_answer(found)


@router.get("/flaws", tags=["flaws"], response_model=QueuePage)
def read_flaws(
    request: Request,
    caller: Reads,
    show: Annotated[str, Query(description="open, undecided, late, waived or closed")] = "open",
    q: str = "",
    start: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Response:
    """The review queue of published flaws, the riskiest first. Go on with `start` = `after` until it is 0."""
    place = console(request)
    now = place.accounts.books.clock()
    return json_answer(queue_page(place.platform, now, which=show[:20], q=q[:100], start=start))


@router.get("/flaws/{flaw}", tags=["flaws"], response_model=list[CaseDetail])
def read_flaw(request: Request, caller: Reads, flaw: str) -> Response:
    """One flaw, by any of its names, in each package, with every host that has or had it."""
    place = console(request)
    found = flaw_detail(place.platform, flaw[:64], place.accounts.books.clock())
    if not found:
        raise HTTPException(404, "No flaw of this name ever concerned the fleet")
    return json_answer(found)


@router.get("/hosts", tags=["hosts"], response_model=HostPage)
def read_hosts(
    request: Request,
    caller: Reads,
    q: str = "",
    after: str = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    """Hosts by name. Go on with `after` until it is empty."""
    return json_answer(page_hosts(console(request).platform, q=q[:100], after=after[:253], limit=limit))


@router.get("/hosts/{name}", tags=["hosts"], response_model=HostDetail)
def read_host(request: Request, caller: Reads, name: str) -> Response:
    """One host over all rows."""
    found = host_detail(console(request).platform, name[:253])
    if found is None:
        raise HTTPException(404, "No host of this name is in the fleet")
    return json_answer(found)


@router.get("/ledger", tags=["ledger"], response_model=LedgerPage)
def read_ledger(
    request: Request,
    caller: ReadsLedger,
    before: Annotated[int, Query(ge=0, le=10**15)] = 0,
    kind: str = "",
    host: str = "",
    control: str = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Response:
    """Entries, newest first. Go on with `before` until it is 0."""
    platform = console(request).platform
    found = ledger_page(
        platform, before=before, kind=kind[:40], host=host[:253], control=control[:64], limit=limit
    )
    return json_answer(found)


@router.get("/ledger/{index}", tags=["ledger"], response_model=EntryDetail)
def read_entry(request: Request, caller: ReadsLedger, index: int) -> Response:
    """One entry with its canonical bytes, the inclusion proof and the signed checkpoint it leads to."""
    found = find_entry(console(request).platform, index)
    if found is None:
        raise HTTPException(404, "The ledger has no entry of this number yet")
    return json_answer(found)


@router.get("/ledger/{index}/blobs/{number}", tags=["ledger"], response_class=Response)
def read_raw(request: Request, caller: ReadsLedger, index: int, number: int) -> Response:
    """A blob's bytes as recorded. Reading one is recorded in the ledger."""
    place = console(request)
    found = read_blob(place.platform, index, number)
    if found is None:
        raise HTTPException(404, "The entry names no such blob")
    named, data = found
    body = {"act": "blob read", "entry": index, "blob": named["name"], "digest": named["digest"]}
    place.accounts.books.record("review", caller.actor, body)
    # As an attachment of no type: what a host said must never be rendered as a page of this origin.
    headers = {"Content-Disposition": f'attachment; filename="entry-{index}-blob-{number}"'}
    return Response(data, media_type="application/octet-stream", headers=headers)


@router.get("/settings", tags=["settings"], response_model=list[Setting])
def read_settings(request: Request, caller: ReadsLedger) -> Response:
    """Every value in force and where it comes from; secrets masked."""
    platform = console(request).platform
    return json_answer(settings_in_force(platform.config, platform.controls))
