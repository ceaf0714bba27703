"""Sessions of browsers: the cookie in, the person out; roles; and the form token that every POST must carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.responses import Response

from wardkeep.console.setting import Console, console
from wardkeep.core.errors import WardkeepError
from wardkeep.engine.accounts import Role, Session, User, csrf_token
from wardkeep.engine.accounts.books import draw, same
from wardkeep.engine.accounts.sessions import ABSOLUTE

EVERYONE = frozenset(Role)
READERS = frozenset({Role.OPERATOR, Role.AUDITOR})
OPERATORS = frozenset({Role.OPERATOR})


class SignInNeeded(Exception):
    """Nobody is signed in, or a second factor is still owed. `place` is where to go."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.place = place


class Forbidden(WardkeepError):
    """This person's role does not allow it, or the form is not one of ours."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person who is fully signed in, with the token their forms carry."""

    user: User
    session: Session
    csrf: str

    @property
    def actor(self) -> str:
        return self.user.actor

    def may(self, *roles: str) -> bool:
        return self.user.role in roles


def address(request: Request) -> str:
    """Where the request came from as the server saw it. No header can change it."""
    return request.client.host if request.client else ""


def current_session(request: Request) -> Session | None:
    """The live session of this browser, full or not; looked up once a request."""
    if not hasattr(request.state, "session"):
        place = console(request)
        cookie = request.cookies.get(place.session_cookie, "")
        request.state.session = place.accounts.sessions.find(cookie) if cookie else None
    found: Session | None = request.state.session
    return found


def form_secret(request: Request) -> str:
    """The cookie that this browser's form token is derived from: the session's, else the visitor's."""
    place = console(request)
    if current_session(request) is not None:
        return request.cookies[place.session_cookie]
    return request.cookies.get(place.visitor_cookie, "") or str(getattr(request.state, "new_visitor", ""))


def form_token(request: Request) -> str:
    """The form token for pages shown before sign-in. Remembers to set the visitor's cookie if there is none."""
    if not form_secret(request):
        request.state.new_visitor = draw()
    return csrf_token(form_secret(request))


async def read_form(request: Request) -> None:
    """Router dependency: a POST must carry this browser's form token, as a field or (scripts) as a header."""
    if request.method in ("GET", "HEAD"):
        return
    fields: Mapping[str, object] = {}
    if request.headers.get("content-type", "").split(";")[0] != "application/json":
        form: FormData = await request.form(max_files=0, max_fields=40, max_part_size=64 * 1024)
        fields = dict(form)
    request.state.form = {k: v.replace("\x00", "") for k, v in fields.items() if isinstance(v, str)}
    given = request.headers.get("x-csrf-token") or str(request.state.form.get("csrf", ""))
    secret = await run_in_threadpool(form_secret, request)  # looks into the database
    if not secret or not same(csrf_token(secret), given):
        raise Forbidden(
            "this form is out of date or not ours", todo="Go back, reload the page and send it again."
        )


def field(request: Request, name: str, *, limit: int = 2000) -> str:
    """One field of the posted form, trimmed; "" when missing."""
    return str(request.state.form.get(name, "")).strip()[:limit]


def allow(roles: frozenset[Role]) -> Callable[[Request], Visitor]:
    """Dependency: a person with one of these roles, signed in with two factors."""

    def check(request: Request) -> Visitor:
        session = current_session(request)
        if session is None:
            raise SignInNeeded("/sign-in")
        if not session.full:
            raise SignInNeeded("/sign-in/second" if session.user.enrolled else "/enrol")
        if session.user.role not in roles:
            names = ", ".join(sorted(roles))
            raise Forbidden(
                f"this needs the role {names}, and you are {session.user.role}",
                todo="Ask an operator to do it.",
            )
        return Visitor(session.user, session, csrf_token(form_secret(request)))

    check.roles = roles  # type: ignore[attr-defined]  # read by the test of every page and role
    return check


Anyone = Annotated[Visitor, Depends(allow(EVERYONE))]
Reader = Annotated[Visitor, Depends(allow(READERS))]
Operator = Annotated[Visitor, Depends(allow(OPERATORS))]


def sign_in_browser(request: Request, response: Response, user: str, strength: str) -> None:
    """Begin a new session in this browser and end the one before it, so that no earlier cookie gains rights."""
    place, before = console(request), current_session(request)
    if before is not None:
        place.accounts.sessions.end(before.id, user=before.user.name)
    agent = request.headers.get("user-agent", "")
    cookie = place.accounts.sessions.start(user, strength, address=address(request), agent=agent)
    set_cookie(place, response, place.session_cookie, cookie, int(ABSOLUTE.total_seconds()))
    response.delete_cookie(
        place.visitor_cookie, path="/", secure=place.https, httponly=True, samesite="strict"
    )


def sign_out_browser(request: Request, response: Response) -> None:
    place, session = console(request), current_session(request)
    if session is not None:
        place.accounts.sessions.end(session.id, user=session.user.name)
    response.delete_cookie(
        place.session_cookie, path="/", secure=place.https, httponly=True, samesite="strict"
    )


def set_cookie(place: Console, response: Response, name: str, value: str, seconds: int) -> None:
    response.set_cookie(
        name, value, max_age=seconds, path="/", secure=place.https, httponly=True, samesite="strict"
    )


def local_path(wanted: str, otherwise: str = "/") -> str:
    """A path on this console, or `otherwise`: a sign-in must not forward anybody to another site."""
    if not wanted.startswith("/") or wanted.startswith(("//", "/\\")) or len(wanted) > 500:
        return otherwise
    return wanted if wanted.isprintable() and "\\" not in wanted else otherwise
