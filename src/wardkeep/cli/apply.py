"""`wardkeep apply`: carry out a plan, or take it back."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wardkeep.cli.options import Json, State
from wardkeep.core.errors import BadInput, Refused, Unavailable

if TYPE_CHECKING:
    from rich.console import Console

    from wardkeep.engine.apply.records import Stored
    from wardkeep.engine.platform import Platform


def command(
    what: Annotated[str, typer.Argument(metavar="PLAN|HOST", help="A plan's id, or a host to plan for now.")],
    undo: Annotated[bool, typer.Option("--undo", help="Take back what this plan changed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    state: State = None,
    json: Json = False,
) -> None:
    """Carry out exactly this plan, look again, and put both on record. Asks by the host's name first.

    Example: wardkeep apply p-0123456789ab. Exit status: 0 made (or taken back), 1 it failed and was taken back or rules
    still fail, 2 wrong use, 3 nothing was done because the host changed or could not be asked.
    """
    from wardkeep.cli.plan import show_plan
    from wardkeep.cli.terminal import console, note, print_json
    from wardkeep.engine.apply.carry_out import Site
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform, operator
    from wardkeep.engine.workers import apply_plan, finish_interrupted, open_workers, undo_plan

    with open_platform(find_folder(state)) as platform:
        stored = _stored(platform, what, undo)
        out = console()
        if undo and not json:
            count = len(stored.plan.changes)
            out.print(f"Taking back {stored.id} on {stored.plan.host}: {count} changes.")
        elif not json:
            show_plan(out, stored)
        if not undo and not stored.plan.changes:
            if json:
                print_json({"plan": stored.id, "host": stored.plan.host, "state": "nothing", "changes": []})
            return
        if not yes:
            ask(stored.plan.host)
        site = Site(platform, trace=_tell)
        with open_workers(platform, site=site) as durable:
            carry_out = undo_plan if undo else apply_plan
            try:
                finish_interrupted(durable, note)
                outcome = carry_out(platform, durable, stored, operator())
            except KeyboardInterrupt:
                raise Unavailable(
                    "stopped in the middle",
                    where=stored.plan.host,
                    todo="A running Wardkeep goes on with it within 30 s, or the next `wardkeep up`; "
                    f"or take it back: `wardkeep apply --undo {stored.id}`.",
                ) from None
    if json:
        print_json(outcome)
    else:
        show_outcome(out, outcome)
    raise typer.Exit(exit_of(outcome, undo))


def exit_of(outcome: dict[str, Any], undo: bool = False) -> int:
    """0 as wanted, and what was to be mended passes; 3 nothing was done; 1 otherwise."""
    if outcome["state"] == "refused":
        return 3
    if undo:
        return 0 if outcome["state"] == "undone" else 1
    verdicts = [v for seen in outcome["after"]["verdicts"].values() for v in seen.values()]
    return 0 if outcome["state"] == "applied" and all(v == "pass" for v in verdicts) else 1


def ask(host: str) -> None:
    """Ask a person to type the host's name. Raises Refused for anything else."""
    if not sys.stdin.isatty():
        raise BadInput(
            "nobody is there to be asked", where="apply", todo="Add --yes to do it without asking."
        )
    sys.stderr.write(f"\nType the host's name to change it ({host}): ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != host:
        raise Refused("the name was not typed; nothing was changed", where=host)


def _stored(platform: Platform, what: str, undo: bool) -> Stored:
    from wardkeep.engine.apply.records import find_plan, list_applies
    from wardkeep.engine.hosts import find_host
    from wardkeep.engine.platform import operator
    from wardkeep.engine.workers import plan_host

    if what.startswith("p-"):
        return find_plan(platform, what)
    host = find_host(platform, what)
    if not undo:
        return asyncio.run(plan_host(platform, host, platform.controls, operator()))
    for one in list_applies(platform):
        if one.host == host.name and not one.undoes and one.state != "refused":
            return find_plan(platform, one.plan)
    raise BadInput(f"nothing was changed on `{what}`", todo="See `wardkeep plan --list`.")


def _tell(point: str) -> None:
    """Each step on stderr as it begins, for whoever watches."""
    step, _, moment = point.partition(": ")
    if moment == "before" and sys.stderr.isatty():
        sys.stderr.write(f"  {step}\n")


def show_outcome(out: Console, outcome: dict[str, Any]) -> None:
    from wardkeep.cli.plan import indented
    from wardkeep.cli.terminal import SHAPES

    as_wanted = outcome["state"] == ("undone" if outcome["undoes"] else "applied")
    shape, colour = SHAPES["pass" if as_wanted else "unknown" if outcome["state"] == "refused" else "fail"]
    out.print()
    out.print(f"{shape} {outcome['state']}: {outcome['summary']}", style=colour)
    for change in outcome["changes"]:
        said = f": {change['said']}" if change["said"] else ""
        indented(out, f"{change['number']}. {change['says']}: {change['outcome']}{said}")
        for probe in change.get("probes", ()):
            shape = SHAPES[probe["verdict"] if probe["verdict"] in SHAPES else "unknown"][0]
            indented(out, f"{shape} {probe['says']}: {probe['seen']}", left=6)
    for rule, seen in outcome["after"]["verdicts"].items():
        before = outcome["before"]["verdicts"].get(rule, {})
        for subject in dict.fromkeys((*before, *seen)):
            was, now = before.get(subject, "not spoken of"), seen.get(subject, "not spoken of")
            indented(out, f"{rule} {subject}: {was} → {now}", "dim")
    if outcome["state"] == "applied" and not outcome["undoes"]:
        out.print(f"Take it back with: wardkeep apply --undo {outcome['plan']}")
