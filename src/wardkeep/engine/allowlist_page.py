"""The allowlist as people read it: what is declared, where it is in force, when it was last used, and where the review stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, TypeAlias

from wardkeep.allowlists.views import defect_view, entry_view
from wardkeep.core.errors import WardkeepError
from wardkeep.engine.allowlist_hosts import judge_platform
from wardkeep.engine.allowlist_review import campaigns
from wardkeep.engine.allowlist_standing import UNKNOWN, UNUSED, Standing
from wardkeep.engine.declared import declared
from wardkeep.engine.platform import Platform

PAGE: Final = 200  # entries of one page, and findings of one view
SOON: Final = timedelta(days=30)
RANK: Final = ("high", "medium", "low")


EntryView: TypeAlias = dict[str, Any]
"""An entry of the file (see `allowlists.views`), and beside its keys: `state` of being in force (in force, not, unknown; over once
it has expired; denied for a denial), `soon` if it ends within 30 days, the hosts of each kind (with why), and `used`."""


@dataclass(frozen=True)
class ReviewView:
    """The last review campaign of the allowlist. `left`: entries nobody has signed yet."""

    name: str
    begun: str
    begun_by: str
    closed: str
    state: str
    counts: dict[str, int]
    left: int


@dataclass(frozen=True)
class AllowlistPage:
    """The declared entries of one page, what the audit finds, and where the review stands. `problem`: why none of it is known.

    `counts`: what to show (`SHOW`) → entries; `shown` are those of the choice, `after` where the next page begins. `findings`
    are the first `PAGE`, the most pressing first, of `found`.
    """

    problem: str
    counts: dict[str, int]
    shown: int
    entries: tuple[EntryView, ...]
    after: int | None
    findings: tuple[dict[str, Any], ...]
    found: int
    review: ReviewView | None


SHOW: Final[dict[str, Callable[[EntryView], bool]]] = {
    "expired": lambda one: bool(one["expired"]),
    "ends soon": lambda one: one["soon"],
    "not in force": lambda one: one["state"] == "not",
    "never used": lambda one: one["used"].state == UNUSED,
    "use not known": lambda one: one["used"].state == UNKNOWN,
}


def allowlist_page(platform: Platform, now: datetime, *, show: str = "", start: int = 0) -> AllowlistPage:
    """The platform's allowlist as of a moment; `show`: only these entries (a key of `SHOW`)."""
    today = now.date()
    try:
        judged = judge_platform(platform, today)
        views = [
            _view(entry_view(one, today), judged.standing[one.key], today)
            for one in declared(platform.config).entries
        ]
        review = _review(platform)
    except WardkeepError as e:
        return AllowlistPage(e.line(), {}, 0, (), None, (), 0, None)
    counts = {name: sum(map(wanted, views)) for name, wanted in SHOW.items()}
    chosen = [one for one in views if not show or SHOW[show](one)]
    found = sorted(judged.defects, key=lambda one: (one.unknown, RANK.index(one.severity)))
    return AllowlistPage(
        "",
        {"all": len(views), **counts},
        len(chosen),
        tuple(chosen[start : start + PAGE]),
        start + PAGE if start + PAGE < len(chosen) else None,
        tuple(map(defect_view, found[:PAGE])),
        len(found),
        review,
    )


def _view(entry: dict[str, Any], standing: Standing, today: date) -> EntryView:
    ends = date.fromisoformat(entry["expires"]) if entry["expires"] else None
    soon = ends is not None and today <= ends <= today + SOON
    state = "denied" if entry["action"] != "allow" else "over" if entry["expired"] else standing.state
    hosts = {
        "in_force_on": standing.in_force,
        "not_in_force_on": standing.not_in_force,
        "not_known_on": standing.unclear,
    }
    return {**entry, "state": state, "soon": soon, **hosts, "used": standing.used}


def _review(platform: Platform) -> ReviewView | None:
    begun = campaigns(platform)
    if not begun:
        return None
    last = begun[-1]
    return ReviewView(
        last.name, last.begun, last.begun_by, last.closed, last.state, last.counts(), len(last.left)
    )
