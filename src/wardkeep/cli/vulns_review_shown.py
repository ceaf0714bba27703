"""How the review is shown: a case for programs, the queue and one case in a terminal."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from wardkeep.advisories.severity import words_of

if TYPE_CHECKING:
    from wardkeep.engine.flaw_review.cases import Case, CaseAsset

SHOWN = 50


def plain(case: Case, now: datetime) -> dict[str, Any]:
    """A case for programs."""
    told = case.told
    return {
        "id": case.flaw,
        "aliases": told.get("aliases", []),
        "package": case.package,
        "state": case.state,
        "fixed": told.get("fixed", []),
        "severity": case.severity,
        "severity_source": told.get("severity_source", ""),
        "kev": case.exploited or None,
        "epss": told.get("epss"),
        "risk": case.risk,
        "risk_because": told.get("because", ""),
        "hosts": case.hosts,
        "listens": told.get("listens", {}),
        "since": case.since.isoformat(),
        "due": case.due.date().isoformat(),
        "days_left": (case.due.date() - now.date()).days,
        "overdue": case.is_late(now),
        "opened": case.opened,
        "closed": case.closed,
        "how": case.how or None,
        "decision": case.decision or None,
        "decided": case.decided,
        "decided_by": case.decided_by or None,
        "said": dict(case.said),
        "advisory": told.get("advisory") or None,
        "summary": told.get("summary", ""),
        "why": told.get("why", ""),
    }


def show_queue(
    every: list[Case], cases: list[Case], minor: int, now: datetime, *, is_known: bool = True
) -> None:
    """How all of the queue stands in one line, then the cases asked for. `is_known` is false where nothing could be asked."""
    from wardkeep.cli.terminal import console, table

    out = console()
    still = [case for case in every if case.closed is None]
    undecided = sum(not case.decision for case in still)
    late = sum(case.is_late(now) for case in still)
    if still or is_known:
        many = f"{len(still):,} flaw{'s concern' if len(still) != 1 else ' concerns'} the fleet"
        out.print(
            f"{many}, {undecided:,} undecided, {late:,} late; {minor:,} more are called minor by the vendor."
        )
    else:
        out.print("What concerns the fleet is not known.")
    if not cases:
        return
    made = table(
        ("risk", {"justify": "right"}),
        "flaw",
        "package",
        "severity",
        ("hosts", {"justify": "right"}),
        "fix",
        "due",
        "decision",
    )
    for case in cases[:SHOWN]:
        made.add_row(
            str(case.risk),
            case.flaw,
            case.package,
            f"{words_of(case.severity)}{' KEV' if case.exploited else ''}",
            str(case.hosts),
            "released" if case.state == "fix_available" else case.state.replace("_", " "),
            countdown(case, now),
            case.how or case.decision.replace("_", " ") or "-",
        )
    out.print(made)
    if len(cases) > SHOWN:
        out.print(f"and {len(cases) - SHOWN:,} more: --json shows all.", style="dim")


def countdown(case: Case, now: datetime) -> str:
    """`2026-12-07, 15 d`, `2026-11-07, 15 d late`."""
    if case.closed is not None:
        return f"closed {case.closed:%Y-%m-%d}"
    days = (case.due.date() - now.date()).days
    return f"{case.due:%Y-%m-%d}, " + (
        f"{days} d" if days >= 0 else f"{-days} d {'late' if case.is_late(now) else 'past'}"
    )


def _decision(case: Case) -> list[str]:
    """What was decided with all that goes with it; of an open case, why it is open again."""
    said = case.said
    why = str(said.get("says") or "")
    if not case.decision:
        return ["Nobody decided about it." if not why else f"It is open again: {why}."]
    words = case.decision.replace("_", " ")
    if justification := str(said.get("justification") or ""):
        words += f" ({justification.replace('_', ' ')})"
    told = [f"{words} by {case.decided_by} on {case.decided:%Y-%m-%d}{': ' if why else ''}{why}"]
    more = (("owner", "owner"), ("until", "until"), ("instead", "compensating"), ("stated by", "source"))
    parts = [f"{name} {said[key]}" for name, key in more if said.get(key)]
    parts += ["ends as soon as a fix is released"] * bool(said.get("until_fixed"))
    return told + ([f"  {'; '.join(parts)}"] if parts else [])


def show_case(case: Case, assets: list[CaseAsset], now: datetime) -> None:
    from wardkeep.cli.terminal import console, table

    out = console()
    told = case.told
    out.print(
        f"{case.flaw}  {case.package}  severity {words_of(case.severity, told.get('severity_source', ''))}",
    )
    names = ", ".join(told.get("aliases", ()))
    for line in (names and f"also {names}", told.get("summary", ""), told.get("why", "")):
        if line:
            out.print(line)
    out.print(f"Risk {case.risk}: {told.get('because', '')}")
    out.print(f"Its clock runs since {case.since}; {countdown(case, now)}.")
    for line in _decision(case):
        out.print(line)
    made = table("host", "installed", "fixed by", "since", "")
    for one in assets:
        ended = f"{one.how} {one.closed:%Y-%m-%d}" if one.closed else one.state.replace("_", " ")
        made.add_row(one.host, one.version, one.fixed or "-", f"{one.opened:%Y-%m-%d}", ended)
    out.print(made)
