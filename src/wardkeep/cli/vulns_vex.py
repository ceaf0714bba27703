"""`wardkeep vulns vex`: statements whether flaws concern packages, in and out."""

from __future__ import annotations

import json as json_module
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from wardkeep.cli.options import Json, State
from wardkeep.core.errors import BadInput

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="OpenVEX, CycloneDX or CSAF, as JSON.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be taken.")] = False,
    state: State = None,
    json: Json = False,
) -> None:
    """Take the statements that a flaw does not concern a package, where nobody decided yet; say of each what became of it.

    Example: wardkeep vulns vex import vendor.openvex.json --dry-run. Exit status: 0; 1 when some statement could not be read;
    2 when the file is no VEX document.
    """
    from wardkeep.advisories.vex.reading import LARGEST
    from wardkeep.cli.terminal import console, note, print_json
    from wardkeep.engine.flaw_review.follow import look_at_row
    from wardkeep.engine.flaw_review.vex import import_vex
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform, operator

    try:
        with file.open("rb") as opened:
            data = opened.read(LARGEST + 1)
    except OSError as e:
        raise BadInput(f"cannot be read ({e.strerror})", where=str(file)) from None
    with open_platform(find_folder(state)) as platform:
        done = import_vex(platform, data, file.name, by=operator(), dry_run=dry_run)
        if not dry_run:
            look_at_row(platform)
    if json:
        print_json({**asdict(done), "dry_run": dry_run})
    else:
        taken = sum(one.taken for one in done.cases)
        console().print(
            f"{done.form} by {done.author or 'nobody named'}: {done.statements} statements, {taken} "
            f"{'would be ' if dry_run else ''}taken, {len(done.cases) - taken} left, {done.unmatched} of nothing in the queue.",
        )
        for one in done.cases:
            console().print(f"  {'taken' if one.taken else 'left '}  {one.flaw} {one.package}: {one.why}")
        for line in done.refused:
            note(line)
    raise typer.Exit(1 if done.refused else 0)


@app.command("export")
def export(
    form: Annotated[str, typer.Option("--form", help="openvex, cyclonedx or csaf.")] = "openvex",
    out: Annotated[Path | None, typer.Option("--out", help="A file to write; else the terminal.")] = None,
    author: Annotated[str, typer.Option(help="Who states it.")] = "",
    state: State = None,
    json: Json = False,
) -> None:
    """State to others what was decided and seen: not affected and why, affected and what to do, fixed. Hosts are not named.

    Example: wardkeep vulns vex export --form csaf --author "Example Clinic" --out vex.json. Exit status: 0; 2 when there is nothing to state.
    """
    from wardkeep import __version__
    from wardkeep.advisories.vex import FORMS, write_vex
    from wardkeep.cli.pages import write_file
    from wardkeep.cli.terminal import console, print_json
    from wardkeep.engine.flaw_review.vex import export_vex
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform, operator

    if form not in FORMS:
        raise BadInput(f"`{form}` is no form", where="--form", todo=f"Write {', '.join(FORMS)}.")
    with open_platform(find_folder(state)) as platform:
        document = export_vex(platform, datetime.now(UTC), author or operator().removeprefix("operator:"))
    text = write_vex(document, form, version=__version__)
    if out is None:
        print_json(json_module.loads(text))
        return
    write_file(out, text)
    if json:
        print_json({"file": str(out), "form": form, "statements": len(document.statements)})
    else:
        console().print(f"{out}: {len(document.statements)} statements.")
