"""One rule set, audited: the engine's verdicts, what strangers reach, counters, listeners, and the fix that is offered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from wardkeep.packets.audit import RuleAnswer, analyse
from wardkeep.packets.order import uses_conntrack
from wardkeep.packets.program import Program, Unknown
from wardkeep.rulesets.audit import conflicts, openings, rules
from wardkeep.rulesets.audit.difference import compared
from wardkeep.rulesets.audit.listening import Socket, against
from wardkeep.rulesets.audit.model import (
    KINDS,
    SEVERITIES,
    Finding,
    Removal,
    Report,
    RuleVerdict,
    UnknownMatch,
    worded,
)
from wardkeep.rulesets.files import RuleSet

LAYERS: Final = ("ip", "bridge", "netdev", "arp")
QUICK: Final = 5e7  # boxes compared for the proof of the fix: a second or two
MOST_TRIES: Final = 24  # halvings of the removable rules that each need a proof


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
    verdicts = verdicts_of(program)
    step("openings", 1, 4)
    looked = openings.Openings(program, rule_set.families)
    looked.look()
    found = [*rules.findings(program, verdicts), *openings.findings(looked)]
    found += conflicts.findings(program, {v.id for v in verdicts if v.verdict == "live"})
    unused, note = rules.unused(program, verdicts, before)
    found += unused
    if sockets is not None:
        found += against(looked, sockets)
    step("fix", 2, 4)
    removal = removed(program, verdicts, work)
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
        tuple(unknown_matches(program)),
        (*program.notes, *((note,) if note else ())),
        removal,
        counts,
    )


def verdicts_of(program: Program) -> list[RuleVerdict]:
    """The engine's verdict on every rule, in the program's order."""
    layers = {c.entry.layer for c in program.chains if c.entry}
    analyses = [analyse(program, layer=layer) for layer in LAYERS if layer in layers] or [analyse(program)]
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
    return found


def _best(answers: Iterable[RuleAnswer]) -> RuleAnswer:
    """What holds over all layers: a rule of a chain that one layer calls is judged there."""
    order = ("live", "undecided", "removable", "dead", "never-called")
    return min(answers, key=lambda a: order.index(a.verdict))


def unknown_matches(program: Program) -> Iterable[UnknownMatch]:
    """Every match that is not modelled, with its rule."""
    for chain in program.chains:
        for rule in chain.rules:
            for part in rule.body:
                if isinstance(part, Unknown):
                    yield UnknownMatch(rule.id, part.text)


def removed(program: Program, verdicts: Sequence[RuleVerdict], work: float = QUICK) -> Removal | None:
    """The rules that can go together, proved.

    No packet comes to a dead rule, so all of them can go at once: the verdict is the proof. Two rules may each be removable only
    because of the other: of those, as many go as the comparison with the old set allows.
    """
    dead = [v.id for v in verdicts if v.verdict == "dead"]
    light = [v.id for v in verdicts if v.verdict == "removable"]
    if not dead and not light:
        return None
    if not light:
        return Removal(tuple(dead), True)
    rest = without(program, dead)
    proof = compared(rest, without(rest, light), most=1, work=work)
    if not proof.changes:
        return Removal((*dead, *light), True if proof.whole else None)
    witness = proof.changes[0].witness
    gone, sure = _as_many(rest, light, work)
    return Removal((*dead, *gone), sure, witness)


def _as_many(program: Program, light: Sequence[str], work: float) -> tuple[list[str], bool | None]:
    """Removable rules in halves: a part that can go with what goes already goes, another is cut again."""
    gone: list[str] = []
    waiting = [list(light)]
    tries = 0
    while waiting and tries < MOST_TRIES:
        some = waiting.pop()
        tries += 1
        proof = compared(program, without(program, [*gone, *some]), most=1, work=work)
        if not proof.changes and proof.whole:
            gone += some
        elif len(some) > 1:
            half = len(some) // 2
            waiting += [some[:half], some[half:]]
    return gone, True


def without(program: Program, ids: Iterable[str]) -> Program:
    """The program without these rules; connections stay tracked even if the last rule that asks for a state goes."""
    gone = set(ids)
    chains = tuple(replace(c, rules=tuple(r for r in c.rules if r.id not in gone)) for c in program.chains)
    return replace(program, chains=chains, conntrack=uses_conntrack(program))


def _apart(found: Iterable[Finding]) -> Iterable[Finding]:
    """Two equal rules in one chain have the same words: the second finding gets a number."""
    seen: dict[str, int] = {}
    for one in found:
        seen[one.id] = seen.get(one.id, 0) + 1
        yield one if seen[one.id] == 1 else replace(one, id=f"{one.id}-{seen[one.id]}")
