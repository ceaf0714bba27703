"""`wardkeep evidence`: take evidence away in a pack, verify a pack anywhere, look at one entry."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardkeep.cli.moments import read_moment
from wardkeep.cli.options import Json, State
from wardkeep.core.errors import BadInput

if TYPE_CHECKING:
    from wardkeep.ledger import Ledger

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=__doc__)


@app.command()
def export(
    begin: Annotated[str, typer.Option("--from", metavar="TIME", help="First day or time (UTC).")] = "",
    end: Annotated[
        str, typer.Option("--to", metavar="TIME", help="Last day, or the time before which.")
    ] = "",
    control: Annotated[str, typer.Option(help="Only the entries that concern this row.")] = "",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The pack; else named after the range.")
    ] = None,
    previous: Annotated[
        Path | None,
        typer.Option(help="A checkpoint that the reader holds; the pack then reaches back to it."),
    ] = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Write a pack: entries, blobs, proofs, a page to read and print, OSCAL assessment results.

    Example: wardkeep evidence export --from 2026-10-01 --to 2026-12-31. Exit status: 0; 1 the ledger is not what was
    signed; 2 no such range.
    """
    from wardkeep import controls
    from wardkeep.cli.terminal import print_json
    from wardkeep.ledger.asof import indices_between
    from wardkeep.ledger.pack import export as export_pack

    ledger = _ledger(state)
    row = controls.control(control).id if control else None
    first, last = 0, ledger.size
    if begin or end:
        low = read_moment(begin, "--from") if begin else datetime(1970, 1, 1, tzinfo=UTC)
        high = read_moment(end, "--to", end_of_day=True) if end else datetime(9999, 1, 1, tzinfo=UTC)
        first, last = indices_between(ledger, low, high)
        if first == last:
            raise BadInput(
                "no entry lies between these times", where="--from, --to", todo="Give a wider range"
            )
    goal = out or Path(f"evidence-{ledger.origin.replace('/', '-')}-{first}-{last}.tar.gz")
    made = export_pack(
        ledger,
        goal,
        first,
        last,
        row,
        previous=_read(previous, "--previous") if previous else None,
        titles={known.id: known.title for known in controls.matrix.ROWS},
    )
    if json:
        print_json({**asdict(made), "path": str(made.path), "key": str(ledger.verifier)})
        return
    left = f" ({made.left_out} that do not concern {row} left out)" if made.left_out else ""
    sys.stdout.write(
        f"{made.path}: {made.entries} entries{left}, {made.blobs} blobs.\n"
        f"The key, to be given to the reader by another way:\n{ledger.verifier}\n"
    )


@app.command()
def verify(
    pack: Annotated[Path, typer.Argument(metavar="PACK", help="The pack's file.")],
    key: Annotated[
        str, typer.Option(help="The verifier key you trust: name+id+base64, or a file with it.")
    ] = "",
    previous: Annotated[Path | None, typer.Option(help="A checkpoint that you kept from before.")] = None,
    json: Json = False,
) -> None:
    """Check a pack: needs no platform, no configuration and no network.

    Example: wardkeep evidence verify evidence.tar.gz --key KEY. Exit status: 0 verified; 1 it is not what was signed;
    2 it is no pack.
    """
    from wardkeep.cli.terminal import print_json
    from wardkeep.ledger.note import Verifier
    from wardkeep.ledger.verify import NotAPack, verify_pack

    if key and "+" not in key:
        key = _read(Path(key), "--key").decode(errors="replace").strip()
    trusted = str(Verifier.parse(key)) if key else ""
    try:
        report = verify_pack(str(pack), trusted, _read(previous, "--previous") if previous else b"")
    except NotAPack as e:
        raise BadInput(f"{e}", where=str(pack), todo="Ask for the pack again") from None
    except OSError as e:
        raise BadInput(f"cannot be read: {e.strerror}", where=str(pack)) from None
    if json:
        print_json(asdict(report))
    else:
        sys.stdout.write(f"{replace(report, problems=in_runs(report.problems))}\n")
    raise typer.Exit(0 if report.verified else 1)


def in_runs(problems: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """The problems with the same one of entries that follow each other, up or down, told once."""
    runs: list[list[dict[str, str]]] = []
    for problem in problems:
        last = runs[-1][-1] if runs else None
        if last and last["what"] == problem["what"] and abs(_entry(last) - _entry(problem)) == 1:
            runs[-1].append(problem)
        else:
            runs.append([problem])
    told = []
    for run in runs:
        first, last = sorted((run[0], run[-1]), key=_entry)
        where = first["where"] if len(run) == 1 else f"{first['where']} to {last['where']}, each"
        told.append({"what": first["what"], "where": where})
    return told


def _entry(problem: dict[str, str]) -> float:
    """The index in `entry 17`; for any other place a number that follows none."""
    word, _, index = problem["where"].partition(" ")
    return int(index) if word == "entry" and index.isdecimal() else float("nan")


@app.command()
def show(
    index: Annotated[
        int | None, typer.Argument(metavar="[ENTRY]", help="The entry's index; else the last ten.")
    ] = None,
    blob: Annotated[str, typer.Option(help="Write this blob of the entry to stdout: its name.")] = "",
    state: State = None,
    json: Json = False,
) -> None:
    """Show an entry of the ledger with its proof, or the last ten; or a blob exactly as it was recorded.

    Example: wardkeep evidence show 1234 --blob findings. Exit status: 0; 1 it is not what was recorded; 2 no such entry.
    """
    from wardkeep.cli.terminal import console, print_json, table
    from wardkeep.ledger.selection import outcome

    ledger = _ledger(state)
    if index is None:
        entries = list(ledger.read(max(0, ledger.size - 10)))
        if json:
            print_json(entries)
            return
        made = table("entry", "time (UTC)", "who", "what", "about", "outcome")
        for e in entries:
            about = " ".join(str(value) for value in e["subject"].values())
            made.add_row(str(e["index"]), e["at"], e["actor"], e["kind"], about, outcome(e))
        console().print(made)
        return
    if not 0 <= index < ledger.size:
        raise BadInput(f"the ledger has entries 0 to {ledger.size - 1}", where=f"entry {index}")
    entry = next(ledger.read(index, index + 1))
    if blob:
        digest = next((b["digest"] for b in entry["blobs"] if b["name"] == blob), "")
        if not digest:
            known = ", ".join(b["name"] for b in entry["blobs"]) or "none"
            raise BadInput(f"the entry has no blob of that name; it has {known}", where=blob)
        sys.stdout.buffer.write(ledger.get_blob(digest))
        return
    head, proof = ledger.checkpoint(), [step.hex() for step in ledger.inclusion(index)]
    print_json(
        {**entry, "proof": {"size": head.size, "root": head.root.hex(), "path": proof}} if json else entry
    )


def _ledger(state: Path | None) -> Ledger:
    from wardkeep.engine.folder import KEYS, LEDGER, WITNESS, find_folder
    from wardkeep.ledger import Ledger

    folder = find_folder(state)
    if not (folder / LEDGER).is_dir():
        todo = "Run `wardkeep up`, or name its folder by --state"
        raise BadInput("no platform is here yet", where=str(folder), todo=todo)
    return Ledger.open(folder / LEDGER, witness=folder / WITNESS, key=folder / KEYS / "ledger")


def _read(path: Path, option: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise BadInput(f"{path} cannot be read: {e.strerror}", where=option) from None
