"""`wardkeep vulns review`: which published flaws concern the fleet, the riskiest first, and what is decided about each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wardkeep.cli.options import Json, State

if TYPE_CHECKING:
    from wardkeep.engine.flaw_review.cases import Case
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
    from wardkeep.cli.vulns_review_shown import plain, show_queue
    from wardkeep.engine.flaw_review.cases import read_cases
    from wardkeep.engine.flaw_review.renewing import renew

    now = datetime.now(UTC)
    with _open(state) as platform:
        made = renew(platform, now)
        if made.reopened:
            look_again(platform)
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
        show_queue(cases, shown, made.minor, now, is_known=not made.problem)
    if made.problem:
        raise typer.Exit(3)
    pressing = [c for c in cases if c.closed is None and (not c.decision or c.is_late(now))]
    raise typer.Exit(1 if pressing else 0)


@app.command()
def show(flaw: Flaw, state: State = None, json: Json = False) -> None:
    """One flaw: its arithmetic, its clock, what was decided, and every host that has it.

    Example: wardkeep vulns review show CVE-2024-6387. Exit status: 0; 2 when it concerns no host and never did.
    """
    from dataclasses import asdict

    from wardkeep.cli.terminal import print_json
    from wardkeep.cli.vulns_review_shown import plain, show_case
    from wardkeep.engine.flaw_review import acts
    from wardkeep.engine.flaw_review.cases import read_assets
    from wardkeep.engine.flaw_review.renewing import renew

    now = datetime.now(UTC)
    with _open(state) as platform:
        if renew(platform, now).reopened:
            look_again(platform)
        cases = acts.find_cases(platform, [flaw], closed=True)
        with platform.store.read() as connection:
            assets = [read_assets(connection, key=case.key, closed=True) for case in cases]
    if json:
        told = zip(cases, assets, strict=True)
        print_json([plain(case, now) | {"assets": [asdict(one) for one in some]} for case, some in told])
        return
    for case, some in zip(cases, assets, strict=True):
        show_case(case, some, now)


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
def plan(
    flaws: Flaws,
    until: Annotated[
        str, typer.Option("--on", metavar="DAY", help="By when: a date (2026-12-01) or a span (5 d).")
    ],
    owner: Annotated[str, typer.Option(help="Who sees to it.")],
    says: Says = "",
    state: State = None,
    json: Json = False,
) -> None:
    """Plan when flaws are mended, and by whom: at the latest on the day their clock ends.

    Example: wardkeep vulns review plan CVE-2024-6387 --on "5 d" --owner alice --says "with Tuesday's window".
    Exit status: 0; 2 when something is missing or nobody has this flaw; nothing is decided then.
    """
    from wardkeep.cli.findings import read_until
    from wardkeep.engine.flaw_review import acts
    from wardkeep.engine.platform import operator

    day = read_until(until, datetime.now(UTC)).date()
    with _open(state) as platform:
        cases = acts.find_cases(platform, flaws)
        entry = acts.plan(platform, cases, until=day, owner=owner, by=operator(), says=says)
        _told(platform, cases, entry, json)


@app.command()
def waive(
    flaws: Flaws,
    owner: Annotated[str, typer.Option(help="Who answers for it.")],
    reason: Annotated[str, typer.Option(help="Why it is accepted.")],
    compensating: Annotated[str, typer.Option(help="What protects instead.")],
    until: Annotated[
        str, typer.Option(help="When it ends at the latest: a date (2027-01-31) or a span (30 d).")
    ],
    until_fixed: Annotated[
        bool, typer.Option("--until-fixed", help="It also ends as soon as a fix is released.")
    ] = False,
    state: State = None,
    json: Json = False,
) -> None:
    """Live with flaws for a time. They stay visible, and are open again by themselves when the waiver ends.

    Example: wardkeep vulns review waive CVE-2026-0002 --owner alice --reason "no fix yet" --compensating "reachable over the VPN only" --until "60 d" --until-fixed.
    Exit status: 0; 2 when something is missing or nobody has this flaw; nothing is decided then.
    """
    from wardkeep.cli.findings import read_until
    from wardkeep.engine.flaw_review import acts
    from wardkeep.engine.flaw_review.waiving import waive_cases
    from wardkeep.engine.platform import operator

    with _open(state) as platform:
        cases = acts.find_cases(platform, flaws)
        made, entry = waive_cases(
            platform,
            cases,
            owner=owner,
            reason=reason,
            compensating=compensating,
            expires=read_until(until, datetime.now(UTC)),
            until_fixed=until_fixed,
            by=operator(),
        )
        _told(platform, cases, entry, json, waivers=[one.id for one in made])


@app.command()
def not_affected(
    flaws: Flaws,
    justification: Annotated[
        str, typer.Option(help="One of the five of OpenVEX: vulnerable_code_not_present, …")
    ],
    says: Annotated[str, typer.Option("--says", metavar="TEXT", help="How that is known.")],
    state: State = None,
    json: Json = False,
) -> None:
    """State that flaws do not concern the fleet, and why.

    Example: wardkeep vulns review not-affected CVE-2026-0005 --justification vulnerable_code_not_in_execute_path --says "the module is not loaded".
    Exit status: 0; 2 when something is missing or nobody has this flaw; nothing is decided then.
    """
    from wardkeep.engine.flaw_review import acts
    from wardkeep.engine.platform import operator

    with _open(state) as platform:
        cases = acts.find_cases(platform, flaws)
        entry = acts.not_affected(platform, cases, justification=justification, says=says, by=operator())
        _told(platform, cases, entry, json)


@app.command()
def reopen(flaws: Flaws, says: Says, state: State = None, json: Json = False) -> None:
    """Take a decision back: the flaw is undecided again.

    Example: wardkeep vulns review reopen CVE-2024-6387 --says "the patch failed on db-1".
    Exit status: 0; 2 when something is missing or nobody has this flaw; nothing is decided then.
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

    Example: wardkeep vulns review done --says "3 new ones: two accepted, one waived until the vendor mends it".
    Exit status: 0; 2 when something is missing or nobody has this flaw; nothing is decided then.
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


def look_again(platform: Platform) -> None:
    """The row's findings follow an act at once."""
    from wardkeep.engine.flaw_review.follow import look_at_row

    look_at_row(platform)


def _open(state: Any) -> Platform:
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform

    return open_platform(find_folder(state))


def _told(platform: Platform, cases: list[Case], entry: int, json: bool, waivers: Sequence[str] = ()) -> None:
    from wardkeep.cli.terminal import console, print_json
    from wardkeep.cli.vulns_review_shown import plain
    from wardkeep.engine.flaw_review.cases import read_cases

    look_again(platform)
    with platform.store.read() as connection:
        after = read_cases(platform, connection, keys=[case.key for case in cases])
    now = datetime.now(UTC)
    if json:
        told: dict[str, Any] = {"entry": entry, "cases": [plain(case, now) for case in after]}
        print_json(told | ({"waivers": list(waivers)} if waivers else {}))
        return
    for case in after:
        word = case.decision.replace("_", " ") or "undecided"
        console().print(f"{case.flaw} {case.package}: {word} (entry {entry}).")
