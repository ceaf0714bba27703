"""Settings: the numbers in force and where they come from; users and tokens, which only operators change."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from wardkeep.console.auth.gate import Operator, Reader, field, read_form
from wardkeep.console.render import answer, twin
from wardkeep.console.setting import console
from wardkeep.core.errors import BadInput
from wardkeep.engine.accounts import SCOPES, Role
from wardkeep.engine.accounts.opening import link_for
from wardkeep.engine.channel_views import deliveries_by_channel
from wardkeep.engine.policy_record import policy_on_record
from wardkeep.engine.settings import settings_in_force

router = APIRouter(dependencies=[Depends(read_form)], include_in_schema=False)


@twin(router, "/settings")
def settings(request: Request, visitor: Reader) -> Response:
    platform = console(request).platform
    told = settings_in_force(platform.config, platform.controls)
    known = deliveries_by_channel(platform)
    data: dict[str, object] = {
        "profile": platform.config.profile.title,
        "file": platform.config.path.name,
        "settings": told,
    }
    data["channels"] = known
    data["on_record"] = policy_on_record(platform)
    groups = {
        "Numbers of the profile": [s for s in told if s.key == "profile" or s.key.startswith("numbers.")],
        "Policy of each row": [s for s in told if "policy." in s.key],
        "State, console and alerts": [
            s for s in told if not s.key.startswith(("numbers.", "policy.", "host.")) and s.key != "profile"
        ],
    }
    return answer(request, visitor, "settings.html", data, groups=groups)


@twin(router, "/settings/users")
def users(request: Request, visitor: Reader) -> Response:
    people = console(request).accounts.users.all()
    return answer(request, visitor, "users.html", {"users": people}, roles=list(Role), link="", link_name="")


@router.post("/settings/users")
def change_user(request: Request, visitor: Operator) -> Response:
    """Add, disable, enable, reset or give another role; a new link is shown once, on the page that answers."""
    place, name, act = console(request), field(request, "name", limit=64), field(request, "act", limit=20)
    people, by = place.accounts.users, visitor.actor
    if act == "add":
        people.add(
            name, field(request, "role", limit=20), by=by, display=field(request, "display", limit=120)
        )
    elif act == "disable":
        people.disable(name, by=by)
    elif act == "enable":
        people.enable(name, by=by)
    elif act == "reset":
        people.reset(name, by=by)
    elif act == "role":
        people.set_role(name, field(request, "role", limit=20), by=by)
    elif act != "link":
        raise BadInput("nothing is called that", where="act", todo="Use the buttons of the page.")
    if act not in ("add", "reset", "link"):
        return RedirectResponse("/settings/users", 303)
    made = link_for(place.platform, place.accounts, name, by=by, origin=place.origin)
    data = {"users": people.all()}
    return answer(request, visitor, "users.html", data, roles=list(Role), link=made, link_name=name)


@twin(router, "/settings/tokens")
def tokens(request: Request, visitor: Reader) -> Response:
    accounts = console(request).accounts
    data = {"tokens": accounts.tokens.all()}
    return answer(
        request, visitor, "tokens.html", data, scopes=SCOPES, people=accounts.users.all(), secret=""
    )


@router.post("/settings/tokens")
def issue_token(request: Request, visitor: Operator) -> Response:
    """The token is in this one answer and nowhere else."""
    accounts = console(request).accounts
    days = field(request, "days", limit=4)
    secret, _ = accounts.tokens.issue(
        field(request, "user", limit=64),
        field(request, "name", limit=80),
        [scope for scope in SCOPES if field(request, f"scope-{scope}")],
        days=int(days) if days.isascii() and days.isdigit() else 0,
        by=visitor.actor,
    )
    data = {"tokens": accounts.tokens.all()}
    return answer(
        request, visitor, "tokens.html", data, scopes=SCOPES, people=accounts.users.all(), secret=secret
    )


@router.post("/settings/tokens/revoke")
def revoke_token(request: Request, visitor: Operator) -> Response:
    console(request).accounts.tokens.revoke(field(request, "id", limit=40), by=visitor.actor)
    return RedirectResponse("/settings/tokens", 303)
