"""API tokens on requests: `Authorization: Bearer wk_…`, with a scope for each route. A signed-in browser may read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from wardkeep.console.auth.gate import Forbidden, address, current_session
from wardkeep.console.setting import console
from wardkeep.engine.accounts import MAY, User

# Only for the OpenAPI document; the check itself is below, where wrong tokens are counted.
SCHEME = HTTPBearer(
    auto_error=False, scheme_name="token", description="An API token: `wardkeep token issue`."
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and what they may do here: the token's scopes cut down to the user's role."""

    user: User
    scopes: frozenset[str]

    @property
    def actor(self) -> str:
        return self.user.actor


class NeedsToken(HTTPException):
    """No token, or none that is any good."""

    def __init__(self, says: str) -> None:
        super().__init__(401, says, headers={"WWW-Authenticate": "Bearer"})


def need(scope: str) -> Callable[[Request], Caller]:
    """Dependency: a caller with this scope."""

    def check(request: Request) -> Caller:
        caller = identify(request)
        if scope not in caller.scopes:
            raise Forbidden(
                f"this needs the scope {scope}, and the caller has {', '.join(sorted(caller.scopes)) or 'none'}",
                todo="Issue another token: `wardkeep token issue`.",
            )
        return caller

    check.scope = scope  # type: ignore[attr-defined]  # read by the test of every route and scope
    return check


def identify(request: Request) -> Caller:
    """The token's user. A good token works whatever else came from the same address; wrong ones are counted, and past
    the limit refused as too many, so that ten thousand of them cost little and leave two entries in the ledger."""
    scheme, _, presented = request.headers.get("authorization", "").partition(" ")
    accounts = console(request).accounts
    if not presented:
        session = current_session(request) if request.method == "GET" else None
        if session is not None and session.full:
            return Caller(session.user, frozenset({"read"}) & MAY[session.user.role])
        raise NeedsToken("This needs an API token: send `Authorization: Bearer wk_…`")
    bearer = accounts.tokens.check(presented.strip()) if scheme.lower() == "bearer" else None
    if bearer is not None:
        return Caller(bearer.user, bearer.scopes)
    where = address(request)
    closed = accounts.limits.closed("token-address", where)
    accounts.limits.wrong("token-address", where)
    if closed:
        raise HTTPException(
            429,
            "Too many wrong tokens from this address; good ones still work",
            {"Retry-After": str(closed.seconds)},
        )
    raise NeedsToken("This token is not good: wrong, ended or revoked")
