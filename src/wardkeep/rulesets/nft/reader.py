"""`nft -j list ruleset` as a program of the packet engine. No table, chain, match or statement is silently left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wardkeep.core.errors import NotUnderstood
from wardkeep.packets.program import Chain, Effect, Entry, Goto, Rule, Unknown, Verdict
from wardkeep.rulesets.nft import objects as nft
from wardkeep.rulesets.nft.conditions import Scope
from wardkeep.rulesets.nft.statements import body_of
from wardkeep.rulesets.nft.wording import rule_text

FAMILIES = {"ip": (4,), "ip6": (6,), "inet": (4, 6), "bridge": (0, 4, 6), "netdev": (0, 4, 6), "arp": (0,)}
LAYERS = {"ip": "ip", "ip6": "ip", "inet": "ip", "bridge": "bridge", "netdev": "netdev", "arp": "arp"}


def read_nft(
    found: nft.Objects, where: str, texts: Mapping[str, str] | None = None
) -> tuple[list[Chain], list[str]]:
    """The chains of a rule set, and notes for whoever reads the report.

    `texts` gives rules as nft prints them, by `family table chain handle`; without it they are written from the JSON.
    Raises NotUnderstood for a rule of a chain that is not listed.
    """
    notes: list[str] = []
    chains: list[Chain] = []
    tables = {(t.family, t.name): t for t in found.tables}
    listed = {(c.family, c.table, c.name) for c in found.chains}
    for family, table, name in found.by_chain:
        if (family, table, name) not in listed:
            raise NotUnderstood(
                f"rules of the chain {family} {table} {name}, which is not listed", where=where
            )
    for chain in found.chains:
        known = f"{chain.family} {chain.table} {chain.name}"
        rules = tuple(
            _read(found, rule, position, known, (texts or {}).get(f"{known} {rule.handle}", ""), where)
            for position, rule in enumerate(
                found.by_chain.get((chain.family, chain.table, chain.name), ()), 1
            )
        )
        made = Chain(known, rules, _entry(chain))
        held = tables.get((chain.family, chain.table))
        flags = set(held.flags) - {"owner", "persist"} if held else set()
        if made.entry is None or not flags:
            chains.append(made)
        elif flags == {"dormant"}:
            chains.append(replace(made, entry=replace(made.entry, dormant=True)))
        else:
            chains += _perhaps_asleep(made, chain.table)
    asleep = sorted({c.id.rpartition(" ")[0] for c in chains if c.entry and c.entry.dormant})
    notes += [f"the table {name} is dormant: no packet enters it" for name in asleep]
    for family in ("bridge", "netdev", "arp"):
        if any(c.family == family for c in found.chains):
            notes.append(f"tables of the family {family} are followed apart from those of IP")
    if any("flow" in expr for rule in found.rules for expr in rule.expr):
        notes.append(
            "packets of a flow table pass by the forward chains; only their first ones are followed here"
        )
    return chains, notes


def _entry(chain: nft.Chain) -> Entry | None:
    if not chain.hook:
        return None
    layer = "netdev" if chain.hook in ("ingress", "egress") else LAYERS[chain.family]
    kind = chain.kind if chain.kind in ("nat", "route") else "filter"
    return Entry(
        chain.hook,
        FAMILIES[chain.family],
        chain.priority,
        "drop" if chain.policy == "drop" else "accept",
        kind,  # type: ignore[arg-type]
        layer,
        device=chain.devices,
    )


def _perhaps_asleep(chain: Chain, table: str) -> list[Chain]:
    """A base chain of a table whose flags nft 1.0.6 garbled: it may be in force or dormant."""
    assert chain.entry
    inner = replace(
        chain,
        id=f"{chain.id} (if awake)",
        entry=None,
        rules=(
            *chain.rules,
            Rule(
                f"{chain.id} (policy)",
                (Verdict("drop" if chain.entry.policy == "drop" else "accept"),),
                len(chain.rules) + 1,
                f"policy {chain.entry.policy}",
            ),
        ),
    )
    doubt = Unknown(f"whether the table {table} is dormant (nft 1.0.6 garbles its flags)")
    entry = replace(chain.entry, policy="accept")
    return [
        Chain(chain.id, (Rule(f"{chain.id} (awake)", (doubt, Goto(inner.id)), 1, "in force"),), entry),
        inner,
    ]


def _read(found: nft.Objects, rule: nft.Rule, position: int, chain: str, text: str, where: str) -> Rule:
    """The rule. Raises NotUnderstood where its JSON is not as nft writes it."""
    try:
        return rule_of(found, rule, position, chain, text)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as e:
        raise NotUnderstood(
            f"the rule {position} of the chain {chain} (handle {rule.handle}) is not as nft writes one: {e!r:.60}",
            where=where,
            todo="Give the output of `nft -j list ruleset` as it is",
        ) from None


def rule_of(found: nft.Objects, rule: nft.Rule, position: int, chain: str, text: str) -> Rule:
    """One rule, every expression of it a part or several."""
    scope = Scope(found, rule)
    packets = octets = None
    for expr in rule.expr:
        counter = expr.get("counter")
        if isinstance(counter, dict):
            packets, octets = _number(counter.get("packets")), _number(counter.get("bytes"))
    body = body_of(scope, rule.expr)
    if not body:
        body.append(Effect("nothing", harmless=True))
    return Rule(
        f"{chain} {rule.handle}",
        tuple(body),
        position,
        text or rule_text(rule.expr, rule.comment),
        rule.comment,
        packets,
        octets,
    )


def _number(told: Any) -> int | None:
    return told if isinstance(told, int) else None
