"""Changes of hosts: what is planned, what is being made with its clock, and what became of it."""

from __future__ import annotations

from dataclasses import fields

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from wardkeep.console.auth.gate import Reader
from wardkeep.console.render import answer, plural, twin
from wardkeep.console.setting import console
from wardkeep.engine.change_views import ChangePage, change_page, list_changes, running_apply
from wardkeep.engine.durable_steps import StepDone, steps_of

router = APIRouter(include_in_schema=False)
SAYS = {
    "planned": "A change of {host} is planned",
    "outdated": "This plan for {host} is outdated",
    "begun": "A change of {host} is being made",
    "applied": "{host} was changed",
    "undone": "The change of {host} was taken back",
    "failed": "The change of {host} failed half way",
    "refused": "The change of {host} was refused: nothing was done",
}


@twin(router, "/changes")
def changes(request: Request, visitor: Reader, host: str = "") -> Response:
    found = list_changes(console(request).platform, host[:253])
    waiting = sum(one.state == "planned" for one in found)
    under_way = sum(one.state == "begun" for one in found)
    heading = f"{plural(waiting, 'change')} planned, {under_way} being made"
    data = {"changes": found, "host": host[:253]}
    return answer(request, visitor, "changes.html", data, heading=heading)


@twin(router, "/changes/{plan}")
def change(request: Request, visitor: Reader, plan: str) -> Response:
    place = console(request)
    found = change_page(place.platform, plan[:32], _steps(request, plan[:32]))
    if found is None:
        raise HTTPException(404, "There is no such plan")
    data = {known.name: getattr(found, known.name) for known in fields(found)}
    if not request.url.path.endswith(".json"):
        del data["state"]  # in templates, the name of what draws a state
    return answer(request, visitor, "change.html", data, heading=_heading(found), stands=found.state)


def _steps(request: Request, plan: str) -> list[StepDone] | None:
    place = console(request)
    running = running_apply(place.platform, plan)
    return steps_of(place.durable, running) if running and place.durable is not None else None


def _heading(found: ChangePage) -> str:
    if not found.changes and found.withheld:
        return f"A change of {found.host} is refused"
    return SAYS.get(found.state, "A change of {host}").format(host=found.host)
