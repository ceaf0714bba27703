"""From a typed view to a page, or to its JSON twin: the same data under the same name plus `.json`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter, Request
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, Response

from wardkeep.console.auth.gate import Visitor, form_token, set_cookie
from wardkeep.console.setting import console
from wardkeep.engine.row_views import row_titles

STATIC = Path(__file__).parent / "static"
_SIMPLE = frozenset({str, int, float, bool})
WORDS = {"pass": "pass", "fail": "fail", "unknown": "unknown", "none": "not built", "na": "not applicable"}
Page = TypeVar("Page", bound=Callable[..., Any])

# Drawn, not typed: glyphs for ● ▲ ? ○ differ in size and weight from font to font.
SHAPES = {
    "pass": '<circle cx="7" cy="7" r="5.5" fill="currentColor"/>',
    "fail": '<path d="M7 1 13.4 12.6H.6z" fill="currentColor"/>',
    "unknown": '<path d="M3.6 4.6C3.6 2.5 5 1.4 7.1 1.4c2 0 3.5 1.1 3.5 3 0 2.6-3.4 2.6-3.4 5" fill="none" '
    'stroke="currentColor" stroke-width="2.2"/><circle cx="7.2" cy="12.2" r="1.4" fill="currentColor"/>',
    "none": '<circle cx="7" cy="7" r="4.7" fill="none" stroke="currentColor" stroke-width="1.6"/>',
}


@cache
def shape(state: str) -> Markup:
    """The shape of a state; the word stands beside it, so a screen reader skips the picture."""
    drawing = Markup(SHAPES.get(state, SHAPES["none"]))  # noqa: S704  (constants of this file)
    return Markup('<svg viewBox="0 0 14 14" aria-hidden="true" focusable="false">{}</svg>').format(drawing)


@lru_cache(256)
def state(word: str, text: str = "") -> Markup:
    """Shape and word of a state."""
    known = word if word in SHAPES else "none"
    return Markup('<span class="state s-{}">{}{}</span>').format(
        known, shape(known), text or WORDS.get(word, word)
    )


def exact(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def relative(at: datetime, now: datetime) -> str:
    """`3 minutes ago`, `in 2 days`; the exact time is a hover away."""
    seconds = (now - at).total_seconds()
    for unit, length in (
        ("year", 31_557_600),
        ("month", 2_629_800),
        ("day", 86400),
        ("hour", 3600),
        ("minute", 60),
    ):
        # What is past is never said to be older than it is; a deadline of 30 days is not "in 29 days" a second later.
        n = int(seconds // length) if seconds > 0 else int(-seconds / length + (0.5 if length > 60 else 0))
        if n:
            text = f"{n} {unit}{'s' if n > 1 else ''}"
            return f"{text} ago" if seconds > 0 else f"in {text}"
    return "just now" if seconds >= 0 else "in less than a minute"


@pass_context
def when(context: Context, at: datetime | None, absent: str = "never") -> Markup:
    if at is None:
        return Markup('<span class="quiet">{}</span>').format(absent)
    iso = at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        iso, exact(at), relative(at, context["now"])
    )


def on_day(at: datetime) -> Markup:
    """The day of a time, where "in 1 month" would read badly (`waived until …`)."""
    iso = at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        iso, exact(at), at.astimezone(UTC).date()
    )


@lru_cache(256)  # the same 25 in nearly every matrix until the day ends or a row gets worse
def strip(days: tuple[tuple[str, str], ...], last: date, width: int = 90) -> Markup:
    """One bar a day, the newest on the right. Height says the state too: low pass, half unknown, full fail."""
    known, tops = dict(days), {"pass": 12, "unknown": 6, "fail": 0}
    bars: list[tuple[str, int, int, int]] = []
    count = {"pass": 0, "fail": 0, "unknown": 0}
    for back in range(width - 1, -1, -1):
        worst = known.get((last - timedelta(days=back)).isoformat(), "none")
        if worst in count:
            count[worst] += 1
        top, x = tops.get(worst, 18), (width - 1 - back) * 2
        # Neighbours of one state are drawn as one bar: a page of 25 strips stays small.
        if bars and bars[-1][0] == worst:
            word, start, span, height = bars[-1]
            bars[-1] = (word, start, span + 2, height)
        else:
            bars.append((worst, x, 2, top))
    rects = Markup("").join(
        Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(w, x, y, span, 20 - y)
        for w, x, span, y in bars
    )
    said = ", ".join(f"{n} days {word}" for word, n in count.items() if n) or "nothing seen yet"
    title = f"Last {width} days: {said}; {width - sum(count.values())} days not looked at"
    return Markup(
        '<svg class="strip" viewBox="0 0 {} 20" preserveAspectRatio="none" role="img" aria-label="{}"><title>{}</title>{}</svg>'
    ).format(width * 2, title, title, rects)


def ticked(text: str) -> Markup:
    """Text whose `words between backticks` are set as code. Everything is escaped first."""
    parts = str(text).split("`")
    if len(parts) % 2 == 0:  # an odd backtick is a character like any other
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if n % 2 else escape(part) for n, part in enumerate(parts)
    )


def plural(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"


@cache
def asset(name: str) -> str:
    """A static file's address with its digest: it may be cached for ever, and never is stale."""
    seen = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={seen}"


def query(base: Mapping[str, Any], **changes: Any) -> str:
    """A query string with some values changed; empty ones are left out so that addresses stay short."""
    merged = {k: v for k, v in {**base, **changes}.items() if v not in ("", None)}
    return "?" + urlencode(merged) if merged else "?"


@cache
def environment() -> Environment:
    env = Environment(
        loader=PackageLoader("wardkeep.console"),
        autoescape=True,  # every template, whatever its name: what hosts say ends up in these pages
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    env.filters["when"] = when
    env.filters["ticked"] = ticked
    env.filters["on_day"] = on_day
    env.globals["titles"] = dict(row_titles())
    env.globals.update(
        shape=shape, state=state, draw_strip=strip, plural=plural, asset=asset, query=query, exact=exact
    )
    return env


def plain(value: Any) -> Any:
    """A view as JSON data: dataclasses become objects, times ISO 8601 in UTC with Z."""
    if value is None or type(value) in _SIMPLE:
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value) if f.repr}
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    return str(value)


def json_answer(value: Any, status: int = 200, kind: str = "application/json") -> Response:
    return Response(msgspec.json.encode(plain(value)), status, media_type=kind)


def answer(
    request: Request,
    visitor: Visitor,
    template: str,
    data: Mapping[str, Any],
    *,
    status: int = 200,
    **more: Any,
) -> Response:
    """The page, or its `.json` twin with exactly `data`. `more` is for the page alone."""
    if request.url.path.endswith(".json"):
        return json_answer(data, status)
    return page(request, template, {**data, **more, "visitor": visitor, "csrf": visitor.csrf}, status=status)


def page(request: Request, template: str, values: Mapping[str, Any], *, status: int = 200) -> HTMLResponse:
    """A page from a template. Before sign-in it carries the visitor's form token."""
    place = console(request)
    filled = {
        "visitor": None,
        "csrf": values.get("csrf") or form_token(request),
        "now": place.accounts.books.clock(),
        "path": request.url.path,
        "twin": ("/matrix" if request.url.path == "/" else request.url.path) + ".json" + _question(request),
        "origin": place.origin,
        "held_to": place.platform.config.profile,
        **values,
    }
    made = HTMLResponse(environment().get_template(template).render(filled), status)
    if new := getattr(request.state, "new_visitor", ""):
        set_cookie(place, made, place.visitor_cookie, new, 3600)
    return made


def _question(request: Request) -> str:
    return f"?{request.url.query}" if request.url.query else ""


def twin(router: APIRouter, path: str, json: str = "") -> Callable[[Page], Page]:
    """Decorator: serve a page at `path` and the same data at `path` + `.json`."""

    def add(function: Page) -> Page:
        # The twin first: `/rows/{id}` would otherwise swallow `/rows/x.json`.
        router.get(json or path + ".json", include_in_schema=False)(function)
        router.get(path, include_in_schema=False)(function)
        return function

    return add
