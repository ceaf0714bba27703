"""One rule set, audited: the engine's verdicts, what strangers reach, counters, listeners, and the fix that is offered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from wardkeep.core.collector import collector_paused
from wardkeep.packets.audit import Analysis, RuleAnswer, analyse
from wardkeep.packets.difference import removals
from wardkeep.packets.flat import Flat
from wardkeep.packets.program import Program
from wardkeep.packets.relations import relations
from wardkeep.packets.witness import Witness
from wardkeep.packets.worlds import checked, worlds
from wardkeep.rulesets.audit import limits, openings, rules
from wardkeep.rulesets.audit.listening import Socket, against
from wardkeep.rulesets.audit.model import (
    KINDS,
    SEVERITIES,
    Finding,
    Removal,
    Report,
    RuleVerdict,
    finding_id,
    worded,
)
from wardkeep.rulesets.files import RuleSet

LAYERS: Final = ("ip", "bridge", "netdev", "arp")
QUICK: Final = 2e8  # boxes compared for the proof of the fix: a few seconds at most
# For the verdicts: what the largest plain sets take several times over. Where many rules rewrite packets it may not suffice; what is
# left is told as undecided, so that an audit always ends.
ALWAYS: Final = 4e8  # ten seconds
EACH: Final = 5e4  # for each rule, a millisecond
MOST_PAIRS: Final = 50  # correlations that are told


@collector_paused()
def audit(
    rule_set: RuleSet,
    *,
    before: Program | None = None,
    sockets: Sequence[Socket] | None = None,
    work: float = QUICK,
    step: Callable[[str, int, int], None] = lambda name, done, of: None,
) -> Report:
    """The report of a rule set. `before` is the same host's dump of an earlier time, `sockets` what listens on it.

    `work` is spent on the proof that dead and removable rules can go together. `step` is told of the progress.
    """
    program = rule_set.program
    step("verdicts", 0, 4)
    unfolded = list(worlds(checked(program)))
    verdicts, analysis = verdicts_of(program, unfolded)
    step("openings", 1, 4)
    looked = openings.Openings(program, rule_set.families, unfolded)
    looked.look()
    found = [*rules.findings(program, verdicts), *openings.findings(looked)]
    found += correlations(program, {v.id for v in verdicts if v.verdict == "live"}, unfolded)
    unused, note = rules.unused(program, verdicts, before)
    found += unused
    hanging = limits.unknown_matches(program, unfolded, max(limits.WORK, work - QUICK))
    useless = list(limits.findings(program, hanging, verdicts))
    said = {(f.kind, f.where) for f in useless}
    found = [f for f in found if f.kind != "removable" or ("limit", f.where) not in said] + useless
    if sockets is not None:
        found += against(looked, sockets)
    step("fix", 2, 4)
    removal = removed(program, analysis, work, unfolded)
    order = {name: n for n, name in enumerate(SEVERITIES)}
    kinds = {name: n for n, name in enumerate(KINDS)}
    found.sort(key=lambda f: (order[f.severity], kinds[f.kind]))
    counts = {name: 0 for name in ("live", "dead", "removable", "never-called", "undecided")}
    for verdict in verdicts:
        counts[verdict.verdict] += 1
    step("done", 4, 4)
    return Report(
        program.name,
        tuple(verdicts),
        tuple(_apart(found)),
        tuple(hanging),
        (*program.notes, *((note,) if note else ())),
        removal,
        counts,
    )


def verdicts_of(
    program: Program, unfolded: Sequence[Flat] | None = None
) -> tuple[list[RuleVerdict], Analysis]:
    """The engine's verdict on every rule, in the program's order, over all layers; and its analysis of the layer IP.

    `unfolded`: the program's worlds in the layer IP, where they are made already.
    """
    work = ALWAYS + EACH * sum(len(chain.rules) for chain in program.chains)
    layers = {c.entry.layer for c in program.chains if c.entry} or {"ip"}
    analyses = [
        analyse(program, layer=layer, work=work, unfolded=unfolded if layer == "ip" else None)
        for layer in LAYERS
        if layer in layers
    ]
    answers = [_best(each) for each in zip(*(a.rules for a in analyses), strict=True)]
    known = {rule.id: (chain, rule) for chain in program.chains for rule in chain.rules}
    found = []
    for answer in answers:
        chain, rule = known[answer.rule]
        found.append(
            RuleVerdict(
                rule.id,
                chain.id,
                rule.position,
                rule.text,
                answer.verdict,
                answer.hidden_by,
                answer.cover,
                worded(
                    {**answer.witness.packet, "family": answer.witness.family, "route": answer.witness.route}
                )
                if answer.witness
                else None,
                answer.contradictory,
                answer.why,
                rule.line,
                rule.packets,
                rule.comment,
            )
        )
    return found, analyses[0] if "ip" in layers else analyse(program, work=work, unfolded=unfolded)


def _best(answers: Iterable[RuleAnswer]) -> RuleAnswer:
    """What holds over all layers: a rule of a chain that one layer calls is judged there."""
    order = ("live", "undecided", "removable", "dead", "never-called")
    return min(answers, key=lambda a: order.index(a.verdict))


def removed(
    program: Program, analysis: Analysis, work: float = QUICK, unfolded: Sequence[Flat] | None = None
) -> Removal | None:
    """The dead and removable rules that can go together, proved by the engine.

    Not those that ask a named set which is empty now: it may be filled tomorrow, and nothing would stop what it names.
    """
    asked = {r.id: r.text for c in program.chains for r in c.rules}
    analysis = replace(
        analysis, rules=tuple(a for a in analysis.rules if not rules.waits_for_a_set(a.why, asked[a.rule]))
    )
    if not any(a.verdict in ("dead", "removable") for a in analysis.rules):
        return None
    found = removals(program, analysis, work=work, unfolded=unfolded)
    witness = told(found.proof.cases[0].witness) if found.proof.cases else None
    proved = True if found.proof.equal else None if found.proof.undecided else False
    return Removal(found.rules, proved, witness)


def told(shown: Witness) -> Mapping[str, Any]:
    """A packet of the engine as reports show it."""
    return worded({**shown.packet, "family": shown.family, "route": shown.route}) or {}


def correlations(
    program: Program, live: set[str], unfolded: Sequence[Flat] | None = None
) -> Iterator[Finding]:
    """Live rules of which each matches packets the other does not, and that do the opposite: at most MOST_PAIRS pairs."""
    texts = {rule.id: rule.text for chain in program.chains for rule in chain.rules}
    pairs = relations(program, most=20 * MOST_PAIRS, rules=frozenset(live), unfolded=unfolded).pairs
    for pair in [p for p in pairs if p.kind == "correlation"][:MOST_PAIRS]:
        what = f"`{texts[pair.first]}` and `{texts[pair.second]}` decide against each other about what they share"
        key = finding_id("conflict", pair.first.rpartition(" ")[0], texts[pair.first], texts[pair.second])
        fix = "Make the order's purpose plain in a comment"
        yield Finding(key, "conflict", "info", what, (pair.first, pair.second), told(pair.witness), fix)


def _apart(found: Iterable[Finding]) -> Iterable[Finding]:
    """Two equal rules in one chain have the same words: the second finding gets a number."""
    seen: dict[str, int] = {}
    for one in found:
        seen[one.id] = seen.get(one.id, 0) + 1
        yield one if seen[one.id] == 1 else replace(one, id=f"{one.id}-{seen[one.id]}")
