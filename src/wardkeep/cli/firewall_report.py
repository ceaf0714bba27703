"""How `wardkeep firewall audit` looks in a terminal: the answer first, then what presses, then the rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.text import Text

from wardkeep.cli.terminal import console, hanging, table

if TYPE_CHECKING:
    from wardkeep.rulesets.audit.model import Report

SHAPES = {"high": ("▲", "red"), "medium": ("▲", "yellow"), "low": ("▲", "dim"), "info": ("○", "dim")}
IDLE = {"nothing": ", which decides nothing", "log": ", which decides only what is logged"}
MOST = 8  # findings of a kind that are shown without --all


def show(report: Report, *, everything: bool) -> None:
    """The report of one rule set; with `everything` no list is cut."""
    from wardkeep.rulesets.audit.model import KINDS, sentence

    out = console()
    out.print(Text(_heading(report), style="bold"))
    for note in report.notes:
        out.print(f"  {note}", style="dim")
    for kind, title in KINDS.items():
        found = [f for f in report.findings if f.kind == kind]
        if not found:
            continue
        out.print(Text(f"\n{title} ({len(found)})", style="bold"))
        for one in found if everything else found[:MOST]:
            shape, style = SHAPES[one.severity] if one.sure else ("?", "yellow")
            hanging(out, (shape, style), one.what)
            if one.witness and kind not in ("gap",):
                out.print(f"    packet: {sentence(one.witness)}", style="dim", soft_wrap=True)
            if one.fix:
                out.print(f"    {_brief(one.fix)}  [{one.id}]", style="dim", soft_wrap=True)
        if not everything and len(found) > MOST:
            out.print(f"  and {len(found) - MOST} more: --all, or --json", style="dim")
    _unknown(report, everything)
    _fix(report)


def _brief(text: str, most: int = 160) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _heading(report: Report) -> str:
    """`rules.v4: 263 rules: 250 live, 13 dead; 2 findings of weight, 3 matches not modelled`."""
    counts = ", ".join(f"{n} {name}" for name, n in report.counts.items() if n)
    total = sum(report.counts.values())
    weights = Counter(f.severity for f in report.findings if f.severity != "info")
    told = ", ".join(f"{weights[s]} {s}" for s in ("high", "medium", "low") if weights[s])
    rules = f"{total} rule{'s' * (total != 1)}: {counts}" if total else "no rule at all"
    return f"{report.name}: {rules}. Findings: {told or 'none of weight'}"


def _unknown(report: Report, everything: bool) -> None:
    if not report.unknown_matches:
        return
    out = console()
    total, idle = len(report.unknown_matches), sum(not m.matters for m in report.unknown_matches)
    out.print(
        Text(
            f"\nMatches that are not modelled ({total}): they hide nothing and prove nothing open",
            style="bold",
        )
    )
    if idle:
        out.print(f"  of {idle} it is proved that no packet fares otherwise", style="dim")
    counted = Counter((m.text, m.decides if not m.matters else "") for m in report.unknown_matches)
    shown = counted.most_common(None if everything else MOST)
    for (text, decides), count in shown:
        shape, told = ("○", IDLE[decides]) if decides else ("?", "")
        out.print(f"{shape} {count} × {_brief(text, 110)}{told}", soft_wrap=True)
    if len(shown) < len(counted):
        out.print(f"  and {len(counted) - len(shown)} other texts: --all, or --json", style="dim")


def _fix(report: Report) -> None:
    if report.removal is None:
        return
    out = console()
    count = len(report.removal.rules)
    told = f"{count} rule{'s' * (count != 1)} can go together"
    if report.removal.proved:
        out.print(
            Text(
                f"\nThe fix: {told}; proved that no packet's fate changes (list: --fix, or --json)",
                style="bold",
            )
        )
    elif report.removal.proved is None:
        out.print(
            Text(f"\nThe fix: whether {told} could not be proved within the work allowed", style="bold")
        )
    else:
        out.print(Text("\nThe fix: no removal was found that keeps every packet's fate", style="bold"))


def show_fix(reports: Iterable[Report]) -> None:
    """One command a line for the rules that can go, dead ones first."""
    import sys

    from wardkeep.rulesets.audit.rules import remedy

    for report in reports:
        if report.removal is None or not report.removal.proved:
            sys.stdout.write(f"# {report.name}: nothing to remove that is proved\n")
            continue
        known = {v.id: v for v in report.rules}
        sys.stdout.write(f"# {report.name}: after these removals no packet's fate changes (proved)\n")
        for rule in reversed(report.removal.rules):
            sys.stdout.write(remedy(known[rule]) + "\n")


def show_rules(report: Report) -> None:
    """Every rule in its place with its verdict."""
    out = console()
    shapes = {"live": "●", "dead": "▲", "removable": "○", "never-called": "○", "undecided": "?"}
    chain = ""
    made = None
    for verdict in report.rules:
        if verdict.chain != chain:
            if made is not None:
                out.print(made)
            chain = verdict.chain
            out.print(Text(f"\n{chain}", style="bold"))
            made = table(("#", {"justify": "right"}), "verdict", ("rule", {"overflow": "fold"}), "hidden by")
        assert made is not None
        cover = ", ".join(c.rpartition(" ")[2] for c in verdict.cover[:6])
        made.add_row(
            str(verdict.position), f"{shapes[verdict.verdict]} {verdict.verdict}", verdict.text, cover
        )
    if made is not None:
        out.print(made)
