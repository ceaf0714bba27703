"""`wardkeep doctor`: what is wrong with this installation."""

from __future__ import annotations

from dataclasses import asdict

import typer

from wardkeep.cli.options import Json, State


def command(state: State = None, json: Json = False) -> None:
    """Say what is wrong with this installation and what to do. Changes nothing.

    Example: wardkeep doctor. Exit status: 0 all well, 1 something is wrong, 3 something is unknown.
    """
    from wardkeep.cli.terminal import console, exit_status, print_json
    from wardkeep.cli.terminal import state as shown
    from wardkeep.engine.doctor import examine
    from wardkeep.engine.folder import find_folder

    examined = list(examine(find_folder(state)))
    if json:
        print_json([asdict(one) for one in examined])
    else:
        out = console()
        for one in examined:
            line = shown(one.verdict.value)
            line.pad_right(max(0, 10 - len(line)))
            line.append(f"{one.what}: {one.seen}", style="default")
            out.print(line)
            if one.todo:
                out.print(f"          {one.todo}")
    raise typer.Exit(exit_status(one.verdict.value for one in examined))
