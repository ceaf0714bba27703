"""The matrix in the terminal and as JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from wardkeep.cli.terminal import SHAPES, ago, state, table
from wardkeep.core.findings import Verdict
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
            state(row.status.value, row.built), title, _counts(row), marks, ago(row.last_observed), drilled
        )
    made.expand = True
    out.print(made)
    out.print(Text("verbs: o observe, a assess, r remediate, d drill; · not there", style="dim"))


def _counts(row: RowView) -> Text:
    """`▲7 ?2 ●31`: only what there is."""
    text = Text()
    for verdict in ("fail", "unknown", "pass"):
        if row.findings[verdict]:
            shape, colour = SHAPES[verdict]
            text.append(f"{shape}{row.findings[verdict]} ", style=colour)
    return text


def as_json(row: RowView) -> dict[str, Any]:
    """The documented JSON form of a row (docs/json.md)."""
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
    }
