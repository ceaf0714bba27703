"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

State = Annotated[
    Path | None,
    typer.Option("--state", metavar="FOLDER", help="The platform's state folder (or $WARDKEEP_STATE)."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object or array on stdout.")]
