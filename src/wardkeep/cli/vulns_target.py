"""What `wardkeep vulns` looks at: a host, an image, a folder or a file."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardkeep.core.errors import BadInput

if TYPE_CHECKING:
    from wardkeep.advisories.components import Inventory

Target = Annotated[
    str, typer.Argument(metavar="[TARGET]", help="A host's name, or a path; else this machine.")
]
Image = Annotated[
    str,
    typer.Option("--image", metavar="NAME", help="Which image of an archive: a tag, digest or platform."),
]

SYSTEM_ONLY = (
    "its packages of the system were asked for, and no others: `wardkeep vulns scan /` on it reads language packages and programs too,"
    " `wardkeep check vulnerability_scanning` the images that run"
)


def folder_of(state: Path | None) -> Path:
    """Where the platform's advisories are."""
    from wardkeep.engine.folder import ADVISORIES, find_folder

    return find_folder(state) / ADVISORIES


def read_target(target: str, folder: Path, now: datetime, image: str = "") -> Inventory:
    """What the target holds. Raises BadInput for what is neither a file nor a host known here."""
    from wardkeep.advisories.components import Notice
    from wardkeep.advisories.inventories import read_path
    from wardkeep.engine.folder import CONFIG
    from wardkeep.engine.inventories import ask_host, inventory_of, support_notices
    from wardkeep.fleet import Host

    path = Path(os.path.expanduser(target))  # which leaves `~nobody` as it is
    if target and ("/" in target or os.path.lexists(path)):
        made = read_path(path, image)
        if made.release != ("", ""):
            made.notices += support_notices(made.release, " ".join(made.release), now.date())
        return made
    if image:
        raise BadInput("--image says which image of an archive, and no archive is given")
    host, keys = Host("localhost", "local:"), None
    if target:
        if not (folder.parent / CONFIG).is_file():
            raise BadInput(f"`{target}` is no file, and there is no platform here that knows a host by it")
        from wardkeep.cli.host import keyring
        from wardkeep.engine.hosts import find_host
        from wardkeep.engine.platform import open_platform

        with open_platform(folder.parent) as platform:
            host, keys = find_host(platform, target), keyring()
    made = inventory_of(ask_host(host, keys), now.date())
    made.notices.append(Notice("system_only", made.name, SYSTEM_ONLY, is_unknown=False))
    return made
