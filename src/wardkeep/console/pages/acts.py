"""Acting from the console: check now, drill now; and watching it live by server-sent events."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response, StreamingResponse

from wardkeep.console.auth.gate import Anyone, Operator, field, read_form
from wardkeep.console.render import answer
from wardkeep.console.running import Run, check_work, drill_work
from wardkeep.console.setting import console

router = APIRouter(dependencies=[Depends(read_form)], include_in_schema=False)


@router.post("/check")
def check(request: Request, visitor: Operator) -> Response:
    """Observe and assess everything, one row (`control`) or one host (`host`)."""
    place = console(request)
    control, host = field(request, "control", limit=64), field(request, "host", limit=253)
    work = check_work(place.platform, visitor.actor, [control] if control else [], [host] if host else [])
    what = f"The check of {control or host}" if control or host else "The check of everything"
    run = place.running.start(what, visitor.actor, work)
    back = f"/rows/{control}" if control else f"/hosts/{host}" if host else "/"
    return RedirectResponse(f"/runs/{run.id}?back={back}", 303)


@router.post("/drill")
def drill(request: Request, visitor: Operator) -> Response:
    """Exercise one row (`control`) on all hosts or on one (`host`)."""
    place = console(request)
    control, host = field(request, "control", limit=64), field(request, "host", limit=253)
    work = drill_work(
        place.platform, visitor.actor, [control] if control else [], [host] if host else [], place.durable
    )
    run = place.running.start(f"The drill of {control or 'everything'}", visitor.actor, work)
    back = f"/rows/{control}" if control else "/"
    return RedirectResponse(f"/runs/{run.id}?back={back}", 303)


@router.get("/runs/{run_id}")
def run_page(request: Request, visitor: Anyone, run_id: str, back: str = "/") -> Response:
    from wardkeep.console.auth.gate import local_path

    run = need_run(request, run_id)
    last = run.events[-1] if run.events else None
    return answer(
        request, visitor, "run.html", {"run": run_id}, what=run.what, last=last, back=local_path(back)
    )


@router.get("/live/{run_id}")
def live(request: Request, visitor: Anyone, run_id: str) -> Response:
    """What the run says, as it says it: `event: progress` and at last `event: done`, each with JSON data."""
    run = need_run(request, run_id)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream(run), media_type="text/event-stream", headers=headers)


def stream(run: Run) -> Iterator[bytes]:
    for event in run.follow():
        if event is None:
            yield b": still here\n\n"
            continue
        data = {"says": event.says, "done": event.done, "of": event.of, "failed": event.failed}
        yield b"event: " + event.kind.encode() + b"\ndata: " + msgspec.json.encode(data) + b"\n\n"


def need_run(request: Request, run_id: str) -> Run:
    run = console(request).running.find(run_id)
    if run is None:
        raise HTTPException(404, "No such run is known here; what it found is in the matrix and the ledger")
    return run
