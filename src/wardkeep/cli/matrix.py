"""The matrix in the terminal and as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from wardkeep.cli.terminal import SHAPES, ago, state, table
from wardkeep.core.findings import Verdict
from wardkeep.core.profiles import Profile
from wardkeep.engine.past import PastRow
from wardkeep.engine.views import RowView, score

VERBS = ("observe", "assess", "remediate", "drill")
NEED = {Verdict.FAIL: 0, Verdict.UNKNOWN: 1, Verdict.PASS: 2}


def show_matrix(out: Console, rows: list[RowView], profile: str) -> None:
    """A sentence with the answer, then the 25 rows, what needs somebody first."""
    out.print(Text(score(rows).sentence(), style="bold"))
    out.print(Text(f"Profile {profile}", style="dim"))
    out.print()
    made = table(
        ("", {"no_wrap": True, "min_width": 11}),
        ("row", {"overflow": "fold", "ratio": 1}),
        ("findings", {"no_wrap": True}),
        ("verbs", {"no_wrap": True}),
        ("observed", {"no_wrap": True}),
        ("drilled", {"no_wrap": True}),
    )
    for row in sorted(rows, key=lambda row: (row.built == "none", NEED[row.status], row.number)):
        title = Text(row.title)
        title.append(f"\n{row.id}" + (" · customer" if row.party == "customer" else ""), style="dim")
        notes = [row.reason] if row.reason and row.built != "none" else []
        notes += ["overdue"] * row.overdue + [f"{row.waived} waived"] * bool(row.waived)
        if notes:
            title.append(" · " + ", ".join(notes), style="yellow")
        marks = "".join(verb[0] if verb in row.verbs else "·" for verb in VERBS)
        drilled = state(row.last_drill.verdict) if row.last_drill else Text("never")
        if row.last_drill:
            drilled.append(f"\n{ago(row.last_drill.at)}", style="dim")
        made.add_row(
            state(row.status.value, row.built),
            title,
            _counts(row.findings),
            marks,
            ago(row.last_observed),
            drilled,
        )
    made.expand = True
    out.print(made)
    out.print(Text("verbs: o observe, a assess, r remediate, d drill; · not there", style="dim"))


def _counts(findings: dict[str, int]) -> Text:
    """`▲7 ?2 ●31`: only what there is."""
    text = Text()
    for verdict in ("fail", "unknown", "pass"):
        if findings[verdict]:
            shape, colour = SHAPES[verdict]
            text.append(f"{shape}{findings[verdict]} ", style=colour)
    return text


def as_json(row: RowView, profile: Profile) -> dict[str, Any]:
    """The documented JSON form of a row (docs/json.md). The profile goes with it: a proposed rule must not look like law."""
    return {
        "number": row.number,
        "id": row.id,
        "title": row.title,
        "party": row.party,
        "routine": row.routine,
        "status": row.status.value,
        "reason": row.reason,
        "built": row.built,
        "overdue": row.overdue,
        "waived": row.waived,
        "verbs": list(row.verbs),
        "verbs_absent": row.without,
        "findings": row.findings,
        "last_observed": row.last_observed,
        "last_drill": {"at": row.last_drill.at, "verdict": row.last_drill.verdict}
        if row.last_drill
        else None,
        "next_due": row.next_due,
        "profile": {"name": profile.name, "label": profile.label},
    }


def show_past(out: Console, rows: list[PastRow], when: datetime) -> None:
    """The rows as they stood, with the ledger's entries that say so."""
    holding = sum(row.status is Verdict.PASS for row in rows)
    out.print(
        Text(f"{holding} of {len(rows)} responsibilities held at {when:%Y-%m-%d %H:%M:%S} UTC.", style="bold")
    )
    made = table(
        ("", {"no_wrap": True}),
        ("row", {"overflow": "fold", "ratio": 1}),
        ("findings", {"no_wrap": True}),
        "entries",
    )
    for row in sorted(rows, key=lambda row: (NEED[row.status], row.number)):
        entries = ", ".join(f"{host} {index}" for host, index in sorted(row.rests_on.items())[:3])
        more = f" and {len(row.rests_on) - 3} more" if len(row.rests_on) > 3 else ""
        made.add_row(
            state(row.status.value),
            f"{row.title}\n{row.id}",
            _counts(row.findings),
            (entries or "none") + more,
        )
    made.expand = True
    out.print(made)
