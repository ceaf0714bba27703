"""`wardkeep scan`: results of other scan tools, in one form."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardkeep.cli.options import Json, State

if TYPE_CHECKING:
    from rich.console import Console

    from wardkeep.scans import Report

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Scans of hosts: what other tools found, the host profile, ports seen from outside."""


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Result files; .gz and .zip too.")],
    tool: Annotated[
        str,
        typer.Option("--tool", metavar="NAME", help="Which tool wrote them; told by content if not given."),
    ] = "",
    every: Annotated[
        bool, typer.Option("--all", help="List what passed and was only observed, too.")
    ] = False,
    limit: Annotated[
        int,
        typer.Option("--limit", metavar="MIB", min=1, max=4096, help="The largest file, unpacked, in MiB."),
    ] = 64,
    host: Annotated[
        str,
        typer.Option("--host", metavar="NAME", help="The host they are about: recorded as evidence of it."),
    ] = "",
    state: State = None,
    json: Json = False,
) -> None:
    """Read result files of other tools. Nothing is dropped: what went in came out as results or is named as refused.

    With --host every result, passes too, is kept in the ledger, and what fails is open in the row vm_scans until a newer report
    of that tool says otherwise. Example: wardkeep scan import arf.xml trivy.json --host app-1. Exit status: 0 all pass, 1 something fails, 2 a file cannot be
    used (the others are shown), 3 nothing fails but something is unknown.
    """  # fmt: skip
    from wardkeep.cli.terminal import console, exit_status, note, print_json
    from wardkeep.core.errors import BadInput
    from wardkeep.scans import KEYS, import_file

    if tool and tool not in KEYS:
        raise BadInput(f"no tool is called `{tool}`", todo=f"Known: {', '.join(KEYS)}.")
    reports: list[Report] = []
    bad = 0
    for file in files:
        try:
            reports += import_file(file, tool, limit << 20)
        except BadInput as e:
            bad += 1
            note(e.line())
    recorded = _record(reports, host, state) if host else []
    if json:
        from wardkeep.engine.imports import plain_report

        kept: list[int] | list[None] = recorded or [None] * len(reports)
        print_json([plain_report(one) | {"entry": entry} for one, entry in zip(reports, kept, strict=True)])
    else:
        for report in reports:
            show(console(), report, every)
        for report, entry in zip(reports, recorded, strict=False):
            note(f"{report.file}: kept for {host} as entry {entry}; `wardkeep check vm_scans` judges it")
    raise typer.Exit(2 if bad else exit_status(word for report in reports for word in verdicts(report)))


def _record(reports: list[Report], name: str, state: Path | None) -> list[int]:
    """The entries of the ledger that keep them."""
    from datetime import UTC, datetime

    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.hosts import find_host
    from wardkeep.engine.imports import record_import
    from wardkeep.engine.platform import open_platform, operator

    with open_platform(find_folder(state)) as platform:
        known = find_host(platform, name).name
        now = datetime.now(UTC)
        return [record_import(platform, operator(), known, one, now) for one in reports]


def verdicts(report: Report) -> set[str]:
    """The report's verdicts in the house's words. What was refused, and a report that says nothing, are unknown."""
    counts = report.counts
    found = {word for word in ("fail", "pass", "unknown") if counts[word]}
    if report.refused or not report.results:
        found.add("unknown")
    return found or {"pass"}


def show(out: Console, report: Report, every: bool) -> None:
    """What a person reads: what went in and came out, what fails first, then what could not be read."""
    from wardkeep.cli.terminal import table
    from wardkeep.scans.model import SEVERITIES

    counts = ", ".join(f"{count} {name}" for name, count in report.counts.items() if count) or "nothing"
    version = f" {report.version}" if report.version else ""
    out.print(f"{report.file}: {report.tool}{version}, {report.items} items: {counts}", style="bold")
    for text in report.notes:
        out.print(f"   {text}", style="dim")
    listed = [one for one in report.results if every or one.state.value in ("fail", "unknown")]
    order = {name: number for number, name in enumerate(SEVERITIES)}
    listed.sort(key=lambda one: (one.state.value != "fail", order.get(one.severity, 9), one.id))
    if listed:
        shown = table("state", "severity", "what", "where")
        for one in listed:
            package = " ".join(part for part in (one.component, one.installed) if part)
            fixed = f" → {one.fixed[:40]}" if one.fixed else ""
            where = " ".join(part for part in (one.target or report.target, one.location) if part)
            about = f"{one.id}: {one.title}" if one.title and one.title != one.id else one.id
            place = f"{package}{fixed} {where}".strip()
            shown.add_row(one.state.value, one.severity or "-", about[:160], place[:120])
        out.print(shown)
    for refusal in report.refused:
        out.print(f"   refused {refusal.raw}: {refusal.why}", style="yellow")


@app.command("host")
def host_(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[HOST]…", help="Hosts; all when none.")
    ] = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Ask hosts now what is too dear for every look: every file of every package against its checksum (minutes).

    The answers are recorded, and stand in the host's looks with their age until the next one; a serving Wardkeep renews them by
    itself. Example: wardkeep scan host app-1. Exit status: 0 all answered, 3 a host could not be asked.
    """
    import asyncio

    from wardkeep.cli.terminal import console, print_json, progress
    from wardkeep.core.facts import Snapshot
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.hosts import find_host, list_hosts
    from wardkeep.engine.long_looks import look_inside
    from wardkeep.engine.platform import open_platform, operator

    done: list[Snapshot] = []
    with open_platform(find_folder(state)) as platform, progress("looking", quiet=json) as step:
        asked = [find_host(platform, name) for name in names or []] or list_hosts(platform)

        async def ask() -> None:
            async for snapshot in look_inside(platform, operator(), asked):
                done.append(snapshot)
                step(snapshot.subject, len(done), len(asked))

        asyncio.run(ask())
    told = [
        (one.subject, one.problem or "; ".join(a.problem for a in one.answers.values() if not a.whole))
        for one in done
    ]
    if json:
        print_json([{"host": name, "problem": problem} for name, problem in told])
    else:
        for name, problem in told:
            console().print(f"{name}: {problem or 'looked at; `wardkeep check vm_scans` judges it'}")
    raise typer.Exit(3 if any(problem for _, problem in told) or not told else 0)


@app.command("ports")
def ports_(
    name: Annotated[str, typer.Argument(metavar="HOST", help="A host of the inventory.")],
    wanted: Annotated[
        str,
        typer.Option(
            "--ports", metavar="LIST", help="Ports, as `22,80,8000-8100`; the usual ones if not given."
        ),
    ] = "",
    rate: Annotated[
        float, typer.Option("--rate", metavar="N", min=1, max=5000, help="Connections begun in a second.")
    ] = 500.0,
    state: State = None,
    json: Json = False,
) -> None:
    """Try a host's TCP ports and TLS from here, and hold what answers against the host's own word and policy.

    Only hosts of the inventory, only when you say so; it is recorded. Example: wardkeep scan ports app-1. Exit status: 0 all as
    it should be, 1 something answers that should not, 3 something is unknown.
    """
    import asyncio

    from wardkeep.cli.terminal import console, exit_status, print_json, progress
    from wardkeep.cli.terminal import state as shape
    from wardkeep.controls import control
    from wardkeep.engine.assess import assess
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.hosts import find_host
    from wardkeep.engine.long_looks import look_outside
    from wardkeep.engine.platform import open_platform, operator
    from wardkeep.fleet.outside import read_ports

    ports = read_ports(wanted) if wanted else ()
    with open_platform(find_folder(state)) as platform:
        host = find_host(platform, name)
        with progress(f"trying {name}", quiet=json) as step:
            seen, snapshot = asyncio.run(
                look_outside(
                    platform,
                    operator(),
                    host,
                    ports,
                    rate=rate,
                    progress=lambda done, of: step("ports", done, of),
                )
            )
        row = control("vm_scans")
        judged = assess(row, snapshot, platform.config.policy(row, host.name))
    found = [one for one in judged if one.rule.startswith("vm_scans.outside_")]
    if json:
        print_json(
            {
                "host": name, "at": seen.at, "addresses": seen.addresses, "tried": seen.tried,
                "ports": [{"port": p.port, "family": p.family, "state": p.state, "tls": p.tls, "until": p.until} for p in seen.ports],
                "findings": [{"rule": f.rule, "subject": f.subject, "verdict": f.verdict.value, "seen": f.seen, "todo": f.todo} for f in found],
            }
        )  # fmt: skip
    else:
        for one in found:
            console().print(shape(one.verdict.value), f"{one.subject}: {one.seen}")
            if one.todo and one.verdict.value != "pass":
                console().print(f"     {one.todo}", style="dim")
    raise typer.Exit(exit_status(one.verdict.value for one in found))


@app.command("profile")
def profile_(
    host: Annotated[
        str, typer.Option("--host", metavar="HOST", help="The verdicts of this host alone.")
    ] = "",
    cis: Annotated[bool, typer.Option("--cis", help="The topics of the CIS benchmarks instead.")] = False,
    state: State = None,
    json: Json = False,
) -> None:
    """The host profile for Debian 12 and 13: each HIPAA control, our rules for it or the reason why not, and what they say now.

    Without a platform it shows the mapping alone. Example: wardkeep scan profile --host app-1. Exit status: 0 all pass, 1 a control
    fails, 3 one is unknown; without a platform 0.
    """
    from wardkeep.cli.scan_profile import as_json as profile_json
    from wardkeep.cli.scan_profile import judged, show_profile
    from wardkeep.cli.terminal import console, exit_status, print_json

    told = judged(state, host)
    if json:
        print_json(profile_json(told))
    else:
        show_profile(console(), told, cis)
    raise typer.Exit(
        exit_status(told.of(one.rules) for one in told.profile.controls) if told.verdicts is not None else 0
    )
