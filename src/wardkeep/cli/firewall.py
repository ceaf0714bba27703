"""`wardkeep firewall`: rule sets as exact sets of packets: audit, ask, diff, matrix. Of plain files, or of this machine; no platform
is needed, and nothing is changed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from wardkeep.cli.options import Json
from wardkeep.core.errors import BadInput

if TYPE_CHECKING:
    from wardkeep.cli.listening import Reached
    from wardkeep.packets.program import Program
    from wardkeep.rulesets.audit.listening import Socket

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=__doc__)
KINDS = "`nft -j list ruleset`, an nft file, iptables-save, ip6tables-save, ipset save, AWS JSON; `-` is standard input, `here` the rules that this machine runs"
SHOWN = 20  # changes of a rule set in the terminal, without --all
Files = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FILE...]", help=f"{KINDS}. Those of one host together; none: here."),
]
File = Annotated[Path, typer.Argument(metavar="FILE", help=f"{KINDS}.")]
Beside = Annotated[
    list[Path] | None,
    typer.Option("--with", metavar="FILE", help="Another dump of the same host (IPv6, ipset)."),
]
Named = Annotated[
    Path | None, typer.Option("--names", metavar="FILE", help='TOML: [names], app = "10.0.1.0/24".')
]


@app.command()
def audit(
    files: Files = None,
    before: Annotated[
        list[Path] | None,
        typer.Option(help="Earlier dump of the same host: rules whose counters did not move are unused."),
    ] = None,
    listeners: Annotated[
        Path | None, typer.Option(help="Output of `ss -Hltnup` on the host: compare with what listens.")
    ] = None,
    rules: Annotated[bool, typer.Option("--rules", help="Show every rule in its place.")] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Only the commands that remove what is proved dead weight.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Cut no list short.")] = False,
    json: Json = False,
) -> None:
    """Judge every rule, and say what strangers reach; each verdict with a packet or the rules that hide it.

    Example: wardkeep firewall audit rules.v4 rules.v6 ipsets. Exit status: 0 nothing fails; 1 findings of weight;
    2 a file that cannot be used; 3 something is not modelled or undecided.
    """
    from wardkeep.cli.firewall_report import show, show_fix, show_rules
    from wardkeep.cli.listening import read_listeners
    from wardkeep.cli.rule_files import given
    from wardkeep.cli.terminal import print_json, progress
    from wardkeep.rulesets.audit.audit import QUICK, audit

    read = given(files)
    found = read.rule_sets
    sockets = _sockets(read_listeners(listeners) if listeners else read.listening)
    old = {r.program.name: r.program for r in given(before).rule_sets} if before else {}
    reports = []
    for one in found:
        with progress(one.program.name, quiet=json) as step:
            earlier = _earlier(old, one.program.name, len(found))
            work = 10 * QUICK if fix else QUICK
            reports.append(audit(one, before=earlier, sockets=sockets, work=work, step=step))
    statuses = {r.exit_status for r in reports}
    status = 1 if 1 in statuses else 3 if 3 in statuses else 0
    if json:
        print_json(_as_one([msgspec.to_builtins(r) for r in reports], status))
    elif fix:
        show_fix(reports)
    else:
        for n, report in enumerate(reports):
            if n:
                sys.stdout.write("\n")
            show(report, everything=everything)
            if rules:
                show_rules(report)
    raise typer.Exit(status)


def _as_one(reports: list[dict[str, Any]], status: int) -> dict[str, Any]:
    """One object, also of many rule sets (each AWS group is one): their lists joined, each element with its `rule_set`."""
    if len(reports) == 1:
        return {**reports[0], "exit_status": status}
    told: dict[str, Any] = {"name": "", "rule_sets": [report["name"] for report in reports]}
    for key in ("rules", "findings", "unknown_matches", "notes", "removal"):
        parts = ((report["name"], report[key]) for report in reports)
        told[key] = [
            {"rule_set": name, **(one if isinstance(one, dict) else {"text": one})}
            for name, part in parts
            for one in (part if isinstance(part, list | tuple) else [part] if part else [])
        ]
    kinds = {kind for report in reports for kind in report["counts"]}
    told["counts"] = {
        kind: sum(report["counts"].get(kind, 0) for report in reports) for kind in sorted(kinds)
    }
    return {**told, "exit_status": status}


@app.command()
def ask(
    file: File,
    questions: Annotated[
        list[str],
        typer.Argument(metavar="QUESTION...", help="`22/tcp from anywhere`, `db only from app`, ..."),
    ],
    beside: Beside = None,
    names: Named = None,
    json: Json = False,
) -> None:
    """Answer questions about packets: yes, no, partly or undecided, with a packet that shows it.

    Example: wardkeep firewall ask rules.v4 "22/tcp from anywhere must be false". Exit status: 0 yes, or as it must be;
    1 no, or not as it must be; 2 wrong use; 3 undecided.
    """
    from wardkeep.cli.rule_files import given
    from wardkeep.cli.terminal import print_json
    from wardkeep.rulesets.audit.answers import answer
    from wardkeep.rulesets.audit.questions import Names, ask, read_names

    known = read_names(names) if names else Names()
    asked = [ask(text, known) for text in questions]
    told = [one for found in given([file, *(beside or [])]).rule_sets for one in answer(found, asked)]
    if json:
        print_json([msgspec.to_builtins(one) for one in told])
    else:
        several = len({one.rule_set for one in told}) > 1
        for one in told:
            shape = {0: "●", 1: "▲", 3: "?"}[one.exit_status]
            where = f"{one.rule_set}: " if several else ""
            sys.stdout.write(f"{shape} {one.word}: {where}{one.question}\n  {one.why}\n")
    statuses = {one.exit_status for one in told}
    raise typer.Exit(1 if 1 in statuses else 3 if 3 in statuses else 0)


@app.command()
def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help=f"{KINDS}.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The rule set that is to take its place.")],
    most: Annotated[int, typer.Option(help="Stop after so many changes.", min=1)] = 200,
    everything: Annotated[bool, typer.Option("--all", help="Cut no list short.")] = False,
    json: Json = False,
) -> None:
    """The packets that fare otherwise under NEW, one for each rule that decided and rule that decides now, what opens first.

    That there is no difference is proved.

    Example: wardkeep firewall diff before.v4 after.v4. Exit status: 0 equal; 1 some packet surely fares otherwise; 2 a file that
    cannot be used; 3 undecided, or a match that is not modelled decides about every change.
    """
    from wardkeep.cli.rule_files import given
    from wardkeep.cli.terminal import print_json
    from wardkeep.packets.difference import difference
    from wardkeep.rulesets.audit.audit import told as packet
    from wardkeep.rulesets.audit.model import sentence

    was, now = (
        {r.program.name: r.program for r in given([old]).rule_sets},
        {r.program.name: r.program for r in given([new]).rule_sets},
    )
    pairs = _pairs(was, now)
    told: list[dict[str, Any]] = []
    whole = decided = True
    for name, (a, b) in pairs.items():
        found = difference(a, b, most=most, kinds=True)
        whole, decided = whole and found.complete, decided and not found.undecided
        texts = {r.id: r.text for p in (a, b) for c in p.chains for r in c.rules}
        for case in sorted(found.cases, key=lambda case: not case.opens):
            told.append(
                {
                    "rule_set": name,
                    "old": list(case.before),
                    "new": list(case.after),
                    "opens": case.opens,
                    "was": case.old_rule,
                    "was_text": texts.get(case.old_rule, ""),
                    "by": case.new_rule,
                    "by_text": texts.get(case.new_rule, ""),
                    "witness": packet(case.witness),
                    "certain": case.witness.certain,
                    "sure": case.sure,
                }
            )
    if json:
        print_json(
            {"equal": not told and whole, "complete": whole, "undecided": not decided, "changes": told}
        )
    else:
        shown = told if everything else told[:SHOWN]
        for one in shown:
            where = f"{one['rule_set']}: " if len(pairs) > 1 else ""
            fates = f"{' or '.join(one['old'])} → {' or '.join(one['new'])}"
            shape, doubt = (
                ("▲", "") if one["sure"] else ("?", ", perhaps: a match that is not modelled decides")
            )
            sys.stdout.write(
                f"{shape} {where}{fates}: {sentence(one['witness'])}{doubt}\n"
                f"  was {_told(one['was'], one['was_text'])}\n  now {_told(one['by'], one['by_text'])}\n"
            )
        if len(shown) < len(told):
            sys.stdout.write(f"  and {len(told) - len(shown)} more: --all, or --json\n")
        if not told:
            sys.stdout.write(
                "● equal: every packet fares as before\n"
                if whole
                else "? undecided within the work allowed\n"
            )
        elif not whole:
            sys.stdout.write("? and more: --most, or the work allowed was spent\n")
    raise typer.Exit(1 if any(one["sure"] for one in told) else 0 if whole and not told else 3)


@app.command()
def matrix(
    files: Files = None,
    services: Annotated[
        list[str] | None, typer.Option("--service", help="`22/tcp`, `ssh`; else those the rules name most.")
    ] = None,
    route: Annotated[
        str, typer.Option(help="input: what reaches the host; forward: what it passes on.")
    ] = "",
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it into this file.")] = None,
    json: Json = False,
) -> None:
    """Who can reach whom on which service: sources that fare alike are one row.

    Example: wardkeep firewall matrix rules.v4 --service ssh --service 443/tcp. Exit status: 0; 2 a file that cannot be used.
    """
    from wardkeep.cli.rule_files import given
    from wardkeep.cli.terminal import console, print_json, table
    from wardkeep.rulesets.audit.matrix import MEANING, SHAPES, as_json, matrices
    from wardkeep.rulesets.audit.picture import draw
    from wardkeep.rulesets.audit.questions import ports_of

    if route not in ("", "input", "forward"):
        raise BadInput(f"`{route}` is neither input nor forward", where="--route")
    wanted = [one for text in services or [] for one in ports_of(text)]
    made = [m for found in given(files).rule_sets for m in matrices(found, wanted, [route] if route else [])]
    if svg:
        try:
            svg.write_text(draw(made), encoding="utf-8")
        except OSError as e:
            raise BadInput(f"cannot be written: {e.strerror}", where=str(svg)) from None
    if json:
        print_json([as_json(m) for m in made])
        return
    out = console()
    for one in made:
        to = "to this host" if one.route == "input" else f"through it, {one.service}"
        out.print(f"{one.rule_set}, IPv{one.family}, {to}", style="bold", highlight=False)
        shown = table(
            "from \\ to" if one.route == "forward" else "from",
            *(str(n) for n in range(1, len(one.columns) + 1)),
        )
        for who, cells in zip(one.rows, one.cells, strict=True):
            shown.add_row(who, *(SHAPES[c] for c in cells))
        out.print(shown)
        for n, name in enumerate(one.columns, 1):
            out.print(f"  {n}: {name}", style="dim", highlight=False)
        out.print()
    out.print(
        MEANING if made else "no chain of these rules sees packets to or through this host", style="dim"
    )


def _told(rule: str, text: str) -> str:
    return f"{rule}: {text}" if text else rule or "no rule"


def _pairs(was: dict[str, Program], now: dict[str, Program]) -> dict[str, tuple[Program, Program]]:
    """Rule sets of both files that belong together: by name, or the only ones."""
    from wardkeep.packets.program import Program

    if len(was) == len(now) == 1:
        (name,) = now
        return {name: (next(iter(was.values())), now[name])}
    names = list(dict.fromkeys([*was, *now]))
    nothing = Program(())
    return {name: (was.get(name, nothing), now.get(name, nothing)) for name in names}


def _earlier(old: dict[str, Program], name: str, count: int) -> Program | None:
    if len(old) == count == 1:
        return next(iter(old.values()))
    return old.get(name)


def _sockets(listening: list[Reached] | None) -> list[Socket] | None:
    from wardkeep.rulesets.audit.listening import Socket

    if listening is None:
        return None
    return [
        Socket(6 if one.protocol == "tcp" else 17, one.port, versions, one.programs)
        for one, versions in listening
    ]
