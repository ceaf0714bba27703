"""Matches that are not modelled: what hangs on each, and limits that hold nobody back because what follows decides the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from wardkeep.packets.chances import Chance, chances
from wardkeep.packets.flat import Flat
from wardkeep.packets.program import Program, Rule, Unknown, Verdict
from wardkeep.rulesets.audit.model import Finding, RuleVerdict, UnknownMatch, finding_id, worded
from wardkeep.rulesets.audit.rules import told

# What somebody writes to hold back who asks for too much: rates, counted connections, meters.
LIMITS: Final = re.compile(
    r"(?:! )?(?:limit|quota|meter|ct count|(?:add|update) @\S+ \{.*|-m (?:limit|hashlimit|connlimit|quota|recent .*--hitcount))\b"
)
OVER: Final = re.compile(r"\bover\b|-above\b|--hitcount\b|-m quota\b")  # a rule for those above the limit
WORK: Final = 1.2e7  # a third of a second: an audit of thousands of rules is hardly slower for it; with `--fix` there is more
ORDER: Final = ("nothing", "log", "undecided", "effect", "fate")


def unknown_matches(
    program: Program, unfolded: Sequence[Flat] | None = None, work: float = WORK
) -> list[UnknownMatch]:
    """Every match that is not modelled, with its rule and what hangs on it, over all layers. `unfolded`: the worlds of the layer IP;
    `work`: what is spent on each layer, beyond which it is undecided."""
    layers = sorted({c.entry.layer for c in program.chains if c.entry}) or ["ip"]
    worst: dict[str, Chance] = {}
    for layer in layers:
        for rule, one in chances(
            program, layer=layer, work=work, unfolded=unfolded if layer == "ip" else None
        ).items():
            if rule not in worst or _weight(one) > _weight(worst[rule]):
                worst[rule] = one
    return [
        UnknownMatch(
            rule.id, part.text, worst[rule.id].decides, _packet(worst[rule.id]), worst[rule.id].instead
        )
        for chain in program.chains
        for rule in chain.rules
        for part in rule.body
        if isinstance(part, Unknown)
    ]


def _weight(one: Chance) -> tuple[int, bool]:
    return ORDER.index(one.decides), bool(one.instead)


def _packet(one: Chance) -> Mapping[str, object] | None:
    shown = one.witness
    return worded({**shown.packet, "family": shown.family, "route": shown.route}) if shown else None


def findings(
    program: Program, unknown: Sequence[UnknownMatch], verdicts: Sequence[RuleVerdict]
) -> Iterator[Finding]:
    """Limits of rules that decide, where what exceeds the limit (or stays below it) fares the same."""
    rules = {rule.id: (chain.id, rule) for chain in program.chains for rule in chain.rules}
    met = {v.id for v in verdicts if v.verdict in ("live", "removable")}
    of_rule: dict[str, list[UnknownMatch]] = {}
    for match in unknown:
        of_rule.setdefault(match.rule, []).append(match)
    for name, matches in of_rule.items():
        chain, rule = rules[name]
        one = matches[0]
        if name in met and one.instead and not one.matters and all(LIMITS.match(m.text) for m in matches):
            yield from _about(chain, rule, one)


def _about(chain: str, rule: Rule, one: UnknownMatch) -> Iterator[Finding]:
    last = rule.body[-1]
    if not isinstance(last, Verdict) or last.kind not in ("accept", "drop", "reject"):
        return
    accepts, logged = last.kind == "accept", one.decides == "log"
    if logged and not accepts:
        return  # to log and deny, some of many, before all are denied: a habit that is meant
    also = f"{'let through' if accepts else 'denied'} by {told(one.instead)} as well"
    only = "only what is logged" if logged else "nothing"
    who = "who stays below its limit" if OVER.search(rule.text) else "who exceeds its limit"
    what = f"`{rule.text}` limits {only}: {who} is {also}"
    fix = "Deny behind it what exceeds the limit, or remove the limit" if accepts else "Remove the limit"
    severity = "medium" if accepts and not logged else "info"
    yield Finding(finding_id("limit", chain, rule.text), "limit", severity, what, (rule.id,), None, fix)
