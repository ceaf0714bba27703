"""The ledger: its entries, one entry with its proof, a blob. For operators and auditors: raw answers may be sensitive."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from fastapi import APIRouter, Depends, Request
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response

from wardkeep.console.auth.gate import Reader, field, read_form
from wardkeep.console.pages.rows import read_day
from wardkeep.console.render import answer, twin
from wardkeep.console.setting import console
from wardkeep.engine.evidence import write_pack
from wardkeep.engine.ledger_views import find_blob, find_entry, ledger_page, read_index

router = APIRouter(dependencies=[Depends(read_form)], include_in_schema=False)
KINDS = (
    "observe", "assess", "plan", "apply", "drill", "waiver", "sign-in", "policy", "alert", "host", "user", "token",
    "review", "state",
)  # fmt: skip


@twin(router, "/ledger")
def ledger(
    request: Request, visitor: Reader, kind: str = "", host: str = "", control: str = "", before: str = ""
) -> Response:
    found = ledger_page(
        console(request).platform,
        before=read_index(before) if before else 0,
        kind=kind[:40],
        host=host[:253],
        control=control[:64],
    )
    asked = {"kind": kind[:40], "host": host[:253], "control": control[:64]}
    return answer(
        request, visitor, "ledger.html", {"ledger": found, "filters": asked}, kinds=KINDS, first=not before
    )


@router.post("/ledger/pack")
def pack(request: Request, visitor: Reader) -> Response:
    """An evidence pack to take away, for operators and auditors. That it was taken is on record."""
    folder = Path(tempfile.mkdtemp(prefix="wardkeep-pack-"))
    remove = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    try:
        path, _ = write_pack(
            console(request).platform,
            folder,
            begin=read_day(field(request, "from", limit=20)),
            end=read_day(field(request, "to", limit=20)),
            control=field(request, "control", limit=64),
            by=visitor.actor,
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return FileResponse(path, media_type="application/gzip", filename=path.name, background=remove)


@twin(router, "/ledger/{index}")
def entry(request: Request, visitor: Reader, index: str) -> Response:
    found = find_entry(console(request).platform, read_index(index))
    if found is None:
        raise HTTPException(404, "The ledger has no entry of this number yet")
    return answer(request, visitor, "entry.html", {"detail": found})


@twin(router, "/ledger/{index}/blobs/{number}")
def blob(request: Request, visitor: Reader, index: str, number: str) -> Response:
    """Whoever looks at raw answers is on record: they may hold what a host's operator would not show around."""
    place = console(request)
    found = find_blob(place.platform, read_index(index), read_index(number))
    if found is None:
        raise HTTPException(404, "The entry names no such blob")
    body = {"act": "blob read", "entry": read_index(index), "blob": found.name, "digest": found.digest}
    place.accounts.books.record("review", visitor.actor, body)
    return answer(request, visitor, "blob.html", {"blob": found}, index=read_index(index))
