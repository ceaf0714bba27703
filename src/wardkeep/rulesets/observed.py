"""The rule set of a host as its own tools told it: nftables' objects, and what only the iptables tools can print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wardkeep.core.errors import NotUnderstood
from wardkeep.packets.program import Chain, Program, faults
from wardkeep.rulesets.files import RuleSet, is_dark, table_of
from wardkeep.rulesets.iptables.dump import RawChain, RawRule, RawTable
from wardkeep.rulesets.iptables.reader import chain_of, rewrites
from wardkeep.rulesets.nft.objects import Objects
from wardkeep.rulesets.nft.reader import read_nft


@dataclass(frozen=True, slots=True)
class OldTable:
    """A table in the words of iptables-save: `legacy` says that the old kernel code holds it, not nftables.

    `chains`: (name, policy or "", rules as their words after `-A CHAIN`).
    """

    family: str
    name: str
    legacy: bool
    chains: Sequence[tuple[str, str, Sequence[tuple[str, ...]]]]


def rule_set_of(found: Objects, old: Iterable[OldTable] = ()) -> RuleSet:
    """Everything that filters on the host, as one rule set.

    Tables of nftables' own that only iptables can print come in its words. Raises NotUnderstood where the old code and nftables hold a
    table of one name, whose order is not followed here.
    """
    chains, notes = read_nft(found, "nftables")
    dark = {table_of(c) for c in chains if is_dark(c)}
    # Sorted: of two that cannot be followed the same one is named, however the host lists them.
    for table in sorted(old, key=lambda t: (t.family, t.name, t.legacy)):
        name = f"{table.family} {table.name}"
        if not table.legacy and name not in dark:
            continue
        held = any(table_of(c) == name for c in chains)
        if table.legacy and held:
            raise NotUnderstood(f"the table {name} is held by the old code and by nftables", where="iptables")
        chains = [c for c in chains if table_of(c) != name] + _chains(table)
    program = Program(tuple(chains), "the host", notes=tuple(notes))
    if wrong := faults(program):
        raise NotUnderstood(min(wrong), where="nftables")
    return RuleSet(program)


def _chains(table: OldTable) -> list[Chain]:
    raw = RawTable(table.name, 0, table.family)
    for name, policy, rules in table.chains:
        raw.chains[name] = RawChain(name, policy)
        raw.chains[name].rules += [RawRule(list(w), 0, f"-A {name} {' '.join(w)}") for w in rules]
    translates = rewrites(raw)
    return [chain_of(raw, chain, f"iptables {table.name}", {}, translates) for chain in raw.chains.values()]
