"""Openings whose packets a host sends on before our own table, which notes who came, can see them.

A port that a container publishes is translated (DNAT) at prerouting, and forwarded: no packet to it ever arrives at the input
hook. That our table noted nobody there says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from wardkeep.allowlists import Entry
from wardkeep.allowlists.services import Span, write_service
from wardkeep.packets.dimensions import Row
from wardkeep.packets.program import Branches, Chain, Goto, Jump, Match, Program, Rule, Verdict
from wardkeep.rulesets.translation import to_another

PROTOCOLS: Final = {"tcp": 6, "udp": 17, "sctp": 132}


class Diverted:
    """What the rules of a host may send elsewhere. Said too often rather than too seldom: where the packets to a rule come
    from is not followed, nor what is negated or not modelled."""

    def __init__(self, program: Program) -> None:
        self._rules = list(_translating(program))
        self._known: dict[tuple[int, Span], list[Rule]] = {}

    def part_of(self, entry: Entry) -> str:
        """The ports of the entry's service that somebody it names may find translated; "" for none."""
        version = entry.network.version
        source = {f"src{version}": ((entry.network.low, entry.network.high),)}
        return write_service(
            tuple(
                span
                for span in entry.spans
                if any(_may_hold(rule, source) for rule in self._of_port(version, span))
            )
        )

    def _of_port(self, version: int, span: Span) -> list[Rule]:
        if (version, span) not in self._known:
            protocol, low, high = span
            number = PROTOCOLS[protocol]
            wanted = {
                "family": ((version, version),),
                "proto": ((number, number),),
                "dport": ((low, high),),
            }
            self._known[version, span] = [
                rule
                for families, rule in self._rules
                if version in families and _may_hold(rule, wanted, version)
            ]
        return self._known[version, span]


def _translating(program: Program) -> Iterator[tuple[tuple[int, ...], Rule]]:
    """(families, rule) of every rule on the way through prerouting that gives packets another destination, or may."""
    chains = {chain.id: chain for chain in program.chains}
    for base in program.chains:
        if base.entry is None or base.entry.hook != "prerouting" or base.entry.dormant:
            continue
        reached, left = {base.id}, [base]
        while left:
            for rule in (here := left.pop()).rules:
                hidden = base.entry.kind == "nat" and any(map(_decided_elsewhere, rule.body))
                if hidden or any(map(to_another, rule.body)):
                    yield base.entry.families, rule
            for name in _led_to(here):
                if name in chains and name not in reached:
                    reached.add(name)
                    left.append(chains[name])


def _decided_elsewhere(part: object) -> bool:
    """A target of iptables that nft does not print, or a program that is asked."""
    return isinstance(part, Verdict) and part.kind == "queue"


def _led_to(chain: Chain) -> Iterator[str]:
    for rule in chain.rules:
        for part in rule.body:
            decisions = [decision for _, decision in part.branches] if isinstance(part, Branches) else [part]
            yield from (one.chain for one in decisions if isinstance(one, Jump | Goto))


def _may_hold(rule: Rule, wanted: Row, version: int = 0) -> bool:
    """Whether each plain match before the verdict has a row that such a packet can be in."""
    other = {4: ("src6", "dst6"), 6: ("src4", "dst4")}.get(version, ())
    return all(
        any(not any(name in row for name in other) and _meets(row, wanted) for row in part.rows)
        for part in rule.body
        if isinstance(part, Match) and not part.negated
    )


def _meets(row: Row, wanted: Row) -> bool:
    return all(
        any(
            not isinstance(v, tuple) or (v[0] <= w[1] and w[0] <= v[1])
            for v in row[name]
            for w in values
            if isinstance(w, tuple)
        )
        for name, values in wanted.items()
        if name in row
    )
