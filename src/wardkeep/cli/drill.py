"""`wardkeep drill`: prove controls by exercising them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from wardkeep.cli.options import Json, State
from wardkeep.core.errors import BadInput, WardkeepError
from wardkeep.core.facts import PLATFORM

if TYPE_CHECKING:
    from rich.console import Console

    from wardkeep.engine.drills import Drilled


def command(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CONTROL]…", help="Rows; all that can be drilled when none."),
    ] = None,
    hosts: Annotated[
        list[str] | None, typer.Option("--host", metavar="HOST", help="Only this host; may be given again.")
    ] = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Exercise controls: try what must not be possible, and what must. What a drill leaves behind is undone.

    Example: wardkeep drill system_access --host app-1. Exit status: 0 all pass, 1 something fails, 3 something could not be tried.
    """
    from wardkeep.cli.terminal import console, exit_status, note, print_json, progress
    from wardkeep.engine.drills import Drilled, with_drill
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.hosts import find_host, list_hosts
    from wardkeep.engine.platform import named, open_platform, operator
    from wardkeep.engine.platform_drills import drill, drills_of
    from wardkeep.engine.workers import finish_interrupted, open_workers

    with open_platform(find_folder(state)) as platform:
        controls = list(with_drill(named(platform.controls, names or []), bool(names)))
        where = [find_host(platform, name) for name in hosts or []] or list_hosts(platform)
        pairs = list(drills_of(controls, where, platform=bool(names) or not hosts))
        if not pairs:
            raise BadInput("there is nothing to drill", todo="Add a host: `wardkeep host add`.")
        done: list[Drilled] = []
        with open_workers(platform) as durable, progress("drilling", quiet=json) as step:
            finish_interrupted(durable, note)
            for number, (control, host) in enumerate(pairs, start=1):
                place = host.name if host else PLATFORM
                try:
                    done.append(drill(platform, durable, control, host, operator()))
                except WardkeepError as e:  # another change is being made there, say: the others go on
                    done.append(Drilled(control.id, place, "unknown", e.line(), 0, (), None))
                step(f"{control.id} on {place}", number, len(pairs))
    if json:
        print_json([asdict(one) for one in done])
    else:
        for one in done:
            show_drill(console(), one)
    raise typer.Exit(exit_status(one.verdict for one in done))


def show_drill(out: Console, one: Drilled) -> None:
    """The outcome, and each step with what was seen."""
    from wardkeep.cli.terminal import SHAPES

    shape, colour = SHAPES[one.verdict]
    recorded = "not on record" if one.entry is None else f"entry {one.entry}"
    head = f"{shape} {one.control} on {one.host}: {one.summary} ({one.seconds} s, {recorded})"
    out.print(head, style=colour)
    for step in one.steps:
        shape, colour = SHAPES[step.verdict]
        out.print(f"   {shape} {step.step} ({step.seconds:.1f} s)", style=colour)
        out.print(f"     {step.seen}")
