"""The kernel's packet filter as nftables tells it, in its own JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.facts import Answer, Question
from wardkeep.rulesets.nft.objects import FAMILIES, Chain, Collection, Objects, Rule, Table, read_objects

__all__ = ["FAMILIES", "Chain", "Collection", "Nftables", "Rule", "Table"]


@dataclass(frozen=True)
class Nftables(Objects):
    """The whole rule set: tables, chains, rules in evaluation order, named sets and maps."""

    # --numeric-* are avoided on purpose: names of ports would vary with /etc/services, and JSON has numbers already.
    ask: ClassVar[Question] = Question("nftables", "nft -j list ruleset", tool="nft")

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        """One JSON object as libnftables-json(5), schema version 1. Unknown kinds of object are refused.

        An empty rule set is a fact (nothing is filtered); an empty *answer* is refused.
        """
        found = read_objects(answer.text(), answer.question)
        return cls(found.tables, found.chains, found.rules, found.collections)

    def has_table(self, family: str, name: str) -> bool:
        return any(t.family == family and t.name == name for t in self.tables)

    def rules_of(self, chain: Chain) -> tuple[Rule, ...]:
        """The rules of a chain, in the order the kernel tries them."""
        return tuple(self.by_chain.get((chain.family, chain.table, chain.name), ()))
