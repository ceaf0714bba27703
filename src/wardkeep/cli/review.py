"""`wardkeep review`: say that a person's review was done."""

from __future__ import annotations

from typing import Annotated

import typer

from wardkeep.cli.options import Json, State


def command(
    row: Annotated[
        str,
        typer.Argument(
            metavar="ROW", help="system_access, firewall_audit, vm_scans or vulnerability_review."
        ),
    ],
    says: Annotated[
        str, typer.Option("--says", metavar="TEXT", help="What was looked at, and what came of it.")
    ],
    state: State = None,
    json: Json = False,
) -> None:
    """Put a review that a person did on record: until the next is due, the row's review counts as done in time.

    Example: wardkeep review system_access --says "All 12 accounts checked with their owners; bob removed."
    Exit status: 0; 2 for a row that has no review.
    """
    from wardkeep.cli.terminal import console, print_json
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform, operator
    from wardkeep.engine.schedules import attest

    with open_platform(find_folder(state)) as platform:
        entry = attest(platform, row, says=says, by=operator())
    if json:
        print_json({"control": row, "entry": entry})
        return
    console().print(f"Review of {row} recorded as entry {entry}.")
