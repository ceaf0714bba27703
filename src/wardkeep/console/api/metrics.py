"""`/metrics`: Wardkeep's own numbers for Prometheus, for a token with the scope `read`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from wardkeep.console.auth.bearer import Caller, need
from wardkeep.console.setting import console

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
def metrics(request: Request, caller: Annotated[Caller, Depends(need("read"))]) -> Response:
    """The text exposition format 0.0.4: counts only, no names of hosts or people."""
    from wardkeep.engine.metrics import render_metrics

    place = console(request)
    told = render_metrics(place.platform, place.accounts.books.clock())
    return Response(told, media_type="text/plain; version=0.0.4; charset=utf-8")
