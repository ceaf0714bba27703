"""`wardkeep plan`: what would be changed, and why; nothing is done."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wardkeep.cli.options import Json, State

if TYPE_CHECKING:
    from rich.console import Console

    from wardkeep.engine.apply.records import Stored
    from wardkeep.engine.plans import AnyChange, NoRemedy, Withheld
    from wardkeep.engine.workers import NotPlanned

SHORT = 12  # lines of a script that are read in passing


def command(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[HOST|CONTROL|PLAN]…", help="Hosts and rows, all when none; or one plan made before."
        ),
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="The plans there are, and what became of them.")
    ] = False,
    state: State = None,
    json: Json = False,
) -> None:
    """Look at the hosts now and show what would bring them to the policy. Nothing on any host changes.

    Example: wardkeep plan app-1 system_access. A plan's id shows that plan again, with every line of its scripts. Exit status: 0 nothing to change and nothing in the way, 1 changes are
    planned or something cannot be mended, 3 something could not be looked at.
    """
    from wardkeep.cli.terminal import console, exit_status, print_json, progress
    from wardkeep.engine.apply.records import find_plan
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.hosts import list_hosts
    from wardkeep.engine.platform import open_platform, operator
    from wardkeep.engine.selection import select_targets
    from wardkeep.engine.workers import NotPlanned, plan_hosts

    with open_platform(find_folder(state)) as platform:
        if listed:
            show_list(console(), platform, json)
            return
        if names and len(names) == 1 and names[0].startswith("p-"):
            again = find_plan(platform, names[0])
            print_json(as_json(again)) if json else show_plan(console(), again, whole=True)
            raise typer.Exit(exit_status([verdict_of(again)]))
        targets = select_targets(platform, names or [])
        hosts = targets.hosts if targets.hosts is not None else list_hosts(platform)
        with progress("planning", quiet=json) as step:
            made = asyncio.run(plan_hosts(platform, hosts, targets.controls, operator(), progress=step))
    if json:
        print_json([as_json(one) for one in made])
    else:
        for one in made:
            if isinstance(one, NotPlanned):
                console().print(f"? {one.host}: no plan. {one.why}", style="yellow")
            else:
                show_plan(console(), one)
    raise typer.Exit(exit_status(verdict_of(one) for one in made))


def verdict_of(stored: Stored | NotPlanned) -> str:
    """`fail` when something is to be changed or cannot be, `unknown` when something could not be looked at."""
    from wardkeep.engine.workers import NotPlanned

    if isinstance(stored, NotPlanned):
        return "unknown"
    plan = stored.plan
    if plan.changes or plan.withheld or plan.cannot:
        return "fail"
    return "unknown" if plan.unknown else "pass"


def as_json(stored: Stored | NotPlanned) -> dict[str, Any]:
    from wardkeep.engine.workers import NotPlanned

    if isinstance(stored, NotPlanned):
        return {"host": stored.host, "problem": stored.why, "changes": []}
    return {"id": stored.id, "digest": stored.digest, "entry": stored.entry, **stored.plan.data()}


def show_plan(out: Console, stored: Stored, whole: bool = False) -> None:
    """A plan as a person reads it: the changes with their diffs first, then what is not done and why.

    Scripts longer than `SHORT` lines are told by their length, unless the plan is shown `whole`.
    """
    plan = stored.plan
    count = len(plan.changes)
    none = "nothing is changed; what would be is refused" if plan.withheld else "nothing to change"
    head = f"{plan.host}: {count} change{'s' * (count != 1)}" if count else f"{plan.host}: {none}"
    out.print(head, style="bold")
    for number, change in enumerate(plan.changes, start=1):
        out.print()
        out.print(f"{number}. {change.says}", style="bold")
        for line in change_lines(change, stored.id, whole):
            style = {"+": "green", "-": "red", "@": "dim"}.get(line[:1], "") if change_is_file(change) else ""
            indented(out, line, style)
    _show_refused(out, plan.withheld)
    _show_rest(out, "Cannot be mended by a change", plan.cannot)
    _show_rest(out, "Could not be looked at", plan.unknown)
    if count:
        out.print()
        out.print(f"Plan {stored.id}. Carry out exactly this: wardkeep apply {stored.id}")


def indented(out: Console, text: str, style: str = "", left: int = 3) -> None:
    """A line set in; what is too long for the width goes on below, set in as well."""
    from rich.padding import Padding
    from rich.text import Text

    out.print(Padding(Text(text, style=style), (0, 0, 0, left), expand=False))


def change_is_file(change: AnyChange) -> bool:
    from wardkeep.engine.plans import FileChange

    return isinstance(change, FileChange)


def change_lines(change: AnyChange, plan: str, whole: bool) -> list[str]:
    """What a change does, line by line."""
    from wardkeep.engine.plans import FileChange, UpgradeChange

    lines: list[str] = []
    if isinstance(change, FileChange):
        lines += change.diff.splitlines()
        lines += [f"then check: {command}" for command in change.check]
        lines += [f"then put into force: {command}" for command in change.activate]
    elif isinstance(change, UpgradeChange):
        lines += [f"{name}  {before} → {to}" for name, before, to in change.packages]
        lines += [f"{name}  {before or 'new'} → {to}  (apt needs it)" for name, before, to in change.also]
        lines += [f"Restarts: {', '.join(change.restarts)}"] if change.restarts else []
        lines += ["Taken back by installing the versions before, while the archive has them"]
    else:
        lines += _script_lines("runs", change.script, plan, whole)
        lines += _script_lines("undo", change.undo, plan, whole) or ["nothing to undo"]
        lines += [f"before it is confirmed, tried from here: {probe.says}" for probe in change.probes]
    if change.confirmed:
        lines.append("The host takes it back by itself unless a new connection confirms it within a minute")
    lines.append(f"for {', '.join(change.rules)}")
    return lines


def _script_lines(what: str, script: str, plan: str, whole: bool) -> list[str]:
    lines = script.expandtabs(2).splitlines()
    if not whole and len(lines) > SHORT:
        return [f"{what}: a script of {len(lines)} lines; every one: wardkeep plan {plan}"]
    return [f"{what}: {line}" for line in lines]


def _show_refused(out: Console, withheld: Sequence[Withheld]) -> None:
    """What is not done: once for each reason, however many changes it keeps from being made, and for however many rules; and once
    for all the reasons against one change."""
    before = ""
    alike: dict[tuple[str, str], list[Withheld]] = {}
    for one in withheld:
        alike.setdefault((one.reason, one.todo), []).append(one)
    for (reason, todo), those in alike.items():
        rules = list(dict.fromkeys(one.rule for one in those))
        refused = f"Refused: {_some(list(dict.fromkeys(one.says for one in those)))}"
        if refused != before:
            out.print()
            out.print(refused, style="bold")
        before = refused
        indented(out, f"{reason}. {todo}")
        indented(out, f"rule{'s' * (len(rules) > 1)} {', '.join(rules)}", "dim")


def _show_rest(out: Console, title: str, rest: tuple[NoRemedy, ...]) -> None:
    if not rest:
        return
    alike: dict[str, list[NoRemedy]] = {}
    for one in rest:
        alike.setdefault(one.reason, []).append(one)
    out.print()
    out.print(f"{title}:", style="bold")
    for reason, those in alike.items():
        indented(out, reason)
        for one in those:
            indented(out, f"{one.says} ({one.rule}: {_some(one.subjects)})", "dim", left=5)


def _some(names: Sequence[str], most: int = 4) -> str:
    more = len(names) - most
    return ", ".join(names) if more < 2 else f"{', '.join(names[:most])} and {more} more"


def show_list(out: Console, platform: Any, json: bool) -> None:
    """What was carried out, the newest first, and the newest plan of each host that was not."""
    from wardkeep.cli.terminal import ago, print_json, table
    from wardkeep.engine.apply.records import latest_plan, list_applies
    from wardkeep.engine.hosts import list_hosts

    done = list_applies(platform)
    waiting = [
        stored
        for host in list_hosts(platform)
        if (stored := latest_plan(platform, host.name)) and stored.plan.changes
    ]
    if json:
        rows = [{"plan": s.id, "host": s.plan.host, "state": "planned", "at": s.created} for s in waiting]
        rows += [
            {"plan": a.plan, "host": a.host, "state": a.state, "at": a.begun, "apply": a.id, "undoes": a.undoes, "summary": a.summary}
            for a in done
        ]  # fmt: skip
        print_json(rows)
        return
    shown = table("plan", "host", "state", "when", "what")
    for stored in waiting:
        shown.add_row(
            stored.id, stored.plan.host, "planned", ago(stored.created), f"{len(stored.plan.changes)} changes"
        )
    for one in done:
        shown.add_row(one.plan, one.host, one.state, ago(one.begun), one.summary)
    out.print(shown)
