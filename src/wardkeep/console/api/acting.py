"""What programs may do: start a check (`check`), waive findings (`waive`), users and tokens (`admin`)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from wardkeep.console.api.parameters import known_only
from wardkeep.console.auth.bearer import SCHEME, Caller, need
from wardkeep.console.pages.acts import need_run, stream
from wardkeep.console.render import json_answer
from wardkeep.console.running import Event, Run, check_work, drill_work
from wardkeep.console.setting import console
from wardkeep.engine.accounts import Token, User
from wardkeep.engine.accounts.opening import link_for
from wardkeep.engine.waivers import Waiver, revoke, waive

router = APIRouter(prefix="/api/v1", dependencies=[Depends(SCHEME), Depends(known_only)])
Reads = Annotated[Caller, Depends(need("read"))]
Checks = Annotated[Caller, Depends(need("check"))]
Waives = Annotated[Caller, Depends(need("waive"))]
Admin = Annotated[Caller, Depends(need("admin"))]


def storable(text: str) -> str:
    """PostgreSQL's texts hold no zero byte."""
    if "\x00" in text:
        raise ValueError("holds a zero byte")
    return text


Short = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(storable)]
Long = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(storable)]


class Body(BaseModel):
    """A field that nobody knows is a mistake to be told, not to be dropped."""

    model_config = ConfigDict(extra="forbid")


class CheckAsked(Body):
    """Rows and hosts to look at; empty lists mean everything."""

    controls: list[Short] = Field(default_factory=list, max_length=25)
    hosts: list[Short] = Field(default_factory=list, max_length=1000)


class RunTold(Body):
    """A run: `ended` once it is over, `events` what it said."""

    id: str
    what: str
    by: str
    ended: bool
    events: list[Event]


class WaiverAsked(Body):
    """Everything is mandatory. `expires` is a time with its zone."""

    owner: Short
    reason: Long
    compensating: Long
    expires: AwareDatetime


class RevocationAsked(Body):
    """Why the waiver ends."""

    reason: Long


class UserAsked(Body):
    """A new person."""

    name: Short
    role: Literal["operator", "developer", "auditor"]
    display: Annotated[str, Field(max_length=120), AfterValidator(storable)] = ""


class LinkTold(Body):
    """A person's one-time sign-in link."""

    user: str
    link: str
    minutes: int


class TokenAsked(Body):
    """A new token of a person."""

    name: Short
    user: Short
    scopes: Annotated[
        list[Literal["read", "check", "waive", "flaws", "admin"]], Field(min_length=1, max_length=5)
    ]
    days: Annotated[int, Field(ge=1, le=366)] = 90


class TokenTold(Body):
    """The token itself, told this once."""

    id: str
    token: str
    expires: datetime


def tell(run: Run) -> Response:
    said = {"id": run.id, "what": run.what, "by": run.by, "ended": run.ended, "events": run.events}
    return json_answer(said, 200 if run.ended else 202)


@router.post("/checks", tags=["checks"], status_code=202, response_model=RunTold)
def start_check(request: Request, caller: Checks, asked: CheckAsked) -> Response:
    """Observe and assess now. Watch it at /checks/{run} or, live, at /checks/{run}/events."""
    place = console(request)
    work = check_work(place.platform, caller.actor, asked.controls, asked.hosts)
    names = ", ".join([*asked.controls, *asked.hosts][:3]) or "everything"
    return tell(place.running.start(f"The check of {names}", caller.actor, work))


@router.post("/drills", tags=["checks"], status_code=202, response_model=RunTold)
def start_drill(request: Request, caller: Checks, asked: CheckAsked) -> Response:
    """Exercise rows on hosts now; what a drill leaves behind is undone. Watch it at /checks/{run}."""
    place = console(request)
    work = drill_work(place.platform, caller.actor, asked.controls, asked.hosts, place.durable)
    names = ", ".join([*asked.controls, *asked.hosts][:3]) or "everything"
    return tell(place.running.start(f"The drill of {names}", caller.actor, work))


@router.get("/checks/{run}", tags=["checks"], response_model=RunTold)
def read_check(request: Request, caller: Reads, run: str) -> Response:
    """What a run has said so far."""
    return tell(need_run(request, run))


@router.get("/checks/{run}/events", tags=["checks"], response_class=StreamingResponse)
def follow_check(request: Request, caller: Reads, run: str) -> Response:
    """What a run says, as server-sent events `progress` and at last `done`."""
    return StreamingResponse(stream(need_run(request, run)), media_type="text/event-stream")


@router.post("/findings/{fingerprint}/waivers", tags=["findings"], status_code=201, response_model=Waiver)
def add_waiver(request: Request, caller: Waives, fingerprint: str, asked: WaiverAsked) -> Response:
    """Accept an open finding until a time. It stays visible and still lowers the score."""
    made = waive(
        console(request).platform,
        fingerprint[:16],
        owner=asked.owner,
        reason=asked.reason,
        compensating=asked.compensating,
        expires=asked.expires,
        by=caller.actor,
    )
    return json_answer(made, 201)


@router.post("/waivers/{waiver}/revoke", tags=["findings"], response_model=Waiver)
def end_waiver(request: Request, caller: Waives, waiver: str, asked: RevocationAsked) -> Response:
    """End a waiver before its time."""
    return json_answer(revoke(console(request).platform, waiver[:40], reason=asked.reason, by=caller.actor))


@router.get("/users", tags=["admin"], response_model=list[User])
def read_users(request: Request, caller: Admin) -> Response:
    """Everybody who may sign in."""
    return json_answer(console(request).accounts.users.all())


@router.post("/users", tags=["admin"], status_code=201, response_model=LinkTold)
def add_user(request: Request, caller: Admin, asked: UserAsked) -> Response:
    """Add a person; the answer has their one-time link."""
    place = console(request)
    place.accounts.users.add(asked.name, asked.role, by=caller.actor, display=asked.display)
    made = link_for(place.platform, place.accounts, asked.name, by=caller.actor, origin=place.origin)
    return json_answer({"user": asked.name, "link": made, "minutes": 15}, 201)


@router.get("/tokens", tags=["admin"], response_model=list[Token])
def read_tokens(request: Request, caller: Admin) -> Response:
    """Every token, without its secret."""
    return json_answer(console(request).accounts.tokens.all())


@router.post("/tokens", tags=["admin"], status_code=201, response_model=TokenTold)
def issue_token(request: Request, caller: Admin, asked: TokenAsked) -> Response:
    """Issue a token; the answer is the only place that ever has it."""
    accounts = console(request).accounts
    secret, token = accounts.tokens.issue(
        asked.user, asked.name, list(asked.scopes), days=asked.days, by=caller.actor
    )
    return json_answer({"id": token.id, "token": secret, "expires": token.expires}, 201)


@router.post("/tokens/{token}/revoke", tags=["admin"], response_model=Token)
def revoke_token(request: Request, caller: Admin, token: str) -> Response:
    """Make a token useless at once."""
    found = next((t for t in console(request).accounts.tokens.all() if t.id == token), None)
    if found is None:
        raise HTTPException(404, "No token has this id")
    return json_answer(console(request).accounts.tokens.revoke(found.id, by=caller.actor))
