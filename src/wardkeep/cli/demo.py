"""`wardkeep demo`: a small clinic on this machine, from red to green, with every claim looked at."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardkeep.cli.options import Json
from wardkeep.core.errors import BadInput

if TYPE_CHECKING:
    from wardkeep.demo import Clinic, Live
    from wardkeep.lab import Lab


def command(
    yes: Annotated[bool, typer.Option("--yes", help="No question: tear down at the end.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="At the end all stays, until Ctrl-C.")] = False,
    pause: Annotated[bool, typer.Option("--pause", help="Wait for Enter after each chapter.")] = False,
    kind: Annotated[
        str, typer.Option(metavar="KIND", help="The kind of host; else the best that works here.")
    ] = "",
    release: Annotated[
        str, typer.Option(metavar="VERSION", help="The hosts' Debian: 12 (when left out) or 13.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option("--out", help="A new folder for the pack and all that the commands print.")
    ] = None,
    json: Json = False,
) -> None:
    """Put up a small clinic on this machine and tell its story: red, plan, apply, green, attack, patches, evidence.

    Needs root. Two hosts, a neighbour who attacks, invented patients. All of it is removed at the end; nothing of this
    machine is changed but the cache of images. Every command is real, and a claim that does not hold ends the story.

    Example: wardkeep demo --pause. Exit status: 0 every claim held; 1 one did not; 2 it cannot be shown here.
    """
    from wardkeep.cli.demo_shown import Recorder, Shown
    from wardkeep.cli.terminal import note, print_json
    from wardkeep.demo import find_setting, put_up, story, tell
    from wardkeep.lab import Lab

    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if pause and (json or not is_terminal):
        raise BadInput("nobody is here to press Enter", where="--pause", todo="Run it in a terminal")
    if out is not None and out.exists():
        raise BadInput("there is something already", where=str(out), todo="Name a folder that is not there")
    setting, began = find_setting(kind, debian=release), time.monotonic()
    # A terminal that is closed, or a `kill`, ends it as Ctrl-C does: everything is removed.
    for deadly in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(deadly, _stop)
    with Lab() as lab:
        folder = (out or lab.book.disks / "clinic").absolute()
        folder.mkdir(parents=True, mode=0o700)
        recorder, shown = Recorder(folder), Shown(folder, pause=pause)
        teller = recorder if json else shown
        if not json:
            shown.opening(setting)
        clinic = put_up(lab, setting, note)
        live = _scene(lab, clinic, folder, coloured=is_terminal and not json)
        if not json:
            shown.platform(live.state, clinic.config)
        told = tell(story(setting.is_whole), live, teller, live.names())
        seconds = time.monotonic() - began
        if json:
            print_json({"kind": setting.kind, "state": str(live.state), "left_out": setting.left_out, "seconds": round(seconds, 1),
                        "held": told.held, "broken": told.broken, "acts": recorder.acts})  # fmt: skip
        else:
            shown.ending(told, seconds, kept=out is not None)
        if keep or (is_terminal and not yes and not json):
            stay(keep)
        note("removing the hosts, their networks and the platform")
    raise typer.Exit(1 if told.broken else 0)


def stay(keep: bool) -> None:
    """Leave everything up until somebody says otherwise."""
    from wardkeep.cli.terminal import note

    if not keep:
        sys.stdout.write("\nTear it down now? Enter does; `k` keeps it until Ctrl-C: ")
        sys.stdout.flush()
        if sys.stdin.readline().strip().lower() not in ("k", "keep", "n", "no"):
            return
    note("everything stays until Ctrl-C")
    try:
        signal.pause()
    except KeyboardInterrupt:
        sys.stderr.write("\n")


def _stop(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _scene(lab: Lab, clinic: Clinic, folder: Path, coloured: bool) -> Live:
    """The story's scene: a new platform with the clinic's configuration, and readers of its verdicts."""
    from wardkeep.demo import Live
    from wardkeep.engine.finding_views import Filters, list_findings
    from wardkeep.engine.folder import CONFIG
    from wardkeep.engine.platform import open_platform
    from wardkeep.engine.views import matrix

    state = lab.book.disks / "state"
    state.mkdir(mode=0o700)
    (state / CONFIG).write_text(clinic.config)
    open_platform(state, create=True).close()

    def verdict_of(row: str) -> str:
        with open_platform(state) as platform:
            return next(one.status.value for one in matrix(platform) if one.id == row)

    def rule_on(host: str, rule: str) -> str:
        with open_platform(state) as platform:
            found = {
                one.verdict
                for one in list_findings(platform, Filters(host=host, rule=rule), limit=500).findings
            }
        return next((verdict for verdict in ("fail", "unknown", "pass") if verdict in found), "")

    return Live(lab, clinic, state, folder, verdict_of, rule_on, coloured)
