"""Signing in: a one-time link, then a second step; or a passkey; or name, password and code."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from wardkeep.console.auth.gate import (
    address,
    current_session,
    field,
    form_secret,
    local_path,
    read_form,
    sign_in_browser,
    sign_out_browser,
)
from wardkeep.console.render import json_answer, page
from wardkeep.console.security import host_name
from wardkeep.console.setting import console
from wardkeep.core.errors import Refused
from wardkeep.engine.accounts import Closed, Session, User

router = APIRouter(dependencies=[Depends(read_form)], include_in_schema=False)
NO_MATCH = "Name, password and code do not belong together. Check all three."
DEAD_LINK = (
    "This link was used already, or is older than 15 minutes. Run `wardkeep user link NAME` for a new one."
)


def passkeys_here(request: Request) -> bool:
    """A passkey is bound to the console's own name; under 127.0.0.1 the browser would refuse."""
    return host_name(request.headers.get("host", "")) == console(request).host


def wait(closed: Closed) -> str:
    minutes = max(1, round(closed.seconds / 60))
    return (
        f"Too many wrong attempts: this way is closed for {minutes} more minutes. "
        "A passkey, or a link from `wardkeep user link NAME`, works meanwhile."
    )


def refuse(request: Request, closed: Closed, template: str = "signin.html", **values: Any) -> Response:
    made = sign_in_page(request, template, wait(closed), status=429, **values)
    made.headers["Retry-After"] = str(closed.seconds)
    return made


def sign_in_page(
    request: Request, template: str = "signin.html", error: str = "", *, status: int = 200, **values: Any
) -> Response:
    filled = {
        "error": error,
        "link_user": "",
        "token": "",
        "next": "/",
        "passkeys_here": passkeys_here(request),
    }
    return page(request, template, {**filled, **values}, status=status)


@router.get("/sign-in")
def sign_in(request: Request, next: str = "/") -> Response:
    session = current_session(request)
    if session is not None and session.full:
        return RedirectResponse(local_path(next), 303)
    return sign_in_page(request, next=local_path(next))


@router.get("/sign-in/link")
def look_at_link(request: Request, token: str = "", next: str = "/") -> Response:
    """Shows whose link it is. Only the button uses it up: a browser's or a mail scanner's preview must not."""
    place = console(request)
    if closed := place.accounts.limits.closed("link-address", address(request)):
        return refuse(request, closed)
    user = place.accounts.links.peek(token)
    if user is None:
        place.accounts.limits.wrong("link-address", address(request))
        return sign_in_page(request, error=DEAD_LINK, status=410)
    return sign_in_page(request, link_user=user, token=token, next=local_path(next))


@router.post("/sign-in/link")
def use_link(request: Request) -> Response:
    place, where = console(request), address(request)
    if closed := place.accounts.limits.closed("link-address", where):
        return refuse(request, closed)
    name = place.accounts.links.use(field(request, "token"))
    user = place.accounts.users.find(name) if name else None
    if user is None or user.disabled:
        place.accounts.limits.wrong("link-address", where)
        record(request, "engine", "refused", "link")
        return sign_in_page(request, error=DEAD_LINK, status=410)
    record(request, user.actor, "first step", "link")
    response = RedirectResponse("/sign-in/second" if user.enrolled else "/enrol", 303)
    sign_in_browser(request, response, user.name, "link")
    return response


@router.get("/sign-in/second")
def second(request: Request, next: str = "/") -> Response:
    session = current_session(request)
    if session is None or session.full:
        return RedirectResponse("/" if session else "/sign-in", 303)
    return sign_in_page(request, "second.html", user=session.user, next=local_path(next))


@router.post("/sign-in/second")
def check_second(request: Request) -> Response:
    place, session = console(request), current_session(request)
    if session is None or session.strength != "link":
        return RedirectResponse("/sign-in", 303)
    strength, refusal = check_code(request, session.user, field(request, "code", limit=64), "code-link")
    if refusal:
        if isinstance(refusal, Closed):
            return refuse(request, refusal, "second.html", user=session.user)
        return sign_in_page(request, "second.html", refusal, status=403, user=session.user)
    return enter(request, place.accounts.users.need(session.user.name), strength)


@router.post("/sign-in/password")
def check_password(request: Request) -> Response:
    """Name, password and code at once. The answer does not tell which of the three was wrong."""
    place, where = console(request), address(request)
    name, limits = field(request, "name", limit=64), place.accounts.limits
    closed = limits.closed("password-user", name) or limits.closed("password-address", where)
    if closed:
        return refuse(request, closed, next=local_path(field(request, "next")))
    user = place.accounts.users.find(name)
    right = place.accounts.factors.check_password(user, str(request.state.form.get("password", ""))[:256])
    if user is None or not right:
        limits.wrong("password-user", name)
        limits.wrong("password-address", where)
        return sign_in_page(request, error=NO_MATCH, status=403, next=local_path(field(request, "next")))
    strength, refusal = check_code(request, user, field(request, "code", limit=64), "code-password")
    if isinstance(refusal, Closed):
        return refuse(request, refusal, next=local_path(field(request, "next")))
    if refusal:
        return sign_in_page(request, error=NO_MATCH, status=403, next=local_path(field(request, "next")))
    limits.forget("password-user", name)
    return enter(request, user, strength)


def check_code(request: Request, user: User, code: str, path: str) -> tuple[str, Closed | str]:
    """How strong the code was (`totp`, `recovery`), or why it is refused: closed for now, or a sentence."""
    place = console(request)
    digits = code.replace(" ", "").isdigit()
    path = path if digits else "recovery"
    if closed := place.accounts.limits.closed(path, user.name):
        return "", closed
    good = (
        place.accounts.factors.check_totp(user, code)
        if digits
        else place.accounts.factors.use_recovery_code(user, code)
    )
    if not good:
        place.accounts.limits.wrong(path, user.name)
        return "", "That code is not right, or was used already. Wait for the next one and try again."
    place.accounts.limits.forget(path, user.name)
    return ("totp" if digits else "recovery"), ""


@router.post("/sign-in/passkey/options")
def passkey_options(request: Request) -> Response:
    place = console(request)
    return json_answer(place.accounts.passkeys.sign_in_options(place.party, form_secret(request)))


@router.post("/sign-in/passkey")
async def use_passkey(request: Request) -> Response:
    from starlette.concurrency import run_in_threadpool

    sent = await request.json()
    return await run_in_threadpool(check_passkey, request, sent if isinstance(sent, dict) else {})


def check_passkey(request: Request, sent: dict[str, Any]) -> Response:
    place, where = console(request), address(request)
    if closed := place.accounts.limits.closed("passkey-address", where):
        return json_answer({"detail": wait(closed)}, 429, "application/problem+json")
    credential = sent.get("credential")
    try:
        name = place.accounts.passkeys.check(
            place.party, form_secret(request), credential if isinstance(credential, dict) else {}
        )
    except Refused:
        place.accounts.limits.wrong("passkey-address", where)
        raise
    user = place.accounts.users.find(name)
    if user is None or user.disabled:
        raise Refused("that passkey is not known here", todo="Use another passkey, or a one-time link.")
    record(request, user.actor, "signed in", "passkey")
    response = json_answer({"next": local_path(str(sent.get("next", "")))})
    sign_in_browser(request, response, user.name, "passkey")
    return response


@router.post("/sign-out")
def sign_out(request: Request) -> Response:
    session = current_session(request)
    if session is not None:
        record(request, session.user.actor, "signed out", session.strength)
    response = RedirectResponse("/sign-in", 303)
    sign_out_browser(request, response)
    return response


def enter(request: Request, user: User, strength: str) -> Response:
    record(request, user.actor, "signed in", strength)
    response = RedirectResponse(local_path(field(request, "next")), 303)
    sign_in_browser(request, response, user.name, strength)
    return response


def record(request: Request, actor: str, outcome: str, by: str) -> None:
    body = {"outcome": outcome, "by": by, "address": address(request)}
    console(request).accounts.books.record("sign-in", actor, body)


def half_done(request: Request) -> Session | None:
    """The session of a new person that has used a link and owes the choice of a second factor."""
    session = current_session(request)
    return session if session is not None and not session.full and not session.user.enrolled else None
