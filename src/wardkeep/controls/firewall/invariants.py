"""Whether the host's whole rule set, foreign tables included, lets in what it must and nothing that it must not.

Asked of people who are in none of our ban sets and keep within their rates, and who come by no trusted interface.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

from wardkeep.controls.firewall.allowed import Opening, openings
from wardkeep.controls.firewall.declared_program import PROTOCOLS
from wardkeep.controls.firewall.packet_change import decided
from wardkeep.controls.firewall.row import ACCESS, RISK, Policy, control
from wardkeep.core.errors import WardkeepError
from wardkeep.core.findings import Seen, Severity, fails, passes, unsure
from wardkeep.facts.iptables import Iptables
from wardkeep.facts.nftables import Nftables
from wardkeep.packets.dimensions import Row, states
from wardkeep.packets.program import Chain, Match, Part, Program, Rule
from wardkeep.rulesets.observed import rule_set_of
from wardkeep.rulesets.published import addressed_here, published, sends_on, to_this_host
from wardkeep.rulesets.translation import first_packets, from_elsewhere, noted

if TYPE_CHECKING:
    from wardkeep.packets.questions import Answer

About: TypeAlias = tuple[Opening, ...]
LOOK = "Look at the rules: `nft list ruleset`."
# What every host needs: (subject, route, packets, what does not work without, what to open).
NEEDED: Final[tuple[tuple[str, str, Row, str, str], ...]] = (
    (
        "names",
        "output",
        {"proto": ((17, 17),), "dport": ((53, 53),), "state": states("new")},
        "no question about a name (53/udp) leaves the host",
        "Let 53/udp out.",
    ),
    (
        "clock",
        "output",
        {"proto": ((17, 17),), "dport": ((123, 123),), "state": states("new")},
        "no question about the time (123/udp) leaves the host",
        "Let 123/udp out.",
    ),
    (
        "answers",
        "input",
        {"proto": ((6, 6), (17, 17)), "state": states("established")},
        "no answer to what the host asks comes in",
        "Accept established connections before anything is dropped.",
    ),
)


@control.rule(
    says="What the policy says must stay open is open, and what must stay closed is closed, whatever tables the host has.",
    severity=Severity.CRITICAL,
    serves={
        ACCESS: "who must reach a system in an emergency does, and who must never reach the data does not",
        RISK: "the two or three sentences that matter most are proved for every packet, not sampled",
    },
)
def invariants_hold(rules: Nftables, iptables: Iptables, policy: Policy) -> Iterator[Seen]:
    try:
        must_allow, must_deny = (
            {sentence: openings((sentence,), policy.zones) for sentence in wanted}
            for wanted in (policy.must_allow, policy.must_deny)
        )
        whole = rule_set_of(rules, iptables.in_words()).program
        met = decided(for_strangers(whole, policy.permit.interfaces))
        yield from _opened(met, must_allow)
        yield from _closed(met, must_deny)
        yield from tuple(_needed(noted(met)))
        # Last: rules that cannot be followed are told of the same subject.
        if not must_allow and not must_deny:
            yield passes("invariants", "the policy names nothing that must stay open or closed")
    except WardkeepError as e:
        yield unsure("invariants", e.line(), LOOK)


def _needed(program: Program) -> Iterator[Seen]:
    """Whether the host can ask for names and the time, and hear answers: some such packet surely passes."""
    from wardkeep.packets.questions import Asked, Question

    asked = [
        Question(first_packets(program, [{**row, "fragment": ((0, 0),)}]), (route,))
        for _, route, row, _, _ in NEEDED
    ]
    ready = Asked(program, asked)
    for (subject, _, _, lacking, todo), question in zip(NEEDED, asked, strict=True):
        answer = ready.answer(question)
        if answer.reach == "open":
            yield passes(f"needed:{subject}", "some packet of it surely passes")
        elif answer.reach == "closed":
            yield fails(f"needed:{subject}", lacking, todo)
        else:
            yield unsure(
                f"needed:{subject}",
                "whether any of it passes hangs on conditions that are not modelled",
                LOOK,
            )


def _opened(program: Program, wanted: Mapping[str, About]) -> Iterator[Seen]:
    met = published(program, "accept") if sends_on(program) else addressed_here(program)
    for sentence, answer in _answers(met, wanted):
        subject = f"must_allow:{sentence}"
        if answer.whole:
            yield passes(subject, "every packet of it gets in")
        elif answer.denied is not None and (answer.reach == "closed" or answer.denied.certain):
            yield fails(subject, f"{answer.denied.text()} does not get in", "Open it, or plan our own table.")
        else:
            yield unsure(subject, "whether all of it gets in hangs on conditions that are not modelled", LOOK)


def _closed(program: Program, wanted: Mapping[str, About]) -> Iterator[Seen]:
    met = published(program, "drop") if sends_on(program) else addressed_here(program)
    for sentence, answer in _answers(met, wanted):
        subject = f"must_deny:{sentence}"
        if answer.reach == "open" and answer.allowed is not None:
            what = "gets in" if answer.allowed.route == "input" else "gets in, and on to another host"
            yield fails(subject, f"{answer.allowed.text()} {what}", "Close it, or plan our own table.")
        elif answer.reach == "closed":
            yield passes(subject, "no packet of it gets in")
        else:
            yield unsure(
                subject, "whether some of it gets in hangs on conditions that are not modelled", LOOK
            )


def _answers(program: Program, wanted: Mapping[str, About]) -> Iterator[tuple[str, Answer]]:
    """The answer to each sentence about this host, where a port that is published for a container is one of this host too."""
    # Only rows of the matrix that hold a few sentences need numpy, which takes long to import.
    from wardkeep.packets.audit import WORK
    from wardkeep.packets.questions import Asked, Question

    routes = ("input", "forward") if sends_on(program) else ("input",)
    program = noted(program)
    asked = {
        sentence: Question(from_elsewhere(program, to_this_host(program, _rows(about))), routes)
        for sentence, about in wanted.items()
    }
    if asked:
        ready = Asked(program, [*asked.values()], work=WORK * len(asked))
        yield from ((sentence, ready.answer(question)) for sentence, question in asked.items())


invariants_hold.cannot_mend(
    "no change of its own: our own table, which other rules plan, drops what `allow` does not name; "
    "what a table of somebody else does must be mended there"
)


def for_strangers(program: Program, trusted: frozenset[str] = frozenset()) -> Program:
    """The program as packets meet it that neither come nor go by the loopback interface or a trusted one: rules about these
    alone are left out."""
    own: set[tuple[str, ...]] = {("lo",), *((name,) for name in trusted)}
    chains = []
    for chain in program.chains:
        rules = [made for rule in chain.rules if (made := _elsewhere(rule, own)) is not None]
        chains.append(Chain(chain.id, tuple(rules), chain.entry, chain.packets))
    return replace(program, chains=tuple(chains))


def _elsewhere(rule: Rule, own: set[tuple[str, ...]]) -> Rule | None:
    body: list[Part] = []
    for part in rule.body:
        if isinstance(part, Match) and any(_about(row, own) for row in part.rows):
            rows = tuple(row for row in part.rows if not _about(row, own))
            if not rows and not part.negated:
                return None
            if not rows:
                continue
            part = replace(part, rows=rows)
        body.append(part)
    return replace(rule, body=tuple(body))


def _about(row: Row, own: set[tuple[str, ...]]) -> bool:
    held = [names for side in ("in", "out") if (names := row.get(side)) is not None]
    return any(all((name,) in own for name in names) for names in held)


def _rows(about: About) -> tuple[Row, ...]:
    """New packets, the first of their connection, from strangers."""
    rows: list[Row] = []
    for one in about:
        number = PROTOCOLS[one.protocol]
        for version, highest in ((4, (1 << 32) - 1), (6, (1 << 128) - 1)):
            held = tuple(
                (int(n.network_address), int(n.broadcast_address))
                for n in one.sources
                if n.version == version
            )
            if one.sources and not held:
                continue
            rows.append(
                {
                    "family": ((version, version),),
                    f"src{version}": held or ((0, highest),),
                    "proto": ((number, number),),
                    "dport": ((one.low, one.high),),
                    "fragment": ((0, 0),),
                    "state": states("new"),
                }
            )
    return tuple(rows)
