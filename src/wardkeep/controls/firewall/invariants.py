"""Whether the host's whole rule set, foreign tables included, lets in what it must and nothing that it must not.

Asked of people who are in none of our ban sets and keep within their rates, and who come by no trusted interface.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

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

LOOK = "Look at the rules: `nft list ruleset`."


@control.rule(
    says="What the policy says must stay open is open, and what must stay closed is closed, whatever tables the host has.",
    severity=Severity.CRITICAL,
    serves={
        ACCESS: "who must reach a system in an emergency does, and who must never reach the data does not",
        RISK: "the two or three sentences that matter most are proved for every packet, not sampled",
    },
)
def invariants_hold(rules: Nftables, iptables: Iptables, policy: Policy) -> Iterator[Seen]:
    wanted = dict.fromkeys(policy.must_allow), dict.fromkeys(policy.must_deny)
    if not any(wanted):
        yield passes("invariants", "the policy names nothing that must stay open or closed")
        return
    try:
        program = decided(
            for_strangers(rule_set_of(rules, iptables.in_words()).program, policy.permit.interfaces)
        )
        for sentence in wanted[0]:
            yield _open(program, sentence, openings((sentence,), policy.zones))
        for sentence in wanted[1]:
            yield _closed(program, sentence, openings((sentence,), policy.zones))
    except WardkeepError as e:
        yield unsure("invariants", e.line(), LOOK)


def _open(program: Program, sentence: str, about: tuple[Opening, ...]) -> Seen:
    # Only rows of the matrix that hold a few sentences need numpy, which takes long to import.
    from wardkeep.packets.questions import Question, reaches

    subject = f"must_allow:{sentence}"
    answer = reaches(program, Question(_rows(about), ("input",)))
    if answer.whole:
        return passes(subject, "every packet of it gets in")
    if answer.denied is not None and (answer.reach == "closed" or answer.denied.certain):
        return fails(subject, f"{answer.denied.text()} does not get in", "Open it, or plan our own table.")
    return unsure(subject, "whether all of it gets in hangs on conditions that are not modelled", LOOK)


def _closed(program: Program, sentence: str, about: tuple[Opening, ...]) -> Seen:
    from wardkeep.packets.questions import Question, reaches

    subject = f"must_deny:{sentence}"
    answer = reaches(program, Question(_rows(about), ("input",)))
    if answer.reach == "closed":
        return passes(subject, "no packet of it gets in")
    if answer.reach == "open" and answer.allowed is not None:
        return fails(subject, f"{answer.allowed.text()} gets in", "Close it, or plan our own table.")
    return unsure(subject, "whether some of it gets in hangs on conditions that are not modelled", LOOK)


invariants_hold.cannot_mend(
    "our own table opens what `allow` names; a table of somebody else must be mended there"
)


def for_strangers(program: Program, trusted: frozenset[str] = frozenset()) -> Program:
    """The program as packets meet it that come neither by the loopback interface nor by a trusted one: rules about these
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
    names = row.get("in")
    return names is not None and all((name,) in own for name in names)


def _rows(about: tuple[Opening, ...]) -> tuple[Row, ...]:
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
