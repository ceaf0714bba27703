"""The review of published flaws: the queue, one flaw with its hosts, one host's list, the trend against the deadlines, the feeds."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from wardkeep.console.auth.gate import Anyone, Operator, field, read_form
from wardkeep.console.pages.rows import read_day
from wardkeep.console.render import answer, plural, twin
from wardkeep.console.setting import console
from wardkeep.core.errors import BadInput
from wardkeep.engine.flaw_review import acts
from wardkeep.engine.flaw_review.deciding import Asked, decide_as_asked
from wardkeep.engine.flaw_review.follow import look_at_row
from wardkeep.engine.flaw_review.reading import WHICH
from wardkeep.engine.flaw_review.trends import Day
from wardkeep.engine.flaw_review.views import (
    PAGE,
    feed_health,
    flaw_detail,
    host_flaws,
    queue_page,
    trend_page,
)
from wardkeep.engine.host_views import host_detail

router = APIRouter(dependencies=[Depends(read_form)], include_in_schema=False)
FIELDS = ("package", "decision", "owner", "reason", "compensating", "until", "justification")
Start = Annotated[int, Query(ge=0, le=1_000_000)]


@twin(router, "/flaws")
def queue(request: Request, visitor: Anyone, show: str = "open", q: str = "", start: Start = 0) -> Response:
    place = console(request)
    now = place.accounts.books.clock()
    found = queue_page(place.platform, now, which=show[:20], q=q[:100], start=start)
    n = found.counts
    heading = f"{plural(n['open'], 'flaw')} of the fleet: {n['undecided']:,} undecided, {n['late']:,} late"
    return answer(
        request,
        visitor,
        "flaws.html",
        {"queue": found},
        heading=heading,
        show=show,
        which=WHICH,
        q=q[:100],
        start=start,
        asked={"show": show, "q": q[:100]},
    )


@twin(router, "/flaws/trends")
def trend(request: Request, visitor: Anyone) -> Response:
    place = console(request)
    found = trend_page(place.platform, place.accounts.books.clock())
    return answer(
        request,
        visitor,
        "flaw_trends.html",
        {"trends": found},
        chart=draw_days(found.days),
        last=found.days[-1],
        most=max(found.days, key=lambda day: day.open),
        worst=max(day.late for day in found.days),
    )


@twin(router, "/flaws/feeds")
def feeds(request: Request, visitor: Anyone) -> Response:
    place = console(request)
    return answer(
        request,
        visitor,
        "flaw_feeds.html",
        {"health": feed_health(place.platform, place.accounts.books.clock())},
    )


@twin(router, "/flaws/{flaw}")
def flaw(request: Request, visitor: Anyone, flaw: str) -> Response:
    return _flaw(request, visitor, flaw, "", {name: "" for name in FIELDS})


@twin(router, "/hosts/{name}/flaws")
def host(request: Request, visitor: Anyone, name: str, start: Start = 0) -> Response:
    place = console(request)
    if host_detail(place.platform, name[:253]) is None:
        raise HTTPException(404, "No host of this name is in the fleet")
    now = place.accounts.books.clock()
    count, found = host_flaws(place.platform, name[:253], now, start=start, limit=PAGE)
    told = {"host": name, "found": count, "after": start + PAGE if count > start + PAGE else 0}
    told["flaws"] = [{"case": case, "asset": asset} for case, asset in found]
    return answer(request, visitor, "host_flaws.html", told, start=start, asked={})


@router.post("/flaws/reviewed")
def reviewed(request: Request, visitor: Operator) -> Response:
    """The day's review was done."""
    platform = console(request).platform
    acts.done(platform, says=field(request, "says"), by=visitor.actor)
    look_at_row(platform)
    return RedirectResponse("/flaws", 303)


@router.post("/flaws/{flaw}/decisions")
def decide(request: Request, visitor: Operator, flaw: str) -> Response:
    """Decide about a flaw in one package: `decision` is accepted, planned, waived, not_affected or reopened."""
    platform = console(request).platform
    asked = {name: field(request, name) for name in FIELDS}
    try:
        cases = acts.find_cases(platform, [f"{flaw[:64]}:{asked['package'][:255]}"])
        given = Asked(
            decision=asked["decision"],
            says=asked["reason"],
            owner=asked["owner"],
            compensating=asked["compensating"],
            until=read_day(asked["until"]),
            until_fixed=bool(field(request, "until_fixed", limit=5)),
            justification=asked["justification"],
        )
        decide_as_asked(platform, cases, given, by=visitor.actor)
    except BadInput as e:
        return _flaw(request, visitor, flaw, e.line(), asked, 422)
    return RedirectResponse(f"/flaws/{flaw}", 303)


def _flaw(
    request: Request, visitor: Anyone, flaw: str, error: str, asked: dict[str, str], status: int = 200
) -> Response:
    place = console(request)
    now = place.accounts.books.clock()
    found = flaw_detail(place.platform, flaw[:64], now)
    if not found:
        raise HTTPException(404, "No flaw of this name ever concerned the fleet")
    return answer(
        request,
        visitor,
        "flaw.html",
        {"details": found},
        status=status,
        name=found[0].case.flaw,
        error=error,
        asked=asked,
        today=now.date(),
        justifications=acts.JUSTIFICATIONS,
    )


def draw_days(days: tuple[Day, ...], height: int = 120, wide: int = 7) -> Markup:
    """Open cases as bars, the late ones of them below in the colour and shape of a failure; the newest on the right."""
    most = max((day.open for day in days), default=0) or 1
    bars = []
    for n, day in enumerate(days):
        whole, late = round(day.open / most * height), round(day.late / most * height)
        said = f"{day.day}: {day.open} open, {day.late} late, {day.fixed} fixed on hosts"
        bars.append(
            Markup(
                '<g><title>{}</title><rect class="open" x="{}" y="{}" width="{}" height="{}"/>'
                '<rect class="late" x="{}" y="{}" width="{}" height="{}"/></g>'
            ).format(said, n * wide, height - whole, wide - 1, whole, n * wide, height - late, wide - 1, late)
        )
    last = days[-1] if days else None
    label = f"The last {len(days)} days" + (f": now {last.open} open, {last.late} late" if last else "")
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        len(days) * wide, height, label, Markup("").join(bars)
    )
