"""`wardkeep check`: observe and assess now."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer
from msgspec.structs import asdict

from wardkeep.cli.options import Json, State
from wardkeep.core.findings import Finding


def command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[CONTROL|HOST]…", help="Rows and hosts; all when none.")
    ] = None,
    brief: Annotated[
        bool, typer.Option("--brief", help="One line for each rule that does not pass, and the counts.")
    ] = False,
    state: State = None,
    json: Json = False,
) -> None:
    """Observe and assess now. Nothing on any host changes.

    Example: wardkeep check firewall app-1. Exit status: 0 all pass, 1 something fails, 3 something is unknown.
    """
    from wardkeep.cli.pressing import show_pressing
    from wardkeep.cli.terminal import console, exit_status, print_json, progress
    from wardkeep.engine.cycle import check
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform, operator
    from wardkeep.engine.selection import select_targets

    with open_platform(find_folder(state)) as platform:
        targets = select_targets(platform, names or [])
        with progress("checking", quiet=json) as step:
            # Who names a row wants to know how it is now: what takes longer is asked anew as well.
            named = len(targets.controls) < len(platform.controls)
            cycle = check(platform, operator(), targets.hosts, targets.controls, step, deep=named)
        profile = platform.config.profile
    found = cycle.findings
    if json:
        print_json(
            {
                "profile": {"name": profile.name, "label": profile.label},
                "hosts": [
                    {
                        "host": one.subject,
                        "problem": one.problem,
                        "entry": one.entry,
                        "findings": [asdict(f) for f in one.findings],
                    }
                    for one in cycle.checked
                ],
                "counts": {v: sum(f.verdict == v for f in found) for v in ("pass", "fail", "unknown")},
            }
        )
    elif brief:
        for one in cycle.checked:
            if one.problem:
                typer.echo(f"unknown  {one.subject}: {one.problem}")
        for line in brief_lines(found):
            typer.echo(line)
    else:
        out = console()
        out.print(f"Profile {profile.title}", style="dim")
        show_pressing(
            out, found, unreached=[(one.subject, one.problem) for one in cycle.checked if one.problem]
        )
    raise typer.Exit(exit_status(finding.verdict.value for finding in found))


def brief_lines(found: Iterable[Finding]) -> list[str]:
    """`fail     firewall.default_deny on app-1: chain:input`: verdict, rule, host, subjects; then how many rules there are of
    each verdict. A rule that fails for one subject and is unknown for another has a line of each, and counts as failing."""
    subjects: dict[tuple[str, str, str], list[str]] = {}
    worst: dict[tuple[str, str], str] = {}
    order = ("pass", "unknown", "fail")
    for f in found:
        key = (f.host, f.rule)
        worst[key] = max(worst.get(key, "pass"), f.verdict.value, key=order.index)
        if f.verdict.value != "pass":
            subjects.setdefault((f.verdict.value, *key), []).append(f.subject)
    lines = [
        f"{verdict:8} {rule} on {host}: {', '.join(sorted(named))}"
        for (verdict, host, rule), named in sorted(subjects.items())
    ]
    counts = [f"{list(worst.values()).count(verdict)} {verdict}" for verdict in reversed(order)]
    return [*lines, f"rules: {', '.join(counts)}"]
