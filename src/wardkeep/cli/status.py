"""`wardkeep status` (also `controls`): the matrix, now or as of a past moment."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from wardkeep.cli.options import Json, State

if TYPE_CHECKING:
    from datetime import datetime

    from wardkeep.engine.platform import Platform


def command(
    as_of: Annotated[
        str,
        typer.Option(
            "--as-of", metavar="TIME", help="A past day (its end, UTC) or time; read from the ledger."
        ),
    ] = "",
    state: State = None,
    json: Json = False,
) -> None:
    """The matrix: every row with its verdicts, last observation and last drill.

    Example: wardkeep status --as-of 2026-11-21. Exit status: 0 all rows hold, 1 a row fails, 3 a row is unknown.
    """
    from wardkeep.cli.matrix import as_json, show_matrix
    from wardkeep.cli.moments import read_past
    from wardkeep.cli.terminal import console, exit_status, print_json
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform
    from wardkeep.engine.views import matrix

    with open_platform(find_folder(state)) as platform:
        if as_of:
            _show_past(platform, read_past(as_of, "--as-of"), json)
        rows = matrix(platform)
        if json:
            print_json([as_json(row, platform.config.profile) for row in rows])
        else:
            show_matrix(console(), rows, platform.config.profile.title)
    raise typer.Exit(exit_status(row.status.value for row in rows))


def _show_past(platform: Platform, when: datetime, json: bool) -> None:
    from wardkeep.cli.matrix import show_past
    from wardkeep.cli.terminal import console, exit_status, print_json
    from wardkeep.engine.past import matrix_as_of

    rows = matrix_as_of(platform, when)
    if json:
        print_json([asdict(row) for row in rows])
    else:
        show_past(console(), rows, when)
    raise typer.Exit(exit_status(row.status.value for row in rows))
