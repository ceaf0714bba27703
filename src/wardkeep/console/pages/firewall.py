"""The firewall: what each host lets in, rule by rule and as a picture; and the allowlist with who answers for it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.responses import Response

from wardkeep.allowlists.views import defect_view, entry_view
from wardkeep.console.auth.gate import Reader
from wardkeep.console.render import answer, plural, twin
from wardkeep.console.setting import console
from wardkeep.core.errors import WardkeepError
from wardkeep.engine.allowlist_hosts import audit_platform
from wardkeep.engine.allowlist_review import campaigns
from wardkeep.engine.declared import declared
from wardkeep.engine.firewall_views import HostFirewall, host_firewall
from wardkeep.engine.host_views import page_hosts
from wardkeep.rulesets.audit.matrix import SHAPES, Matrix, as_json
from wardkeep.rulesets.audit.model import VERDICTS, sentence
from wardkeep.rulesets.audit.picture import drawn

router = APIRouter(include_in_schema=False)
Start = Annotated[int, Query(ge=0, le=1_000_000)]
LARGEST = 60  # rows or columns of a picture; a larger one is a table alone


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
    chosen = show if show in VERDICTS else ""
    found = host_firewall(console(request).platform, name[:253], show=chosen, start=start)
    if found is None:
        raise HTTPException(404, "No host of this name is in the fleet")
    data = {
        **{
            key: getattr(found, key)
            for key in ("host", "at", "problem", "until", "counts", "shown", "rules", "after")
        },
        "pictures": [as_json(one) for one in found.pictures],
    }
    return answer(
        request, visitor, "host_firewall.html", data, heading=_heading(found), show=chosen, start=start,
        drawings=[_drawing(one) for one in found.pictures], shapes=SHAPES, sentence=sentence,
    )  # fmt: skip


@twin(router, "/firewall/allowlist")
def allowlist(request: Request, visitor: Reader) -> Response:
    place = console(request)
    today = place.accounts.books.clock().date()
    try:
        entries, problem = declared(place.platform.config).entries, ""
        defects = audit_platform(place.platform, today)
        reviews = campaigns(place.platform)
    except WardkeepError as e:
        entries, defects, reviews, problem = (), [], [], e.line()
    last = reviews[-1] if reviews else None
    data = {
        "problem": problem,
        "entries": [entry_view(one, today) for one in entries],
        "findings": [defect_view(one) for one in defects],
        "review": None
        if last is None
        else {
            "name": last.name, "begun": last.begun, "begun_by": last.begun_by, "closed": last.closed,
            "state": last.state, "counts": last.counts, "left": len(last.left),
        },
    }  # fmt: skip
    expired = sum(one.expired(today) for one in entries)
    heading = f"The allowlist: {plural(len(entries), 'entry', 'entries')}, {expired} expired, {plural(len(defects), 'finding')}"
    if problem:
        heading = "The allowlist cannot be read"
    return answer(request, visitor, "allowlist.html", data, heading=heading, today=today)


def _heading(found: HostFirewall) -> str:
    if found.problem:
        return f"What the firewall of {found.host} lets in is not known"
    total = sum(found.counts.values())
    live = found.counts.get("live", 0)
    return f"The firewall of {found.host}: {live:,} of {plural(total, 'rule')} live"


def _drawing(one: Matrix) -> Markup:
    """The picture for the page's own style sheet; empty where it would be larger than a screen can show."""
    if max(len(one.rows), len(one.columns)) > LARGEST:
        return Markup()
    body, width, height = drawn([one])
    title = f"Who can reach whom on which service: IPv{one.family}, {one.route}"
    # `drawn` escapes whatever a rule set says.
    return Markup(
        '<svg class="reach" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">{}</svg>'
    ).format(
        width,
        height,
        width,
        height,
        title,
        Markup(body),  # noqa: S704
    )
