"""Setting up ways to sign in: right after the one-time link, or later from one's account page."""

from __future__ import annotations

import io
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from markupsafe import Markup
from starlette.responses import RedirectResponse, Response

from wardkeep.console.auth.gate import (
    SignInNeeded,
    Visitor,
    current_session,
    field,
    form_secret,
    form_token,
    read_form,
    sign_in_browser,
)
from wardkeep.console.pages.signin import passkeys_here, record, wait
from wardkeep.console.render import json_answer, page
from wardkeep.console.setting import console
from wardkeep.core.errors import BadInput
from wardkeep.engine.accounts import Session

router = APIRouter(dependencies=[Depends(read_form)], include_in_schema=False)


def enrolling(request: Request) -> Session:
    """Dependency: somebody fully signed in, or a new person fresh from the link. Nobody else may add a way in."""
    session = current_session(request)
    if session is None:
        raise SignInNeeded("/sign-in")
    if not session.full and session.user.enrolled:
        raise SignInNeeded("/sign-in/second")
    return session


Enrolling = Annotated[Session, Depends(enrolling)]


def enrol_page(request: Request, session: Session, error: str = "", status: int = 200) -> Response:
    """The secret of the app stays the same while the page is shown again, sealed in the session."""
    place = console(request)
    about = f"enrol:{session.id}"
    if sealed := session.data.get("totp"):
        secret = place.accounts.books.seal.open(bytes.fromhex(sealed), about).decode()
    else:
        secret = place.accounts.factors.new_secret()
        place.accounts.sessions.keep(
            session, totp=place.accounts.books.seal.close(secret.encode(), about).hex()
        )
    values: dict[str, Any] = {
        "user": session.user,
        "visitor": Visitor(session.user, session, form_token(request)) if session.full else None,
        "error": error,
        "qr": draw_code(place.accounts.factors.provisioning_uri(session.user.name, secret)),
        "secret_grouped": " ".join(secret[i : i + 4] for i in range(0, len(secret), 4)),
        "passkeys_here": passkeys_here(request),
    }
    return page(request, "enrol.html", values, status=status)


@router.get("/enrol")
def enrol(request: Request, session: Enrolling) -> Response:
    return enrol_page(request, session)


@router.post("/enrol/totp")
def enrol_totp(request: Request, session: Enrolling) -> Response:
    place, user = console(request), session.user
    sealed = session.data.get("totp")
    if not sealed:
        return RedirectResponse("/enrol", 303)
    if closed := place.accounts.limits.closed("code-enrol", user.name):
        return enrol_page(request, session, wait(closed), 429)
    secret = place.accounts.books.seal.open(bytes.fromhex(sealed), f"enrol:{session.id}").decode()
    if place.accounts.factors.matches(secret, field(request, "code", limit=12)) is None:
        place.accounts.limits.wrong("code-enrol", user.name)
        return enrol_page(
            request, session, "Those six digits are not what the app shows for this key now.", 403
        )
    password = str(request.state.form.get("password", ""))
    try:
        if password:
            place.accounts.factors.set_password(user, password)
    except BadInput as e:
        return enrol_page(request, session, e.line(), 422)
    place.accounts.factors.set_totp(user, secret)
    # The code just shown counts as used.
    place.accounts.factors.check_totp(user, field(request, "code", limit=12))
    place.accounts.sessions.keep(session, totp=None)
    response = RedirectResponse("/account/recovery", 303)
    finish(request, response, session, "totp")
    return response


@router.post("/enrol/passkey/options")
def passkey_options(request: Request, session: Enrolling) -> Response:
    place = console(request)
    return json_answer(place.accounts.passkeys.enrol_options(session.user, place.party, form_secret(request)))


@router.post("/enrol/passkey")
async def enrol_passkey(request: Request, session: Enrolling) -> Response:
    from starlette.concurrency import run_in_threadpool

    sent = await request.json()
    return await run_in_threadpool(keep_passkey, request, session, sent if isinstance(sent, dict) else {})


def keep_passkey(request: Request, session: Session, sent: dict[str, Any]) -> Response:
    place, credential = console(request), sent.get("credential")
    place.accounts.passkeys.enrol(
        session.user,
        place.party,
        form_secret(request),
        credential if isinstance(credential, dict) else {},
        str(sent.get("label", "")),
    )
    first = not session.full
    response = json_answer({"next": "/account/recovery" if first else "/account"})
    finish(request, response, session, "passkey")
    return response


def finish(request: Request, response: Response, session: Session, strength: str) -> None:
    """A new person is now fully signed in, with a new cookie; others keep the session they have."""
    if not session.full:
        record(request, session.user.actor, "signed in", strength)
        sign_in_browser(request, response, session.user.name, strength)


def draw_code(text: str) -> Markup:
    """A QR code as inline SVG, drawn here: the secret goes to no other program or host."""
    import segno

    drawn = io.BytesIO()
    segno.make(text, error="m").save(
        drawn,
        kind="svg",
        xmldecl=False,
        svgns=True,
        border=2,
        omitsize=True,
        dark="#000",
        light="#fff",
        title="QR code",
    )
    return Markup(drawn.getvalue().decode())  # noqa: S704  (made by segno from our own text)
