"""`wardkeep vulns review`: which published flaws concern the fleet, the riskiest first, and what is decided about each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wardkeep.cli.options import Json, State

if TYPE_CHECKING:
    from wardkeep.engine.flaw_review.cases import Case, CaseAsset
    from wardkeep.engine.platform import Platform

app = typer.Typer(no_args_is_help=False, rich_markup_mode=None)
Flaws = Annotated[
    list[str],
    typer.Argument(
        metavar="FLAW…", help="CVE-…, DSA-…: any of its names; CVE-…:PACKAGE for one package of several."
    ),
]
Flaw = Annotated[str, typer.Argument(metavar="FLAW", help="CVE-…, DSA-…: any of its names.")]
Says = Annotated[str, typer.Option("--says", metavar="TEXT", help="Why.")]
SHOWN = 50


@app.callback(invoke_without_command=True)
def listing(
    ctx: typer.Context,
    undecided: Annotated[bool, typer.Option("--undecided", help="Only what nobody decided about.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Also what is closed.")] = False,
    state: State = None,
    json: Json = False,
) -> None:
    """The queue: every published flaw that concerns a host, the riskiest first, with its deadline and decision.

    Example: wardkeep vulns review --undecided --json. Exit status: 0 all is decided and in time, 1 something is undecided or
    late, 3 there are no advisories or no looks to stand on.
    """
    if ctx.invoked_subcommand:
        return
    from wardkeep.cli.terminal import note, print_json
    from wardkeep.engine.flaw_review.cases import read_cases
    from wardkeep.engine.flaw_review.queue import refresh

    now = datetime.now(UTC)
    with _open(state) as platform:
        made = refresh(platform, now)
        with platform.store.read() as connection:
            cases = read_cases(platform, connection, closed=everything)
    shown = [case for case in cases if not (undecided and case.decision)]
    if json:
        print_json(
            {
                "problem": made.problem,
                "minor": made.minor,
                "open": sum(case.closed is None for case in cases),
                "undecided": sum(case.closed is None and not case.decision for case in cases),
                "cases": [plain(case, now) for case in shown],
            }
        )
    else:
        if made.problem:
            note(made.problem)
        _show(shown, made.minor, now)
    if made.problem:
        raise typer.Exit(3)
    pressing = [c for c in cases if c.closed is None and (not c.decision or is_late(c, now))]
    raise typer.Exit(1 if pressing else 0)


@app.command()
def show(flaw: Flaw, state: State = None, json: Json = False) -> None:
    """One flaw: its arithmetic, its clock, what was decided, and every host that has it.

    Example: wardkeep vulns review show CVE-2024-6387. Exit status: 0; 2 when it concerns no host and never did.
    """
    from dataclasses import asdict

    from wardkeep.cli.terminal import print_json
    from wardkeep.engine.flaw_review import acts
    from wardkeep.engine.flaw_review.cases import read_assets
    from wardkeep.engine.flaw_review.queue import refresh

    now = datetime.now(UTC)
    with _open(state) as platform:
        refresh(platform, now)
        cases = acts.find_cases(platform, [flaw], closed=True)
        with platform.store.read() as connection:
            assets = [read_assets(connection, key=case.key, closed=True) for case in cases]
    if json:
        told = zip(cases, assets, strict=True)
        print_json([plain(case, now) | {"assets": [asdict(one) for one in some]} for case, some in told])
        return
    for case, some in zip(cases, assets, strict=True):
        _paragraph(case, some, now)


@app.command()
def accept(flaws: Flaws, says: Says = "", state: State = None, json: Json = False) -> None:
    """Take notice of flaws: the fix comes with the next patching, before the clock ends.

    Example: wardkeep vulns review accept CVE-2024-6387 --says "patched tonight". Exit status: 0; 2 for a flaw that concerns no host.
    """
    from wardkeep.engine.flaw_review import acts
    from wardkeep.engine.platform import operator

    with _open(state) as platform:
        cases = acts.find_cases(platform, flaws)
        entry = acts.accept(platform, cases, by=operator(), says=says)
        _told(platform, cases, entry, json)


@app.command()
def reopen(flaws: Flaws, says: Says, state: State = None, json: Json = False) -> None:
    """Take a decision back: the flaw is undecided again.

    Example: wardkeep vulns review reopen CVE-2024-6387 --says "the patch failed on db-1"
    """
    from wardkeep.engine.flaw_review import acts
    from wardkeep.engine.platform import operator

    with _open(state) as platform:
        cases = acts.find_cases(platform, flaws)
        entry = acts.reopen(platform, cases, by=operator(), says=says)
        _told(platform, cases, entry, json)


@app.command()
def done(says: Says, state: State = None, json: Json = False) -> None:
    """Say that today's review was done. A day without one is a finding.

    Example: wardkeep vulns review done --says "3 new ones: two accepted, one waived until the vendor mends it"
    """
    from wardkeep.cli.terminal import console, print_json
    from wardkeep.engine.flaw_review import ROW, acts
    from wardkeep.engine.platform import operator

    with _open(state) as platform:
        entry = acts.done(platform, says=says, by=operator())
        look_again(platform)
    if json:
        print_json({"control": ROW, "entry": entry})
    else:
        console().print(f"The day's review is on record as entry {entry}.")


def plain(case: Case, now: datetime) -> dict[str, Any]:
    """A case for programs."""
    told = case.told
    return {
        "id": case.flaw,
        "aliases": told.get("aliases", []),
        "package": case.package,
        "state": case.state,
        "fixed": told.get("fixed", []),
        "severity": case.severity,
        "severity_source": told.get("severity_source", ""),
        "kev": case.exploited or None,
        "epss": told.get("epss"),
        "risk": case.risk,
        "risk_because": told.get("because", ""),
        "hosts": case.hosts,
        "listens": told.get("listens", {}),
        "since": case.since.isoformat(),
        "due": case.due.date().isoformat(),
        "days_left": (case.due.date() - now.date()).days,
        "overdue": is_late(case, now),
        "opened": case.opened,
        "closed": case.closed,
        "how": case.how or None,
        "decision": case.decision or None,
        "decided": case.decided,
        "decided_by": case.decided_by or None,
        "said": dict(case.said),
        "advisory": told.get("advisory") or None,
        "summary": told.get("summary", ""),
        "why": told.get("why", ""),
    }


def is_late(case: Case, now: datetime) -> bool:
    """Whether its clock has ended and nobody waived it or stated that it does not concern."""
    if case.closed is not None or case.decision in ("waived", "not_affected"):
        return False
    return case.due.date() < now.date()


def look_again(platform: Platform) -> None:
    """The row's findings follow an act at once."""
    from wardkeep.engine.flaw_review.follow import look_at_row

    look_at_row(platform)


def _open(state: Any) -> Platform:
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform

    return open_platform(find_folder(state))


def _told(platform: Platform, cases: list[Case], entry: int, json: bool) -> None:
    from wardkeep.cli.terminal import console, print_json
    from wardkeep.engine.flaw_review.cases import read_cases

    look_again(platform)
    with platform.store.read() as connection:
        after = read_cases(platform, connection, keys=[case.key for case in cases])
    now = datetime.now(UTC)
    if json:
        print_json({"entry": entry, "cases": [plain(case, now) for case in after]})
        return
    for case in after:
        word = case.decision.replace("_", " ") or "undecided"
        console().print(f"{case.flaw} {case.package}: {word} (entry {entry}).", markup=False)


def _show(cases: list[Case], minor: int, now: datetime) -> None:
    from wardkeep.cli.terminal import console, table

    out = console()
    still = [case for case in cases if case.closed is None]
    undecided = sum(not case.decision for case in still)
    late = sum(is_late(case, now) for case in still)
    out.print(
        f"{len(still):,} flaws concern the fleet, {undecided:,} undecided, {late:,} late; "
        f"{minor:,} more are called minor by the vendor."
    )
    if not cases:
        return
    made = table(
        ("risk", {"justify": "right"}),
        "flaw",
        "package",
        "severity",
        ("hosts", {"justify": "right"}),
        "fix",
        "due",
        "decision",
    )
    for case in cases[:SHOWN]:
        made.add_row(
            str(case.risk),
            case.flaw,
            case.package,
            f"{case.severity}{' KEV' if case.exploited else ''}",
            str(case.hosts),
            "released" if case.state == "fix_available" else case.state.replace("_", " "),
            countdown(case, now),
            case.how or case.decision.replace("_", " ") or "-",
        )
    out.print(made)
    if len(cases) > SHOWN:
        out.print(f"and {len(cases) - SHOWN:,} more: --json shows all.", style="dim")


def countdown(case: Case, now: datetime) -> str:
    """`2026-12-07, 15 d`, `2026-11-07, 15 d late`."""
    if case.closed is not None:
        return f"closed {case.closed:%Y-%m-%d}"
    days = (case.due.date() - now.date()).days
    return f"{case.due:%Y-%m-%d}, " + (f"{days} d" if days >= 0 else f"{-days} d late")


def _paragraph(case: Case, assets: list[CaseAsset], now: datetime) -> None:
    from wardkeep.cli.terminal import console, table

    out = console()
    told = case.told
    out.print(
        f"{case.flaw}  {case.package}  {case.severity} by {told.get('severity_source', 'nobody')}",
        markup=False,
    )
    names = ", ".join(told.get("aliases", ()))
    for line in (names and f"also {names}", told.get("summary", ""), told.get("why", "")):
        if line:
            out.print(line, markup=False)
    out.print(f"Risk {case.risk}: {told.get('because', '')}", markup=False)
    out.print(f"Its clock runs since {case.since}; {countdown(case, now)}.")
    if case.decision:
        why = case.said.get("says") or ""
        out.print(
            f"{case.decision.replace('_', ' ')} by {case.decided_by} on {case.decided:%Y-%m-%d}{': ' if why else ''}{why}",
            markup=False,
        )
    else:
        out.print("Nobody decided about it.")
    made = table("host", "installed", "fixed by", "since", "")
    for one in assets:
        ended = f"{one.how} {one.closed:%Y-%m-%d}" if one.closed else one.state.replace("_", " ")
        made.add_row(one.host, one.version, one.fixed or "-", f"{one.opened:%Y-%m-%d}", ended)
    out.print(made)
