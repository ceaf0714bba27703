"""What may stand behind the `?` of a route: a misspelt filter must not answer a question that nobody asked."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from wardkeep.core.errors import BadInput
from wardkeep.core.profiles import did_you_mean


def known_only(request: Request) -> None:
    """Dependency: raises BadInput for the first parameter that the route does not have."""
    if not request.query_params:
        return
    route: APIRoute = request.scope["route"]
    known = frozenset(_named(route.dependant))
    for name in request.query_params:
        if name not in known:
            todo = did_you_mean(name, known) if known else "This route takes no parameters."
            raise BadInput(f"no parameter is called `{name[:40]}` here", todo=todo)


def _named(dependant: Dependant) -> Iterator[str]:
    yield from (one.alias for one in dependant.query_params)
    for below in dependant.dependencies:
        yield from _named(below)
