"""`wardkeep install`: Wardkeep as a service of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wardkeep.cli.options import Json
from wardkeep.engine.folder import SYSTEM_FOLDER


def command(
    show: Annotated[
        bool, typer.Option("--print", help="Print the unit and the commands; change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Stop the service and remove its unit; the state stays.")
    ] = False,
    folder: Annotated[
        Path, typer.Option("--state", metavar="FOLDER", help="The service's state folder.")
    ] = SYSTEM_FOLDER,
    json: Json = False,
) -> None:
    """Install Wardkeep as a hardened systemd service with its own user and no privileges.

    Example: wardkeep install --print. Exit status: 0 done, 2 refused or not possible here.
    """
    from wardkeep.cli.terminal import print_json
    from wardkeep.core.errors import BadInput
    from wardkeep.engine.installation import carry_out, plan_installation, take_out

    if remove:
        was_there = take_out()
        if json:
            print_json({"removed": was_there, "state": str(folder)})
        elif was_there:
            typer.echo(f"The service is removed. Its state stays in {folder}.")
        else:
            typer.echo("No service of Wardkeep is installed here; nothing was done.")
        return
    wanted = plan_installation(folder)
    if not json:
        typer.echo(f"# {wanted.path}\n{wanted.unit}")
        for one in wanted.commands:
            typer.echo("$ " + " ".join(one))
    elif not (show or yes):
        raise BadInput("a program is not asked", where="--json", todo="Say --yes, or --print to see it.")
    if not show:
        if not yes and typer.prompt("Type `install` to do this") != "install":
            raise typer.Exit(2)
        carry_out(wanted)
    if json:
        plan = {
            "path": str(wanted.path),
            "unit": wanted.unit,
            "commands": [list(one) for one in wanted.commands],
        }
        print_json({**plan, "installed": not show})
    elif not show:
        typer.echo("Wardkeep runs. Its sign-in link: journalctl -u wardkeep -g sign-in")
