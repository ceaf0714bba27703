"""One's own account: ways to sign in, recovery codes, sessions."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from wardkeep.console.auth.gate import Anyone, address, field, read_form
from wardkeep.console.render import answer, twin
from wardkeep.console.setting import console

router = APIRouter(dependencies=[Depends(read_form)], include_in_schema=False)


@twin(router, "/account")
def account(request: Request, visitor: Anyone) -> Response:
    accounts = console(request).accounts
    user = visitor.user
    data = {
        "user": user,
        "passkeys": accounts.passkeys.of(user),
        "recovery_codes_left": accounts.factors.recovery_codes_left(user),
        "sessions": [
            {
                "id": s.id[:12],
                "started": s.created,
                "last_used": s.last_used,
                "expires": s.expires,
                "address": s.address,
                "browser": s.agent,
                "by": s.strength,
                "this_one": s.id == visitor.session.id,
            }
            for s in accounts.sessions.of(user)
        ],
    }
    return answer(request, visitor, "account.html", data)


@router.get("/account/recovery")
def recovery(request: Request, visitor: Anyone) -> Response:
    left = console(request).accounts.factors.recovery_codes_left(visitor.user)
    return answer(request, visitor, "codes.html", {"left": left, "codes": []})


@router.post("/account/recovery")
def make_recovery_codes(request: Request, visitor: Anyone) -> Response:
    """The codes are in this one answer and nowhere else: the page is not stored by the browser (no-store)."""
    codes = console(request).accounts.factors.new_recovery_codes(visitor.user)
    return answer(request, visitor, "codes.html", {"left": len(codes), "codes": codes})


@router.post("/account/passkeys/remove")
def remove_passkey(request: Request, visitor: Anyone) -> Response:
    console(request).accounts.passkeys.remove(visitor.user, field(request, "id"))
    return RedirectResponse("/account", 303)


@router.post("/account/password")
def set_password(request: Request, visitor: Anyone) -> Response:
    password = str(request.state.form.get("password", ""))
    console(request).accounts.factors.set_password(visitor.user, password)
    return RedirectResponse("/account", 303)


@router.post("/account/sessions/end")
def end_sessions(request: Request, visitor: Anyone) -> Response:
    """End one other session of mine (by the beginning of its id), or all others."""
    accounts, wanted = console(request).accounts, field(request, "id", limit=12)
    if wanted:
        for session in accounts.sessions.of(visitor.user):
            if session.id.startswith(wanted):
                accounts.sessions.end(session.id, user=visitor.user.name)
        ended = 1
    else:
        ended = accounts.sessions.end_others(visitor.session)
    body = {"outcome": "sessions ended", "count": ended, "address": address(request)}
    accounts.books.record("sign-in", visitor.actor, body)
    return RedirectResponse("/account", 303)
