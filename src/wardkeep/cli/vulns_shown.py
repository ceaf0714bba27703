"""How findings of `wardkeep vulns` are shown: for programs, and in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer
from rich.text import Text

from wardkeep.advisories.severity import words_of
from wardkeep.cli.terminal import console, note, table
from wardkeep.core.printable import printable

if TYPE_CHECKING:
    from wardkeep.advisories.components import Inventory, Notice
    from wardkeep.advisories.database import Database
    from wardkeep.advisories.matching import Match

FAILING = ("fix_available", "no_fix")
MOST_NOTES, MOST_ROWS = 20, 40
ALONE = 3  # so many places that something is said of are named one by one


def plain(one: Match, now: datetime) -> dict[str, Any]:
    """A finding for programs."""
    return {
        "id": one.id,
        "aliases": list(one.aliases),
        "package": one.component.name,
        "packages": list(one.component.binaries),
        "ecosystem": one.component.ecosystem,
        "installed": one.component.version,
        "fixed": one.fixed or None,
        "state": one.state.value,
        "severity": one.severity,
        "severity_source": one.severity_source,
        "score": one.score,
        "kev": one.kev or None,
        "epss": one.epss,
        "ssvc": one.ssvc or None,
        "risk": one.risk.value,
        "risk_because": one.risk.because,
        "due": one.due.isoformat() if one.due else None,
        "overdue": bool(one.due and one.due < now.date()),
        "advisory": one.advisory or None,
        "published": one.published or None,
        "summary": one.summary,
        "place": one.component.place or None,
        "why": one.why,
    }


def plain_finding(one: Notice) -> dict[str, Any] | None:
    """What no advisory says, as a finding of the same shape: a release without support, a part that could not be read.

    None for a notice that is neither a failure nor unknown.
    """
    if not one.is_unknown and one.kind != "unsupported_release":
        return None
    return {
        "id": f"wardkeep:{one.kind}",
        "aliases": [],
        "package": one.subject,
        "packages": [],
        "ecosystem": None,
        "installed": None,
        "fixed": None,
        "state": "unknown" if one.is_unknown else "no_fix",
        "severity": "unknown",
        "severity_source": "nobody",
        "score": None,
        "kev": None,
        "epss": None,
        "ssvc": None,
        "risk": None,
        "risk_because": "no advisory speaks of it",
        "due": None,
        "overdue": False,
        "advisory": None,
        "published": None,
        "summary": "",
        "place": None,
        "why": one.why,
    }


def pressing(one: Match) -> tuple[Any, ...]:
    """A sort key: what can be mended first, then by risk."""
    order = ("fix_available", "no_fix", "unknown", "ignored", "not_affected")
    return (order.index(one.state.value), -one.risk.value, one.component.name, one.id)


def plain_notice(one: Notice) -> dict[str, Any]:
    """A notice for programs."""
    return {"kind": one.kind, "subject": one.subject, "why": one.why, "unknown": one.is_unknown}


def told_once(problems: Sequence[str]) -> list[str]:
    """Lines `place: what is wrong`, those that say the same of many places as one."""
    places: dict[str, list[str]] = {}
    for one in problems:
        place, colon, what = one.partition(": ")
        places.setdefault(what if colon else one, []).append(place if colon else "")
    made = []
    for what, some in places.items():
        if len(some) <= ALONE or not some[0]:
            made += [f"{place}: {what}" if place else what for place in dict.fromkeys(some)]
        else:
            made.append(f"{some[0]} and {len(some) - 1:,} more (`--json` names them): {what}")
    return made


def show(inventory: Inventory, found: list[Match], unknown: list[str], db: Database, now: datetime) -> None:
    """The target in one line, what it lacks on stderr, and what concerns it as a table."""
    out = console()
    counted = Counter(one.state.value for one in found)
    parts = [
        f"{counted[state]:,} {state.replace('_', ' ')}"
        for state in dict.fromkeys(one.state.value for one in found)
    ]
    is_whole = not unknown and not any(one.is_unknown for one in inventory.notices)
    nothing = "nothing affected" if is_whole else "nothing known to be affected, and not all is known"
    many = f"{len(inventory.components):,} package{'s' * (len(inventory.components) != 1)}"
    out.print(f"{inventory.name}: {many}; {', '.join(parts) or nothing}.", soft_wrap=True)
    for notice in inventory.notices[:MOST_NOTES]:
        note(f"{notice.subject}: {notice.why}")
    if len(inventory.notices) > MOST_NOTES:
        note(f"and {len(inventory.notices) - MOST_NOTES:,} more like these; `--json` lists all.")
    if inventory.covered:
        note(
            f"{inventory.covered:,} language packages and programs belong to packages of the system, whose vendor decides about them."
        )
    shown = [one for one in found if one.state.value in (*FAILING, "unknown")][:MOST_ROWS]
    if shown:
        whole: dict[str, Any] = {"overflow": "fold"}  # a version cut short says nothing
        made = table(
            ("flaw", {"no_wrap": True}),
            ("package", whole),
            ("installed", whole),
            ("fixed", whole),
            ("severity", whole),
            ("risk", {"justify": "right"}),
            ("due", {"no_wrap": True}),
        )
        for one in shown:
            due = one.due.isoformat() + (" late" if one.due < now.date() else "") if one.due else "-"
            mark = f"{words_of(one.severity, one.severity_source)}{', KEV' if one.kev else ''}"
            fixed = one.fixed or ("not known" if one.state.value == "unknown" else "-")
            row = (one.id, one.component.name, one.component.version, fixed, mark, str(one.risk.value), due)
            made.add_row(*map(Text, row))
        out.print(made)
        rest = sum(counted[s] for s in (*FAILING, "unknown")) - len(shown)
        if rest > 0:
            out.print(f"and {rest:,} more; `--json` lists all.")
        out.print(
            f"Why: `wardkeep vulns why {shown[0].id} {shown[0].component.name}`. Database of {db.meta['built'][:10]}.",
            soft_wrap=True,
        )
    for line in unknown:
        note(line)


def show_the_rest(found: list[Match]) -> None:
    """What the vendor calls minor and what does not concern the target, a line each with its reason."""
    for one in found:
        if one.state.value not in (*FAILING, "unknown"):
            head = f"{one.id} {one.component.name} {one.component.version}"
            typer.echo(printable(f"{head}: {one.state.value.replace('_', ' ')}. {one.why}"))
