"""`wardkeep findings`: list, show, waive."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from wardkeep.cli.options import Json, State
from wardkeep.core.errors import BadInput

if TYPE_CHECKING:
    from wardkeep.engine.finding_views import FindingDetail, FindingView

app = typer.Typer(no_args_is_help=False, rich_markup_mode=None)
Fingerprint = Annotated[
    str, typer.Argument(help="The finding's 16 hex digits, as `wardkeep findings` shows them.")
]


@app.callback(invoke_without_command=True)
def listing(
    ctx: typer.Context,
    verdict: Annotated[str, typer.Option(help="fail, unknown or pass. Default: what is not pass.")] = "",
    severity: Annotated[str, typer.Option(help="critical, high, medium or low.")] = "",
    control: Annotated[str, typer.Option(help="One row.")] = "",
    host: Annotated[str, typer.Option(help="One host.")] = "",
    which: Annotated[str, typer.Option("--which", help="open, waived, overdue, gone or all.")] = "",
    search: Annotated[str, typer.Option(help="Words that all occur in the finding.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many at most.")] = 50,
    after: Annotated[str, typer.Option(help="Where the page before ended.")] = "",
    state: State = None,
    json: Json = False,
) -> None:
    """What fails or is unknown, the most pressing first.

    Example: wardkeep findings --control firewall --json. Exit status: 0 nothing open is listed, 1 something fails, 3 something is unknown.
    """
    if ctx.invoked_subcommand:
        return
    from wardkeep.cli.terminal import console, print_json, table
    from wardkeep.cli.terminal import state as shown
    from wardkeep.engine.finding_views import Filters, list_findings
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform

    # Waived findings are among them: they stay visible. What passes is asked for by name.
    verdicts_wanted = verdict or ("" if which else "fail,unknown")
    wanted = Filters(verdicts_wanted, severity, control, host, "", search, which)
    with open_platform(find_folder(state)) as platform:
        page = list_findings(platform, wanted, after=after, limit=limit)
        profile = platform.config.profile
    seen = page.findings
    if json:
        print_json(
            {
                "profile": {"name": profile.name, "label": profile.label},
                "count": page.count,
                "count_is_minimum": page.more,
                "more": bool(page.after),
                "after": page.after,
                "findings": [asdict(one) for one in seen],
            }
        )
    elif not seen:
        console().print("Nothing here. What passes is listed by --verdict pass.")
    else:
        out = console()
        out.print(f"Profile {profile.title}", style="dim")
        made = table(
            ("", {"no_wrap": True}), ("finding", {"overflow": "fold", "ratio": 1}), ("due", {"no_wrap": True})
        )
        for one in seen:
            made.add_row(shown(one.verdict), _paragraph(one), _due(one))
        made.expand = True
        out.print(made)
        if page.after:
            out.print(f"More: wardkeep findings --after {page.after}", style="dim", soft_wrap=True)
    verdicts = {one.verdict for one in seen if not one.gone}
    raise typer.Exit(1 if "fail" in verdicts else 3 if "unknown" in verdicts else 0)


@app.command()
def show(fingerprint: Fingerprint, state: State = None, json: Json = False) -> None:
    """One finding: what was seen, what it serves, its history and waivers.

    Example: wardkeep findings show 0123456789abcdef. Exit status: 0; 2 when there is none.
    """
    from wardkeep.cli.terminal import print_json
    from wardkeep.engine.finding_views import find_finding
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform

    with open_platform(find_folder(state)) as platform:
        detail = find_finding(platform, fingerprint)
    if detail is None:
        raise BadInput("no finding has this fingerprint", where=fingerprint, todo="See `wardkeep findings`.")
    if json:
        print_json(asdict(detail))
    else:
        _tell(detail)


@app.command()
def waive(
    fingerprint: Fingerprint,
    owner: Annotated[str, typer.Option(help="Who answers for it.")],
    reason: Annotated[str, typer.Option(help="Why it is accepted.")],
    compensating: Annotated[str, typer.Option(help="What protects instead.")],
    until: Annotated[str, typer.Option(help="When it ends: a date (2027-01-31) or a span (30 d).")],
    state: State = None,
    json: Json = False,
) -> None:
    """Accept a finding for a time. It stays visible, still lowers the score, and opens again by itself.

    Example: wardkeep findings waive 0123456789abcdef --owner alice --reason "vendor fix in May" --compensating "reachable over the VPN only" --until "60 d".
    Exit status: 0; 2 when there is no such finding or something is missing.
    """
    from wardkeep.cli.terminal import console, print_json
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform, operator
    from wardkeep.engine.waivers import waive

    with open_platform(find_folder(state)) as platform:
        made = waive(
            platform,
            fingerprint,
            owner=owner,
            reason=reason,
            compensating=compensating,
            expires=read_until(until, datetime.now(UTC)),
            by=operator(),
        )
    if json:
        print_json(asdict(made))
    else:
        console().print(
            f"Waived until {made.expires:%Y-%m-%d}: {made.rule} on {made.host}, {made.subject}. Waiver {made.id}."
        )


@app.command()
def revoke(
    waiver: Annotated[str, typer.Argument(help="The waiver's id.")],
    reason: Annotated[str, typer.Option(help="Why it ends.")],
    state: State = None,
    json: Json = False,
) -> None:
    """End a waiver now: its finding is open again.

    Example: wardkeep findings revoke 0123456789abcdef --reason "the fix is out".
    Exit status: 0; 2 when there is no such finding or something is missing.
    """
    from wardkeep.cli.terminal import console, print_json
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform, operator
    from wardkeep.engine.waivers import revoke

    with open_platform(find_folder(state)) as platform:
        made = revoke(platform, waiver, reason=reason, by=operator())
    if json:
        print_json(asdict(made))
    else:
        console().print(f"Open again: {made.rule} on {made.host}, {made.subject}.")


def read_until(text: str, now: datetime) -> datetime:
    """A date (its end, UTC) or a span from `now`. Raises BadInput."""
    from wardkeep.core.profiles import read_duration

    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC) + timedelta(days=1, seconds=-1)
    except ValueError:
        pass
    try:
        return now + read_duration(text)
    except BadInput:
        raise BadInput(
            f"`{text}` is neither a date nor a span", where="--until", todo="Write 2027-01-31 or `30 d`."
        ) from None


def _paragraph(one: FindingView) -> str:
    text = (
        f"{one.says}\n{one.severity} · {one.rule} · {one.fingerprint}\n{one.host}, {one.subject}: {one.seen}"
    )
    return f"{text}\n{one.todo}" if one.todo else text


def _due(one: FindingView) -> str:
    from wardkeep.cli.terminal import ago

    if one.waived_until:
        return f"waived until\n{one.waived_until:%Y-%m-%d}"
    if one.due is None:
        return ""
    return f"overdue\n{ago(one.due)}" if one.overdue else ago(one.due)


def _tell(detail: FindingDetail) -> None:
    from wardkeep.cli.terminal import ago, console
    from wardkeep.cli.terminal import state as shown

    out, one = console(), detail.finding
    line = shown(one.verdict)
    line.append(f"  {one.says}", style="bold default")
    out.print(line)
    out.print(f"{one.severity} · {one.rule} · {one.fingerprint}", style="dim")
    out.print(f"{one.host}, {one.subject}: {one.seen}")
    if one.todo:
        out.print(one.todo)
    out.print(
        f"First seen {ago(one.first_seen)}, last seen {ago(one.last_seen)}."
        + (f" Due {ago(one.due)}." if one.due else "")
    )
    for citation in detail.serves:
        out.print(f"serves {citation.paragraph}: {citation.because}")
    for change in detail.history:
        out.print(f"{change.at:%Y-%m-%d %H:%M:%S} UTC  {change.verdict}: {change.seen}")
    for waiver in detail.waivers:
        out.print(
            f"waiver {waiver.id} ({waiver.state}) by {waiver.owner} until {waiver.expires:%Y-%m-%d}: {waiver.reason}; "
            f"instead: {waiver.compensating}",
        )
