"""`wardkeep check`: observe and assess now."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from wardkeep.cli.options import Json, State


def command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[CONTROL|HOST]…", help="Rows and hosts; all when none.")
    ] = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Observe and assess now. Nothing on any host changes.

    Example: wardkeep check firewall app-1. Exit status: 0 all pass, 1 something fails, 3 something is unknown.
    """
    from wardkeep.cli.pressing import show_pressing
    from wardkeep.cli.terminal import console, exit_status, print_json, progress
    from wardkeep.engine.cycle import check
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform, operator
    from wardkeep.engine.selection import select_targets

    with open_platform(find_folder(state)) as platform:
        targets = select_targets(platform, names or [])
        with progress("checking", quiet=json) as step:
            # Who names a row wants to know how it is now: what takes longer is asked anew as well.
            named = len(targets.controls) < len(platform.controls)
            cycle = check(platform, operator(), targets.hosts, targets.controls, step, deep=named)
        profile = platform.config.profile
    found = cycle.findings
    if json:
        print_json(
            {
                "profile": {"name": profile.name, "label": profile.label},
                "hosts": [
                    {
                        "host": one.subject,
                        "problem": one.problem,
                        "entry": one.entry,
                        "findings": [asdict(f) for f in one.findings],
                    }
                    for one in cycle.checked
                ],
                "counts": {v: sum(f.verdict == v for f in found) for v in ("pass", "fail", "unknown")},
            }
        )
    else:
        out = console()
        out.print(f"Profile {profile.title}", style="dim", markup=False)
        show_pressing(out, found)
    raise typer.Exit(exit_status(finding.verdict.value for finding in found))
