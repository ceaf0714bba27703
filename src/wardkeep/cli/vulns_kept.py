"""`wardkeep vulns scan --keep`, `kept` and `forget`: scans that stay in the review queue."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardkeep.cli.options import Json, State

if TYPE_CHECKING:
    from wardkeep.advisories.components import Inventory


def keep_found(folder: Path, name: str, inventory: Inventory) -> None:
    """Keep what a scan found in the queue of the platform whose advisories are in `folder`."""
    from wardkeep.engine.flaw_review.scans import keep_scan
    from wardkeep.engine.platform import open_platform, operator

    with open_platform(folder.parent) as platform:
        keep_scan(platform, name, inventory, by=operator())


def kept(state: State = None, json: Json = False) -> None:
    """The scans that are kept in the review queue, by `wardkeep vulns scan TARGET --keep NAME`.

    Example: wardkeep vulns kept. Exit status: 0.
    """
    from wardkeep.cli.terminal import console, print_json, table
    from wardkeep.engine.flaw_review.scans import kept_scans
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform

    with open_platform(find_folder(state)) as platform:
        found = kept_scans(platform)
    if json:
        print_json([{"name": name, "at": at} for name, at in found.items()])
        return
    made = table("name", "kept")
    for name, at in found.items():
        made.add_row(name, f"{at:%Y-%m-%d %H:%M}")
    console().print(made)


def forget(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As it was kept.")],
    state: State = None,
    json: Json = False,
) -> None:
    """Take a kept scan out of the review queue.

    Example: wardkeep vulns forget registry.example/app. Exit status: 0; 2 when none is kept under this name.
    """
    from wardkeep.cli.terminal import console, print_json
    from wardkeep.engine.flaw_review.scans import forget_scan
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform, operator

    with open_platform(find_folder(state)) as platform:
        entry = forget_scan(platform, name, by=operator())
    if json:
        print_json({"name": name, "entry": entry})
    else:
        console().print(f"{name} is no longer in the queue (entry {entry}).")
