"""`wardkeep status` (also `controls`): the matrix."""

from __future__ import annotations

import typer

from wardkeep.cli.options import Json, State


def command(state: State = None, json: Json = False) -> None:
    """The matrix: every row with its verdicts, last observation and last drill.

    Example: wardkeep status --json. Exit status: 0 all rows hold, 1 a row fails, 3 a row is unknown.
    """
    from wardkeep.cli.matrix import as_json, show_matrix
    from wardkeep.cli.terminal import console, exit_status, print_json
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform
    from wardkeep.engine.views import matrix

    with open_platform(find_folder(state)) as platform:
        rows = matrix(platform)
        if json:
            print_json([as_json(row) for row in rows])
        else:
            show_matrix(console(), rows, platform.config.profile.title)
    raise typer.Exit(exit_status(row.status.value for row in rows))
