"""`wardkeep state`: back the platform up, restore it, make its database again from the ledger."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from wardkeep.cli.options import Json, State

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=__doc__)
BackupFile = Annotated[Path, typer.Argument(metavar="FILE", help="The sealed backup.")]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file", metavar="FILE", help="Read the passphrase from its first line; else it is asked."
    ),
]


@app.command()
def backup(
    file: BackupFile, passphrase_file: PassphraseFile = None, state: State = None, json: Json = False
) -> None:
    """Write everything the platform needs into one file that only the passphrase opens. Serving goes on meanwhile.

    Example: wardkeep state backup /mnt/backup/wardkeep-2026-11-22.wkb. Exit status: 0; 2 when it could not be written.
    """
    from wardkeep.cli.terminal import console, print_json, progress
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform
    from wardkeep.engine.state_backup import back_up

    with open_platform(find_folder(state)) as platform:
        passphrase = _passphrase(passphrase_file, twice=True)
        with progress("backing up", quiet=json):
            made = back_up(platform, file, passphrase)
    told = {"file": str(file), "bytes": file.stat().st_size, "entries": made.entries, "made": made.made}
    if json:
        print_json(told)
        return
    console().print(
        f"{file}: {told['bytes']:,} bytes, {made.entries} ledger entries. Without the passphrase it is lost.",
        soft_wrap=True,
    )


@app.command()
def restore(
    file: BackupFile, passphrase_file: PassphraseFile = None, state: State = None, json: Json = False
) -> None:
    """Bring a backup back into an empty state folder, and verify every entry of its ledger.

    Example: wardkeep --state /var/lib/wardkeep state restore wardkeep-2026-11-22.wkb. Exit status: 0; 2 when refused.
    """
    from wardkeep.cli.terminal import console, print_json, progress
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.state_backup import restore as bring_back

    folder = find_folder(state)
    passphrase = _passphrase(passphrase_file, twice=False)
    with progress("restoring", quiet=json):
        restored = bring_back(file, folder, passphrase)
    if json:
        print_json({"folder": str(folder), **asdict(restored), "manifest": _plain(restored.manifest)})
        return
    console().print(
        f"{folder}: restored as of {restored.manifest.made}; {restored.rows} rows; all {restored.entries} ledger "
        "entries verified. Start it: wardkeep up",
        soft_wrap=True,
    )


@app.command()
def rebuild(state: State = None, json: Json = False) -> None:
    """Make the database's findings, history and waivers again from the ledger. Users and sessions stay.

    Example: wardkeep state rebuild. Exit status: 0; 2 when the ledger is not what was recorded.
    """
    from wardkeep.cli.terminal import console, print_json, progress
    from wardkeep.engine.folder import find_folder, hold
    from wardkeep.engine.index import rebuild_index
    from wardkeep.engine.platform import open_platform

    folder = find_folder(state)
    with open_platform(folder, anew=True) as platform, hold(folder), progress("rebuilding", quiet=json):
        entries = rebuild_index(platform)
    if json:
        print_json({"entries": entries})
        return
    console().print(f"The database was made again from {entries} ledger entries.")


def _passphrase(file: Path | None, *, twice: bool) -> str:
    from wardkeep.core.errors import BadInput
    from wardkeep.core.text_files import read_text_file

    if file is not None:
        lines = read_text_file(file, largest=1 << 20).splitlines()
        return lines[0] if lines else ""
    if not os.isatty(sys.stdin.fileno()):
        raise BadInput("nobody is here to ask for the passphrase", todo="Give --passphrase-file FILE.")
    return str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=twice, err=True))


def _plain(manifest: object) -> dict[str, object]:
    import msgspec

    told: dict[str, object] = msgspec.to_builtins(manifest)
    return told
