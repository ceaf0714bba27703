"""The firewall: what each host lets in, rule by rule and as a picture; and the allowlist with who answers for it."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated

from fastapi import APIRouter, Query, Request
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.responses import Response

from wardkeep.console.auth.gate import Reader
from wardkeep.console.render import answer, plural, twin
from wardkeep.console.setting import console
from wardkeep.engine.allowlist_page import SHOW as ENTRIES
from wardkeep.engine.allowlist_page import allowlist_page
from wardkeep.engine.change_views import list_changes
from wardkeep.engine.firewall_views import SHOW, HostFirewall, PictureView, host_firewall
from wardkeep.engine.host_views import page_hosts

router = APIRouter(include_in_schema=False)
Start = Annotated[int, Query(ge=0, le=1_000_000)]


@twin(router, "/firewall")
def hosts(request: Request, visitor: Reader, q: str = "", after: str = "") -> Response:
    found = page_hosts(console(request).platform, q=q[:100], after=after[:253])
    data = {"hosts": [one.name for one in found.hosts], "count": found.count, "after": found.after}
    heading = f"The firewall of {plural(found.count, 'host')}"
    return answer(
        request, visitor, "firewall.html", data, heading=heading, hosts_seen=found.hosts, q=q[:100], first=not after
    )  # fmt: skip


@twin(router, "/firewall/hosts/{name}")
def host(request: Request, visitor: Reader, name: str, show: str = "", start: Start = 0) -> Response:
    chosen = show if show in SHOW else ""
    found = host_firewall(console(request).platform, name[:253], show=chosen, start=start)
    if found is None:
        raise HTTPException(404, "No host of this name is in the fleet")
    data = {known.name: getattr(found, known.name) for known in fields(found)}
    drawings = [_drawing(one) for one in found.pictures]
    pending = [
        one
        for one in list_changes(console(request).platform, found.host)
        if one.state in ("planned", "begun")
    ]
    return answer(
        request, visitor, "host_firewall.html", data, heading=_heading(found), show=chosen, start=start, drawings=drawings, pending=pending
    )  # fmt: skip


@twin(router, "/firewall/allowlist")
def allowlist(request: Request, visitor: Reader, show: str = "", start: Start = 0) -> Response:
    place = console(request)
    chosen = show if show in ENTRIES else ""
    found = allowlist_page(place.platform, place.accounts.books.clock(), show=chosen, start=start)
    data = {known.name: getattr(found, known.name) for known in fields(found)}
    heading = "The allowlist cannot be read"
    if not found.problem:
        entries = plural(found.counts["all"], "entry", "entries")
        heading = f"The allowlist: {entries}, {found.counts['expired']:,} expired, {found.counts['never used']:,} never used"
    return answer(request, visitor, "allowlist.html", data, heading=heading, show=chosen, start=start)


def _heading(found: HostFirewall) -> str:
    if found.problem:
        return f"What the firewall of {found.host} lets in is not known"
    total = sum(found.counts.values())
    live = found.counts.get("live", 0)
    return f"The firewall of {found.host}: {live:,} of {plural(total, 'rule')} live"


def _drawing(one: PictureView) -> Markup:
    """The picture for the page's own style sheet; empty where there is none."""
    if not one.drawing:
        return Markup()
    title = f"Who can reach whom on which service: IPv{one.family}, {one.route}"
    inside = Markup(one.drawing)  # noqa: S704  (the engine escapes whatever a rule set says)
    return Markup(
        '<svg class="reach" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">{}</svg>'
    ).format(one.width, one.height, one.width, one.height, title, inside)
