"""Hosts: the inventory, and one host over all rows."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from wardkeep.console.auth.gate import Anyone
from wardkeep.console.render import answer, plural, twin
from wardkeep.console.setting import console
from wardkeep.engine.finding_views import Filters, list_findings
from wardkeep.engine.host_views import host_detail, page_hosts

router = APIRouter(include_in_schema=False)


@twin(router, "/hosts")
def hosts(request: Request, visitor: Anyone, q: str = "", after: str = "") -> Response:
    found = page_hosts(console(request).platform, q=q[:100], after=after[:253])
    heading = plural(found.count, "host") + (f" with “{q[:100]}” in the name" if q else " in the fleet")
    data = {"hosts": found.hosts, "count": found.count, "after": found.after}
    return answer(request, visitor, "hosts.html", data, heading=heading, q=q[:100], first=not after)


@twin(router, "/hosts/{name}")
def host(request: Request, visitor: Anyone, name: str) -> Response:
    place = console(request)
    found = host_detail(place.platform, name[:253])
    if found is None:
        raise HTTPException(404, "No host of this name is in the fleet")
    now = place.accounts.books.clock()
    pressing = list_findings(place.platform, Filters(host=name, verdict="fail,unknown"), limit=10, now=now)
    return answer(request, visitor, "host.html", {"detail": found}, pressing=pressing, today=now.date())
