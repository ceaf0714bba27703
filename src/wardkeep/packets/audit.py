"""What becomes of every rule of a program: the audit's exact part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import numpy as np

from wardkeep.core.collector import collector_paused
from wardkeep.packets.dimensions import Values
from wardkeep.packets.explain import Reason, explain
from wardkeep.packets.flat import NOBODY, Flat, Ints
from wardkeep.packets.leaf import Budget
from wardkeep.packets.parts import Part, parts
from wardkeep.packets.program import (
    Branches,
    Chain,
    Effect,
    Goto,
    Jump,
    Match,
    Nat,
    Program,
    Rule,
    Unknown,
    Verdict,
)
from wardkeep.packets.ranks import rows_of
from wardkeep.packets.removal import needed
from wardkeep.packets.search import Search
from wardkeep.packets.walks import MOST_PAIRS, Bools, pairs
from wardkeep.packets.witness import Witness
from wardkeep.packets.worlds import Owners, checked, worlds

State: TypeAlias = Literal["live", "dead", "removable", "never-called", "undecided"]
WORK: Final = 4e9  # boxes compared before rules are left undecided: one to two minutes
OF_LIVENESS: Final = 0.6  # of the work, at most; the rest is for what could be removed, and for reasons
EMPTY_SET: Final = "it asks for membership in an empty set"  # why a rule can match nothing, where that is all
_DENIES: Final = ("drop", "reject")


@dataclass(frozen=True, slots=True)
class RuleAnswer:
    """What becomes of one rule.

    `verdict`: live (`witness` is a packet that comes to it and matches), removable (live, but without it no packet's fate would
    change), dead (no packet comes to it: `hidden_by` are all rules that take packets from it, `cover` some of them that hide it
    together, none of which can be left out if `cover_is_minimal`; where `why` tells of a spent budget there may be more, and no
    cover), never-called (its chain is not reached from any base chain),
    undecided (the budget was spent). `contradictory`: dead, and a rule of the cover does the opposite. `why`: one phrase for
    dead rules that no rule hides. `unknown`: its conditions that are not modelled.
    """

    rule: str
    chain: str
    verdict: State
    witness: Witness | None = None
    hidden_by: tuple[str, ...] = ()
    cover: tuple[str, ...] = ()
    cover_is_minimal: bool = True
    contradictory: bool = False
    why: str = ""
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Analysis:
    """`rules` in the program's order. `unreached_policies`: base chains whose policy no packet meets. `uncalled`: user chains
    that nothing reaches. `vague`: dimensions whose tests were not told apart (too many rewrites or bit tests): rules that ask
    about them hide nothing. `worlds`: (family, route) that were looked at."""

    rules: tuple[RuleAnswer, ...]
    unreached_policies: tuple[str, ...] = ()
    uncalled: tuple[str, ...] = ()
    vague: tuple[str, ...] = ()
    worlds: tuple[tuple[int, str], ...] = ()

    def of(self, rule: str) -> RuleAnswer:
        """The answer for one rule id. Raises KeyError."""
        for answer in self.rules:
            if answer.rule == rule:
                return answer
        raise KeyError(rule)


@dataclass
class _Facts:
    reached: dict[int, Witness] = field(default_factory=dict)
    present: set[int] = field(default_factory=set)
    doubtful: set[int] = field(default_factory=set)
    kept: set[int] = field(default_factory=set)  # live rules without which some packet's fate changes
    unsure: set[int] = field(default_factory=set)  # live rules of which that is not known
    reasons: dict[int, Reason] = field(default_factory=dict)


def analyse(
    program: Program,
    *,
    layer: str = "ip",
    removable: bool = True,
    explained: bool = True,
    work: float = WORK,
    unfolded: Sequence[Flat] | None = None,
) -> Analysis:
    """The verdict about every rule, with its witness or its reason. Raises BadInput for a program with faults.

    `layer`: which packets ("ip", "bridge", "netdev", "arp"). `removable` and `explained` say whether to look for rules that could
    go, and for what hides the dead ones. `work` is the budget in boxes compared, the same on every machine. `unfolded`: the program's worlds in this layer, where they are made already.
    """
    with collector_paused():
        flats = list(worlds(checked(program), layer)) if unfolded is None else unfolded
        return _analyse(program, flats, layer, removable, explained, Budget(work))


def _analyse(
    program: Program, flats: Sequence[Flat], layer: str, removable: bool, explained: bool, budget: Budget
) -> Analysis:
    owners = Owners.of(program)
    facts = _Facts()
    # Were all spent on which rules are met, nothing would be said of those that are.
    own = Budget(budget.left * OF_LIVENESS)
    budget.left -= own.left
    for flat in flats:
        _liveness(flat, len(owners.names), own, facts)
    budget.left += max(own.left, 0.0)
    facts.doubtful -= set(facts.reached)
    if removable:
        _removability(program, owners, flats, budget, facts)
    dead = np.zeros(len(owners.names), dtype=bool)
    dead[sorted(facts.present - set(facts.reached) - facts.doubtful)] = True
    if explained:
        for flat in flats:
            explain(flat, dead, budget, facts.reasons)
    return _answers(program, layer, owners, flats, facts, removable)


def _liveness(flat: Flat, count: int, budget: Budget, facts: _Facts) -> None:
    for part in parts(flat):
        group = np.where(part.own, part.flat.owner, NOBODY)
        present = np.unique(group[group >= 0])
        facts.present.update(present.tolist())
        wanted = np.zeros(count, dtype=bool)
        wanted[present] = True
        wanted[list(facts.reached)] = False
        if wanted.any() and (alone := part.alone):
            near = np.where(alone.own, alone.flat.owner, NOBODY)
            met = Search(alone.flat, near, wanted, budget).run()
            come = part.comes(np.array([point for _, point in met.reached.values()]))
            places = {
                owner: (int(alone.index[entry]), point)
                for sure, (owner, (entry, point)) in zip(come.tolist(), met.reached.items(), strict=True)
                if sure
            }
            _reach(flat, part, places, facts)
            # Whom no packet at all that might come here meets, none that does.
            wanted[np.setdiff1d(np.flatnonzero(wanted), [*met.reached, *met.doubtful])] = False
            wanted[list(places)] = False
        if not wanted.any():
            continue
        found = Search(part.flat, group, wanted, budget).run()
        _reach(flat, part, {o: (int(part.index[e]), p) for o, (e, p) in found.reached.items()}, facts)
        facts.doubtful |= found.doubtful


def _reach(flat: Flat, part: Part, places: Mapping[int, tuple[int, Ints]], facts: _Facts) -> None:
    """Note who is reached, with the entry in the whole list and the packet."""
    if places:
        entries, points = zip(*places.values(), strict=True)
        certain = _certain(part.flat, np.searchsorted(part.index, entries), np.array(points))
        for owner, entry, point, sure in zip(places, entries, points, certain.tolist(), strict=True):
            facts.reached[owner] = Witness(flat, point, entry, sure)


def _certain(flat: Flat, entries: Ints, points: Ints) -> Bools:
    """Which packets come to their entry whatever the conditions say that are met by luck."""
    out = np.ones(len(entries), dtype=bool)
    unsure, own = np.flatnonzero(flat.lucky()), flat.own_columns()
    lo, hi = flat.lo[unsure][:, own], flat.hi[unsure][:, own]
    chunk = max(1, MOST_PAIRS // max(1, len(unsure)))
    for start in range(0, len(entries), chunk):
        rows, met = pairs(points[start : start + chunk][:, own], lo, hi)
        out[start + rows[unsure[met] <= entries[start + rows]]] = False
    return out


def _removability(
    program: Program, owners: Owners, flats: Sequence[Flat], budget: Budget, facts: _Facts
) -> None:
    wanted = np.zeros(len(owners.names), dtype=bool)
    details = np.zeros(len(owners.names), dtype=np.int64)
    known: dict[str, int] = {}
    for chain in program.chains:
        for rule in chain.rules:
            number = owners.numbers[rule.id]
            decision = rule.body[-1] if rule.body else None
            if isinstance(decision, Verdict) and decision.kind == "reject":
                details[number] = known.setdefault(decision.detail, len(known))
            wanted[number] = number in facts.reached and decides_only(rule)
    for flat in flats:
        if flat.vague:
            # With and without a rule a packet "may" meet the same fates, and meet another one each time.
            present = np.unique(flat.owner[flat.owner >= 0])
            facts.unsure.update(present[wanted[present]].tolist())
            continue
        found = needed(flat, wanted, budget, details)
        facts.kept.update(found.reached)
        facts.unsure |= found.doubtful
        wanted[list(found.reached)] = False
    facts.unsure -= facts.kept


def decides_only(rule: Rule) -> bool:
    """Whether accepting or denying is all that a rule does."""
    if not rule.body or not isinstance(rule.body[-1], Verdict):
        return False
    return rule.body[-1].kind in ("accept", *_DENIES) and all(
        type(part) is Match or type(part) is Unknown or (type(part) is Effect and part.harmless)
        for part in rule.body[:-1]
    )


def decision_of(rule: Rule) -> str:
    """accept, deny or "" (anything else, or several)."""
    last = rule.body[-1] if rule.body else None
    if isinstance(last, Nat):
        return "accept"
    if not isinstance(last, Verdict):
        return ""
    return "accept" if last.kind == "accept" else "deny" if last.kind in _DENIES else ""


def _answers(
    program: Program, layer: str, owners: Owners, flats: Sequence[Flat], facts: _Facts, removable: bool
) -> Analysis:
    called = called_chains(program, layer)
    rules = [rule for chain in program.chains for rule in chain.rules]
    policies_of = [c.entry.policy for c in program.chains if c.entry]

    def decision(number: int) -> str:
        if number < len(rules):
            return decision_of(rules[number])
        return "accept" if policies_of[number - len(rules)] == "accept" else "deny"

    answers: list[RuleAnswer] = []
    for chain in program.chains:
        for rule in chain.rules:
            number = len(answers)
            if chain.id not in called:
                answers.append(_never_called(rule, chain))
            elif (witness := facts.reached.get(number)) is not None:
                answers.append(_live(rule, chain, number, witness, facts, removable))
            else:
                answers.append(_not_live(rule, chain, number, owners, facts, decision))
    policies = tuple(
        chain.id
        for chain in program.chains
        if chain.entry
        and chain.id in called
        and (number := owners.numbers[f"policy of {chain.id}"]) not in facts.reached
        and number not in facts.doubtful
    )
    uncalled = tuple(chain.id for chain in program.chains if not chain.entry and chain.id not in called)
    vague = sorted({name for flat in flats for name in flat.vague})
    return Analysis(
        tuple(answers), policies, uncalled, tuple(vague), tuple((f.family, f.route) for f in flats)
    )


def _unknown(rule: Rule) -> tuple[str, ...]:
    return tuple([part.text for part in rule.body if type(part) is Unknown])


def _never_called(rule: Rule, chain: Chain) -> RuleAnswer:
    dormant = chain.entry and chain.entry.dormant
    why = "its table is dormant" if dormant else "no base chain leads to its chain"
    return RuleAnswer(rule.id, chain.id, "never-called", why=why, unknown=_unknown(rule))


def _live(
    rule: Rule, chain: Chain, number: int, witness: Witness, facts: _Facts, removable: bool
) -> RuleAnswer:
    unsure = number in facts.unsure
    can_go = removable and number not in facts.kept and not unsure and decides_only(rule)
    state: State = "removable" if can_go else "live"
    why = "whether it could be removed is undecided" if unsure else ""
    return RuleAnswer(rule.id, chain.id, state, witness, why=why, unknown=_unknown(rule))


def _not_live(
    rule: Rule, chain: Chain, number: int, owners: Owners, facts: _Facts, decision: Callable[[int], str]
) -> RuleAnswer:
    unknown = _unknown(rule)
    if number in facts.doubtful:
        return RuleAnswer(rule.id, chain.id, "undecided", why="the budget of work was spent", unknown=unknown)
    reason = facts.reasons.get(number, Reason())
    cover = [] if reason.partial else sorted(reason.cover)
    opposite = {"accept": "deny", "deny": "accept"}.get(decision(number))
    return RuleAnswer(
        rule.id,
        chain.id,
        "dead",
        None,
        tuple(map(owners.names.__getitem__, reason.hiding())),
        tuple(map(owners.names.__getitem__, cover)),
        reason.minimal and not reason.partial,
        opposite is not None and any(decision(n) == opposite for n in cover),
        "" if cover else impossible(rule) or _why(reason),
        unknown,
    )


def _why(reason: Reason) -> str:
    if reason.partial:
        return "the budget of work was spent before it was worked out what hides it"
    return "no packet that comes to its place can match it"


def impossible(rule: Rule) -> str:
    """What makes a rule's own conditions impossible, where that is plain to see: an empty set or reversed ranges."""
    for part in rule.body:
        if isinstance(part, Match) and not part.negated:
            if not part.rows:
                return EMPTY_SET
            empty = [n for row in part.rows for n, values in row.items() if _is_empty(values)]
            if len({id(row) for row in part.rows for n in row if _is_empty(row[n])}) == len(part.rows):
                return f"the range of {empty[0]} is reversed" if any(rows_of(part)) else ""
    return ""


def _is_empty(values: Values) -> bool:
    return all(isinstance(v, tuple) and v[0] > v[1] for v in values)


def called_chains(program: Program, layer: str = "ip") -> set[str]:
    """The chains that packets can come to as far as jumps go, whatever the rules before them say."""
    chains = {chain.id: chain for chain in program.chains}
    waiting = [c.id for c in program.chains if c.entry and c.entry.layer == layer and not c.entry.dormant]
    found: set[str] = set()
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += [target for rule in chains[name].rules for target in _targets(rule)]
    return found


def _targets(rule: Rule) -> Iterable[str]:
    for part in rule.body:
        if type(part) is Jump or type(part) is Goto:
            yield part.chain
        elif type(part) is Branches:
            yield from (d.chain for _, d in part.branches if isinstance(d, Jump | Goto))
