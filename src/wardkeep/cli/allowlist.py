"""`wardkeep allowlist`: who may reach what from where; list, add, remove, extend, review, audit."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wardkeep.cli.options import Json, State
from wardkeep.core.errors import BadInput

if TYPE_CHECKING:
    from wardkeep.allowlists import Allowlist, Entry

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=__doc__)
Files = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[FILE]...",
        help="Lists to read instead of the platform's: TOML as ours, CSV, JSON, or a network a line.",
    ),
]
AsOf = Annotated[str, typer.Option("--as-of", metavar="DAY", help="Judge as of this day instead of today.")]
Said = Annotated[str, typer.Argument(metavar="ENTRY", help="Its id or network, as `list` shows them.")]
InList = Annotated[str, typer.Option("--list", help="Only in this list.")]
ForService = Annotated[str, typer.Option("--service", help="Only for this service.")]


@app.command(name="list")
def list_(
    files: Files = None,
    listed: InList = "",
    expired: Annotated[bool, typer.Option("--expired", help="Only what has expired.")] = False,
    as_of: AsOf = "",
    state: State = None,
    json: Json = False,
) -> None:
    """The entries, with who answers for them and until when they hold.

    Example: wardkeep allowlist list --list partners. Exit status: 0; 2 when the file has a fault.
    """
    from rich.text import Text

    from wardkeep.allowlists.views import entry_view
    from wardkeep.cli.terminal import console, print_json, table

    today = day(as_of) if as_of else datetime.now(UTC).date()
    known = [
        one
        for one in _read(files or [], state).entries
        if (not listed or one.list == listed) and (not expired or one.expired(today))
    ]
    if json:
        print_json([entry_view(one, today) for one in known])
        return
    if not known:
        console().print("No entry.")
        return
    made = table(
        ("entry", {"overflow": "fold", "ratio": 3}),
        ("owner, reason", {"overflow": "fold", "ratio": 3}),
        ("until", {"no_wrap": True}),
        ("reviewed", {"no_wrap": True}),
    )
    made.expand = True
    for one in known:
        until = "no end" if one.expires is None else f"{one.expires}"
        why = f"{one.owner or 'nobody'}: {one.reason or 'no reason'}"
        why += f" ({one.ticket})" if one.ticket else ""
        seen = f"{one.reviewed or 'never'}" + (f"\n{one.reviewer}" if one.reviewer else "")
        until += "\nexpired" if one.expired(today) else ""
        # As Text: what people wrote is no markup.
        made.add_row(*map(Text, (f"{one.key}\n{one.id}", why, until, seen)))
    console().print(made)


@app.command()
def add(
    network: Annotated[str, typer.Argument(help="An address, a network or a range.")],
    service: Annotated[str, typer.Option(help="What it is for: 22/tcp, 8000-8010/tcp, https, any.")],
    owner: Annotated[str, typer.Option(help="Who answers for it.")],
    reason: Annotated[str, typer.Option(help="Why it is needed.")],
    until: Annotated[str, typer.Option(help="The last day on which it holds: 2027-01-31, or a span (90 d).")],
    ticket: Annotated[str, typer.Option(help="Where it was asked for.")] = "",
    listed: Annotated[str, typer.Option("--list", help="The list it belongs to.")] = "default",
    deny: Annotated[bool, typer.Option("--deny", help="The network must not reach it.")] = False,
    state: State = None,
    json: Json = False,
) -> None:
    """Write an entry into the platform's file, and the act into the ledger.

    What the audit would say of it is shown at once, but for what only hosts know.

    Example: wardkeep allowlist add 203.0.113.7 --service 443/tcp --owner alice --reason "clearing house" --ticket OPS-12 --until "90 d".
    Exit status: 0; 2 when the file or an option has a fault; nothing is written then.
    """
    from wardkeep.allowlists.views import defect_view, entry_view
    from wardkeep.cli.terminal import console, print_json
    from wardkeep.engine.allowlists import add_entry, defects_of
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform, operator

    today = datetime.now(UTC).date()
    told: dict[str, str | date] = {
        **{"list": listed, "network": network, "service": service, "owner": owner},
        **{"reason": reason, "ticket": ticket, "created": today, "expires": day(until, ahead=True)},
    }
    for name in ("owner", "reason"):
        if not str(told[name]).strip():
            raise BadInput(f"the {name} says nothing", where=f"--{name}")
    with open_platform(find_folder(state)) as platform:
        made, index = add_entry(platform, told, "deny" if deny else "allow", operator())
        found = defects_of(platform, made, today)
    if json:
        print_json({**entry_view(made, today), "entry": index, "findings": [defect_view(d) for d in found]})
        return
    out = console()
    out.print(f"Added as {made.id}: {made.key}, until {made.expires}. Ledger entry {index}.", markup=False)
    for one in found:
        out.print(f"▲ {one.kind} · {one.severity}: {one.seen}. {one.todo}", markup=False)


@app.command()
def remove(
    said: Said,
    reason: Annotated[str, typer.Option(help="Why it goes.")],
    listed: InList = "",
    service: ForService = "",
    state: State = None,
    json: Json = False,
) -> None:
    """Take an entry out of the file; the next plan takes it from the hosts.

    Example: wardkeep allowlist remove 203.0.113.7 --reason "contract ended".
    Exit status: 0; 2 when the file or an option has a fault; nothing is written then.
    """
    from wardkeep.cli.terminal import console
    from wardkeep.engine.allowlists import remove_entry
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform, operator

    with open_platform(find_folder(state)) as platform:
        gone = remove_entry(platform, said, listed=listed, service=service, reason=reason, by=operator())
    if json:
        _print_entry(gone)
        return
    console().print(f"Removed: {gone.key}.")


@app.command()
def extend(
    said: Said,
    until: Annotated[str, typer.Option(help="The new last day: 2027-01-31, or a span from today (90 d).")],
    reason: Annotated[str, typer.Option(help="Why it is still needed.")],
    listed: InList = "",
    service: ForService = "",
    state: State = None,
    json: Json = False,
) -> None:
    """Let an entry hold until another day.

    Example: wardkeep allowlist extend 203.0.113.7 --until "90 d" --reason "contract renewed".
    Exit status: 0; 2 when the file or an option has a fault; nothing is written then.
    """
    from wardkeep.cli.terminal import console
    from wardkeep.engine.allowlists import extend_entry
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform, operator

    last = day(until, ahead=True)
    with open_platform(find_folder(state)) as platform:
        one = extend_entry(
            platform, said, listed=listed, service=service, until=last, reason=reason, by=operator()
        )
    if json:
        _print_entry(one, expires=last.isoformat())
        return
    console().print(f"Holds until {last}: {one.key}.")


@app.command()
def audit(
    files: Files = None,
    deny: Annotated[
        list[Path] | None, typer.Option("--deny", metavar="FILE", help="A plain list of what is denied.")
    ] = None,
    service: Annotated[str, typer.Option(help="What a plain list opens where it does not say so.")] = "",
    internal: Annotated[
        bool, typer.Option("--internal", help="Plain lists name networks of one's own, not the internet's.")
    ] = False,
    listeners: Annotated[
        Path | None, typer.Option("--listeners", metavar="FILE", help="What `ss -Hltnup` printed.")
    ] = None,
    provider: Annotated[
        list[Path] | None,
        typer.Option("--provider", metavar="FILE", help="The published ranges of a provider."),
    ] = None,
    used: Annotated[
        list[Path] | None,
        typer.Option(
            "--used", metavar="FILE", help="A record of connections: conntrack, EVE, Zeek, sshd, nft."
        ),
    ] = None,
    rules: Annotated[
        list[Path] | None,
        typer.Option("--rules", metavar="FILE", help="The rule set of a host: nft, iptables-save, AWS."),
    ] = None,
    as_of: AsOf = "",
    state: State = None,
    json: Json = False,
) -> None:
    """What is wrong with the entries, one by one. Reads plain files without a platform.

    Example: wardkeep allowlist audit partners.csv --service 443/tcp --listeners ss.txt --provider aws.json.
    Exit status: 0 nothing, 1 defects, 2 a file has a fault, 3 something could not be decided.
    """
    from wardkeep.allowlists import Surroundings
    from wardkeep.allowlists import audit as find_defects
    from wardkeep.allowlists.providers import read_ranges
    from wardkeep.allowlists.records import read_record
    from wardkeep.allowlists.usage import unused
    from wardkeep.allowlists.views import audit_view
    from wardkeep.cli.terminal import print_json

    today = day(as_of) if as_of else datetime.now(UTC).date()
    known = _read(files or [], state, deny=deny or [], service=service, internal=internal)
    if files or deny:
        ranges = tuple(read_ranges(path) for path in provider or ())
        heard = _listening(listeners) if listeners else None
        found = find_defects(known, Surroundings(today, listeners=heard, providers=ranges))
    elif provider or listeners:
        raise BadInput("--provider and --listeners go with files", todo="Set allowlist.providers instead.")
    else:
        found = _of_platform(state, today)
    if rules:
        found += _effect(known, rules, today)
    if used:
        now = datetime.now(UTC) if not as_of else datetime(today.year, today.month, today.day, tzinfo=UTC)
        found += unused(known, [read_record(path, now) for path in used], today)
    if json:
        print_json(audit_view(known.entries, found, today))
    else:
        _tell(known, found)
    if any(not one.unknown for one in found):
        raise typer.Exit(1)
    raise typer.Exit(3 if found else 0)


@app.command()
def review(
    act: Annotated[str, typer.Argument(help="status, start, sign, minutes or close.")] = "status",
    said: Annotated[
        list[str] | None, typer.Argument(metavar="[ENTRY]...", help="The ids or networks that are signed.")
    ] = None,
    decision: Annotated[str, typer.Option(help="Of a signature: keep, extend or remove.")] = "",
    until: Annotated[str, typer.Option(help="Of an extension: the new last day, or a span from today.")] = "",
    says: Annotated[str, typer.Option(help="Why; of a closing, why some are left.")] = "",
    reviewer: Annotated[str, typer.Option(help="Who decided, if not who is at this terminal.")] = "",
    campaign: Annotated[str, typer.Option(help="Its name. Default: this quarter's, or the last one.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Write the minutes there: .html, .md or .json by its end.")
    ] = None,
    state: State = None,
    json: Json = False,
) -> None:
    """The quarter's review: every entry is kept, extended or removed by somebody with a name.

    Example: wardkeep allowlist review start; wardkeep allowlist review sign 203.0.113.7 --decision keep; wardkeep allowlist review
    minutes --out minutes.html. Exit status: 0 complete, 1 entries are left, 2 wrong use.
    """
    from wardkeep.cli import allowlist_review

    allowlist_review.run(act, said or [], decision, until, says, reviewer, campaign, out, state, json)


def day(text: str, *, ahead: bool = False) -> date:
    """A day, or (`ahead`) a span from today. Raises BadInput."""
    from wardkeep.cli.findings import read_until

    try:
        return date.fromisoformat(text)
    except ValueError:
        if ahead:
            return read_until(text, datetime.now(UTC)).date()
        raise BadInput(f"`{text}` is no day", where="--as-of", todo="Write 2027-01-31.") from None


def _read(
    files: list[Path],
    state: Path | None,
    *,
    deny: list[Path] | None = None,
    service: str = "",
    internal: bool = False,
) -> Allowlist:
    """The given files as one, or the platform's."""
    from wardkeep.allowlists import DENY, Allowlist, Named, read_file, read_service
    from wardkeep.engine.declared import declared
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform

    if service:
        read_service(service)
    if not files and not deny:
        with open_platform(find_folder(state)) as platform:
            return declared(platform.config)
    read = [read_file(path, service=service) for path in files]
    read += [read_file(path, service=service, action=DENY) for path in deny or ()]
    lists = {name: about for one in read for name, about in one.lists.items()}
    if internal:
        lists = {e.list: Named("internal") for one in read for e in one.entries} | lists
    return Allowlist(tuple(e for one in read for e in one.entries), lists, all(one.bare for one in read))


def _of_platform(state: Path | None, today: date) -> list[Any]:
    from wardkeep.engine.allowlist_hosts import audit_platform
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform

    with open_platform(find_folder(state)) as platform:
        return audit_platform(platform, today)


def _listening(path: Path) -> tuple[Any, ...]:
    from wardkeep.allowlists import Listening
    from wardkeep.cli.listening import read_listeners

    return tuple(Listening(one.protocol, one.port, versions) for one, versions in read_listeners(path))


def _effect(known: Allowlist, rules: list[Path], today: date) -> list[Any]:
    from wardkeep.engine.allowlist_effect import effect
    from wardkeep.rulesets.files import load

    held = load(rules)
    if len(held) > 1:
        names = ", ".join(one.program.name for one in held[:3]) + (", …" if len(held) > 3 else "")
        what = f"{len(held)} rule sets are in it ({names}), and a list is held against one"
        raise BadInput(what, where=str(rules[0]), todo="Export the one group or ACL that the list is about")
    return list(effect(known, held[0].program, today, held[0].families))


def _print_entry(entry: Entry, **more: object) -> None:
    from wardkeep.allowlists.views import entry_view
    from wardkeep.cli.terminal import print_json

    print_json({**entry_view(entry, datetime.now(UTC).date()), **more})


def _tell(known: Allowlist, found: list[Any]) -> None:
    from rich.text import Text

    from wardkeep.allowlists.views import entries_told
    from wardkeep.cli.terminal import console, state, table

    out = console()
    wrong = {id(one.entry) for one in found if not one.unknown}
    if known.bare and known.entries:
        out.print("A plain list: who answers for its entries, and until when, it does not say.", style="dim")
    sure = sum(not one.unknown for one in found)
    defects = f"{sure:,} defect{'s' * (sure != 1)}" if sure else "no defect"
    where = f" in {len(wrong):,} of them" if sure and len(known.entries) > 1 else ""
    open_ = f"; {len(found) - sure:,} could not be decided" if sure < len(found) else ""
    out.print(f"{entries_told(len(known.entries))}, {defects}{where}{open_}.")
    if not found:
        return
    made = table(("", {"no_wrap": True}), ("defect", {"overflow": "fold", "ratio": 1}))
    made.expand = True
    for one in found[:200]:
        place = f"{one.entry.place}: " if one.entry.place else ""
        text = f"{one.kind} · {one.severity} · {place}{one.entry.key}\n{one.seen}. {one.todo}"
        made.add_row(state("unknown" if one.unknown else "fail"), Text(text))
    out.print(made)
    if len(found) > 200:
        out.print(f"{len(found) - 200:,} more: see them all by --json.", style="dim")
