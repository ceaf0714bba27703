"""How findings of `wardkeep vulns` are shown: for programs, and in a terminal."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

from wardkeep.cli.terminal import console, note, table

if TYPE_CHECKING:
    from wardkeep.advisories.components import Inventory, Notice
    from wardkeep.advisories.database import Database
    from wardkeep.advisories.matching import Match

FAILING = ("fix_available", "no_fix")
MOST_NOTES = 20


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


def show(inventory: Inventory, found: list[Match], unknown: list[str], db: Database, now: datetime) -> None:
    out = console()
    counted = Counter(one.state.value for one in found)
    parts = [
        f"{counted[state]:,} {state.replace('_', ' ')}"
        for state in dict.fromkeys(one.state.value for one in found)
    ]
    out.print(
        f"{inventory.name}: {len(inventory.components):,} packages; {', '.join(parts) or 'nothing affected'}."
    )
    for notice in inventory.notices[:MOST_NOTES]:
        note(f"{notice.subject}: {notice.why}")
    if len(inventory.notices) > MOST_NOTES:
        note(f"and {len(inventory.notices) - MOST_NOTES:,} more like these; `--json` lists all.")
    if inventory.covered:
        note(
            f"{inventory.covered:,} language packages and programs belong to packages of the system, whose vendor decides about them."
        )
    shown = [one for one in found if one.state.value in (*FAILING, "unknown")][:40]
    if shown:
        made = table(
            "flaw", "package", "installed", "fixed", "severity", ("risk", {"justify": "right"}), "due"
        )
        for one in shown:
            due = one.due.isoformat() + (" late" if one.due < now.date() else "") if one.due else "-"
            mark = f"{one.severity}{' KEV' if one.kev else ''}"
            made.add_row(
                one.id,
                one.component.name,
                one.component.version,
                one.fixed or "-",
                mark,
                str(one.risk.value),
                due,
            )
        out.print(made)
        rest = sum(counted[s] for s in (*FAILING, "unknown")) - len(shown)
        if rest > 0:
            out.print(f"and {rest:,} more; `--json` lists all.")
        out.print(
            f"Why: `wardkeep vulns why {shown[0].id} {shown[0].component.name}`. Database of {db.meta['built'][:10]}."
        )
    for line in unknown:
        note(line)
