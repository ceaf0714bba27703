"""The console as an ASGI application."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from wardkeep import __version__
from wardkeep.console.api import acting, deciding, describing, metrics, reading
from wardkeep.console.auth.gate import Forbidden, SignInNeeded, Visitor, current_session, form_token
from wardkeep.console.pages import (
    account,
    acts,
    changes,
    enrol,
    findings,
    firewall,
    flaws,
    hosts,
    ledger,
    matrix,
    rows,
    settings,
    signin,
    waivers,
)
from wardkeep.console.render import STATIC, json_answer, page
from wardkeep.console.security import Guard
from wardkeep.console.setting import Console
from wardkeep.core.errors import BadInput, Refused, Unavailable, WardkeepError
from wardkeep.engine.accounts import Accounts
from wardkeep.engine.durable import Durable
from wardkeep.engine.platform import Platform

log = logging.getLogger("wardkeep.console")
PAGES = (
    matrix,
    rows,
    findings,
    waivers,
    flaws,
    firewall,
    changes,
    hosts,
    ledger,
    settings,
    acts,
    account,
    signin,
    enrol,
)
PARTS = (*PAGES, describing, reading, acting, deciding, metrics)
STATUS = {BadInput: 422, Refused: 409, Unavailable: 503, Forbidden: 403}
TITLES = {
    403: "This is not for you to do",
    404: "There is nothing here",
    409: "Refused",
    422: "That cannot be used",
}


def create_app(
    platform: Platform,
    accounts: Accounts,
    *,
    origin: str = "http://localhost:8420",
    durable: Durable | None = None,
) -> FastAPI:
    """The console of this platform as seen by browsers at `origin`."""
    place = Console(platform, accounts, origin.rstrip("/"), durable)
    app = FastAPI(title="Wardkeep", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.console = place
    app.mount("/static", Assets(directory=STATIC), name="static")
    for part in PARTS:
        app.include_router(part.router)
    app.add_exception_handler(SignInNeeded, to_sign_in)
    for kind in (WardkeepError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, explain)
    app.add_middleware(Guard, hosts=[place.host], https=place.https)
    return app


class Assets(StaticFiles):
    """Files whose address carries their digest may be kept for a year."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        scope: Scope = next(a for a in args if isinstance(a, dict))
        kept = (
            "public, max-age=31536000, immutable" if b"v=" in scope.get("query_string", b"") else "no-cache"
        )
        response.headers["Cache-Control"] = kept
        return response


def wants_json(request: Request) -> bool:
    path, kind = request.url.path, request.headers.get("content-type", "")
    return path.startswith("/api/") or path.endswith(".json") or kind.startswith("application/json")


async def to_sign_in(request: Request, error: Exception) -> Response:
    assert isinstance(error, SignInNeeded)
    if wants_json(request):
        return problem(401, "nobody is signed in; sign in, or send an API token as `Authorization: Bearer`")
    back = request.url.path if request.method == "GET" else "/"
    if request.url.query and request.method == "GET":
        back += "?" + request.url.query
    return RedirectResponse(error.place + (f"?next={quote(back)}" if back != "/" else ""), 303)


async def explain(request: Request, error: Exception) -> Response:
    """Every fault in one line: a page for people, problem+json (RFC 9457) for programs. Never a traceback."""
    headers: dict[str, str] = {}
    status, says = 500, "Wardkeep failed at this; its log says how. Please report it as a defect."
    if isinstance(error, WardkeepError):
        status, says = STATUS.get(type(error), 400), error.line()
    elif isinstance(error, RequestValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        status, says = 422, f"{place}: {first['msg']}"
    elif isinstance(error, HTTPException):
        status, says, headers = error.status_code, f"{error.detail}.", dict(error.headers or {})
    else:
        log.error("a request failed: %s %s", request.method, request.url.path, exc_info=error)
    if wants_json(request):
        return problem(status, says, headers)
    session = current_session(request) if status < 500 else None
    visitor = Visitor(session.user, session, form_token(request)) if session and session.full else None
    title = TITLES.get(status, "This did not work")
    made = page(request, "problem.html", {"title": title, "says": says, "visitor": visitor}, status=status)
    made.headers.update(headers)
    return made


def problem(status: int, says: str, headers: Mapping[str, str] | None = None) -> Response:
    title = TITLES.get(status, "Refused" if status < 500 else "Failed")
    told = {"title": title, "status": status, "detail": " ".join(says.split())}
    made = json_answer(told, status, "application/problem+json")
    made.headers.update(headers or {})
    return made
