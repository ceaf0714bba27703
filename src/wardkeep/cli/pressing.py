"""What presses most, in the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from rich.console import Console
from rich.text import Text

from wardkeep.cli.terminal import SHAPES


class Told(Protocol):
    """What every form of a finding has."""

    @property
    def rule(self) -> str: ...
    @property
    def says(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def verdict(self) -> str: ...
    @property
    def severity(self) -> str: ...
    @property
    def seen(self) -> str: ...
    @property
    def todo(self) -> str: ...


RANK = {"critical": 0, "high": 1, "medium": 2, "low": 3}


def show_unreached(out: Console, unreached: Iterable[tuple[str, str]], limit: int = 6) -> None:
    """The hosts that could not be asked, as (name, problem): a line each, the rest counted."""
    shape, colour = SHAPES["unknown"]
    known = sorted(unreached)
    for host, problem in known[:limit]:
        line = Text(f"{shape} ", style=colour)
        line.append(f"{host} could not be looked at: ", style="bold")
        out.print(line.append(problem))
    if len(known) > limit:
        out.print(Text(f"  and {len(known) - limit} more: wardkeep host list", style="dim"))


def show_pressing(
    out: Console, found: Sequence[Told], limit: int = 6, unreached: Iterable[tuple[str, str]] = ()
) -> None:
    """The hosts that could not be asked; then the failing rules, the most severe first: what was seen, where, and what to do.

    One paragraph a rule. `unreached` holds (name, problem).
    """
    failing = sorted(
        (f for f in found if f.verdict == "fail"), key=lambda f: (RANK[f.severity], f.rule, f.host, f.subject)
    )
    out.print()
    show_unreached(out, unreached, limit)
    if not failing:
        unknown = sum(f.verdict == "unknown" for f in found)
        out.print(
            "Nothing fails." + (f" {unknown} findings are unknown, which is not a pass." if unknown else "")
        )
        return
    out.print(Text("Most pressing", style="bold"))
    groups: dict[str, list[Told]] = {}
    for finding in failing:
        groups.setdefault(finding.rule, []).append(finding)
    for alike in list(groups.values())[:limit]:
        finding = alike[0]
        shape, colour = SHAPES["fail"]
        line = Text(f"{shape} ", style=colour)
        line.append(finding.says, style="bold")
        out.print(line)
        out.print(Text(f"  {finding.severity} · {finding.rule}", style="dim"))
        for one in alike[:3]:
            out.print(Text(f"  Fails on {one.host}, {one.subject}: {one.seen}"))
        if more := alike[3:]:
            on = {one.host for one in more}
            where = "there" if on == {alike[2].host} else f"on {len(on)} host{'s' * (len(on) > 1)}"
            out.print(Text(f"  and {len(more)} more {where}", style="dim"))
        if finding.todo:
            out.print(Text(f"  {finding.todo}"))
    if len(groups) > limit:
        out.print(Text(f"  and {len(groups) - limit} more rules: wardkeep findings", style="dim"))
