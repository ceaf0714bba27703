"""`wardkeep vulns sbom`: what a host, an image, a folder or a file holds, as a bill of materials."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from wardkeep.cli.options import Json, State
from wardkeep.cli.vulns_target import Image, Target, folder_of, read_target


class Form(StrEnum):
    """The forms of a bill of materials that are written."""

    CYCLONEDX = "cyclonedx"
    SPDX = "spdx"


def sbom(
    target: Target = "",
    image: Image = "",
    form: Annotated[
        Form, typer.Option("--format", help="CycloneDX 1.6 or SPDX 2.3, as JSON.")
    ] = Form.CYCLONEDX,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="A file to write.")] = None,
    state: State = None,
    json: Json = False,
) -> None:
    """A bill of materials of what is installed, with a package URL for each package; it says what could not be read.

    Example: wardkeep vulns sbom app.tar --format spdx --out app.spdx.json. Exit status: 0 whole, 2 the target cannot be read, 3 a
    part of it could not be read, or holds no package.
    """
    from wardkeep import __version__
    from wardkeep.advisories.inventories.sbom_out import to_cyclonedx, to_spdx, unread
    from wardkeep.cli.pages import json_text, write_file
    from wardkeep.cli.terminal import note, print_json

    now = datetime.now(UTC)
    inventory = read_target(target, folder_of(state), now, image)
    write = to_spdx if form is Form.SPDX else to_cyclonedx
    document = write(inventory, now, __version__)
    missing = unread(inventory)
    text = json_text(document)
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_file(out, text)
        told = {
            "file": str(out),
            "format": form.value,
            "packages": len(inventory.components),
            "unread": missing,
        }
        if json:
            print_json(told)
        else:
            typer.echo(f"{out}: {len(inventory.components):,} packages of {inventory.name} as {form.value}.")
    if not json:
        for line in missing[:20]:
            note(line)
    raise typer.Exit(3 if missing or not inventory.components else 0)
