"""What hangs on conditions that cannot be modelled: for each rule with one, what may come of its holding or not.

A condition decides nothing if every packet that may come to it, whatever the other ones say, fares alike either way. The two ways of
a packet, taken and not taken, are followed side by side until they meet again or end; every other condition on the way goes both
ways. As it holds for every answer of all others, conditions of which this is proved may be changed one after the other: together
they decide nothing, too.

Alike means the same end, and nothing on the way that something else may notice: no rewriting, no mark, no set that is written, and no
other limit that is asked (it counts who asks), unless it is proved to decide nothing itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from wardkeep.core.errors import BadInput
from wardkeep.packets.flat import Flat
from wardkeep.packets.leaf import Budget, Spent
from wardkeep.packets.program import (
    Assign,
    Branches,
    Effect,
    Goto,
    Jump,
    Match,
    Nat,
    NoTrack,
    Part,
    Program,
    Rule,
    Unknown,
    Verdict,
)
from wardkeep.packets.twofold import EFFECT, FATE, LOG, NOTHING, Twofold
from wardkeep.packets.witness import Witness
from wardkeep.packets.worlds import Owners, checked, worlds

Decides: TypeAlias = Literal["nothing", "log", "effect", "fate", "undecided"]
WORK: Final = 2e8  # of all rules together
EACH: Final = 1.2e7  # of one rule: a third of a second
ANEW: Final = 2_000  # work of an entry of lists that must be made anew
_WORDS: Final[Mapping[int, Decides]] = {NOTHING: "nothing", LOG: "log", EFFECT: "effect", FATE: "fate"}
_WRITTEN: Final = re.compile(
    r"(?:log|counter|limit rate|ct count|last|nftrace|LOG|NFLOG|ULOG|TRACE|AUDIT|RATEEST|LED)\b"
)
# Conditions that only ask: being asked changes nothing for the next packet. What is not listed here may count who asks.
_ASKS: Final = re.compile(
    r"(?:! )?(?:-m (?:addrtype|ah|bpf|cgroup|comment|connbytes|connlabel|conntrack|cpu|devgroup|dscp|ecn|esp|eui64|frag|hbh|dst|helper"
    r"|hl|ipv6header|ipvs|length|mac|mh|multiport|nfacct|osf|owner|physdev|pkttype|policy|realm|rpfilter|rt|sctp|set|socket|string"
    r"|tcpmss|time|tos|ttl|u32)\b"
    r"|(?:ip6?|icmp|icmpv6|igmp|tcp|udp|udplite|sctp|dccp|th|meta|fib|rt|ether|vlan|arp|ah|esp|comp|exthdr|frag|hbh|dst|mh|rt[02]?|srh"
    r"|ipsec|osf|socket|xfrm|whether|from|to)\b|ct (?!count))"
)  # fmt: skip
_COUNTS: Final = re.compile(r"\b(?:numgen|random)\b")
# Conditions that do something only where they hold (a packet is handed to a socket), or of which we do not know it.
_WAITS: Final = re.compile(
    r"(?:! )?(?:(?:limit|quota|ct count|meter|add|update|delete)\b|-m (?:connlimit|hashlimit|limit|quota|recent|statistic)\b)|.*\bmap\b"
)
_OWN: Final = re.compile(r"(?:limit rate|-m limit)\b")  # what no other rule shares
_CONDITIONS: Final = (Match, Unknown, Effect)
_ENDS: Final = (Effect, Verdict, Jump, Goto)


@dataclass(frozen=True, slots=True)
class Chance:
    """What the conditions of one rule that are not modelled decide together.

    `decides`: nothing; log (what is logged or counted, and no more); effect (marks, rewriting, sets or other limits; no packet's
    fate directly); fate (`witness` is a packet whose fate may hang on it); undecided (the work was spent, or values are vague).
    `instead`: rules and policies seen to decide the same about packets for which the rule's condition fails (of nothing and log).
    """

    rule: str
    decides: Decides
    witness: Witness | None = None
    instead: tuple[str, ...] = ()

    @property
    def matters(self) -> bool:
        """Whether more than a line of a log may hang on it."""
        return self.decides not in ("nothing", "log")


def chances(
    program: Program, *, layer: str = "ip", work: float = WORK, unfolded: Sequence[Flat] | None = None
) -> dict[str, Chance]:
    """Rule id → what its conditions that are not modelled decide; of rules that have some. Raises BadInput for a program with faults.

    `unfolded`: the program's worlds in this layer, where they are made already. `work`: in boxes compared, all in all. Not looked at:
    what others see of the host (how long an answer takes), and what programs do that read logs.
    """
    asked = {r.id: r for c in program.chains for r in c.rules if any(isinstance(p, Unknown) for p in r.body)}
    if not asked:
        return {}
    checked(program)
    watched, kinds = _watched(program)
    if unfolded is not None and watched is not program:
        work -= ANEW * sum(len(flat) for flat in unfolded)
        if work < 0:
            return {rule: Chance(rule, "undecided") for rule in asked}
    try:
        flats = list(worlds(watched, layer)) if unfolded is None or watched is not program else list(unfolded)
    except BadInput:  # too large with what is watched
        return {rule: Chance(rule, "undecided") for rule in asked}
    return _Chances(program, watched, kinds, flats, asked, work).all()


class _Chances:
    """One program. `levels`: rule → what is known to hang on it so far; they only rise."""

    def __init__(
        self, program: Program, watched: Program, kinds: Sequence[tuple[str, str]], flats: list[Flat], asked: Mapping[str, Rule],
        work: float,
    ) -> None:  # fmt: skip
        self.asked, self.kinds, self.flats = asked, kinds, flats
        self.owners, self.budget = Owners.of(watched), Budget(work)
        self.levels = dict.fromkeys(asked, NOTHING)
        self.witnesses: dict[str, Witness] = {}
        self.instead: dict[str, dict[str, None]] = {rule: {} for rule in asked}
        self.doubtful: set[str] = set()
        known: dict[object, int] = {}
        self.details = {
            self.owners.numbers[r.id]: known.setdefault(_answer(r), len(known))
            for c in program.chains
            for r in c.rules
        }
        limits = {name for name, kind in kinds if kind in asked and kind != name}
        self.forks: list[dict[str, list[int]]] = []
        for flat in flats:
            held: dict[str, list[int]] = {}
            for entry, owner in flat.forks.items():
                # A rule may do something, and then match nothing: that it does it hangs on its conditions, too.
                name = self.owners.names[owner]
                if name not in limits:
                    held.setdefault(name.partition("\0")[0], []).append(entry)
            self.forks.append(held)

    def all(self) -> dict[str, Chance]:
        """Looked at again until none that is asked on the way turns out to matter."""
        left = set(self.asked)
        while left:
            before = dict(self.levels)
            for number, flat in enumerate(self.flats):
                self._world(number, flat, left)
            risen = {r for r in self.asked if self.levels[r] > before[r] or r in left & self.doubtful}
            if not risen & {kind for _, kind in self.kinds}:
                break
            left = {r for r in self.asked if self.levels[r] < EFFECT and r not in self.doubtful}
        return {rule: self._told(rule) for rule in self.asked}

    def _told(self, rule: str) -> Chance:
        level = self.levels[rule]
        if rule in self.doubtful and level < FATE:
            return Chance(rule, "undecided")
        shown = tuple(sorted(self.instead[rule], key=self.owners.numbers.__getitem__)) if level <= LOG else ()
        return Chance(rule, _WORDS[level], self.witnesses.get(rule), shown)

    def _world(self, number: int, flat: Flat, left: Iterable[str]) -> None:
        open_ = [rule for rule in sorted(left) if rule in self.forks[number]]
        if self.budget.left <= 0:
            self.doubtful.update(open_)
        if not open_ or self.budget.left <= 0:
            return
        noticed: dict[int, int] = {}
        for name, kind in self.kinds:
            level = {"log": LOG, "effect": EFFECT}.get(kind)
            if level is None:
                level = EFFECT if kind in self.doubtful else min(self.levels[kind], EFFECT)
            owner = self.owners.numbers[name]
            noticed[owner] = max(level, noticed.get(owner, NOTHING))
        world = Twofold(flat, noticed, self.details)
        for rule in open_:
            for entry in self.forks[number][rule]:
                if self.levels[rule] < FATE:
                    self._entry(world, flat, rule, entry)

    def _entry(self, world: Twofold, flat: Flat, rule: str, entry: int) -> None:
        own = Budget(min(EACH, self.budget.left))
        start = own.left
        try:
            found = world.decide(entry, self.levels[rule], own)
        except Spent:
            self.doubtful.add(rule)
            self.budget.left -= start
            return
        self.budget.left -= start - own.left
        for owner in found.instead:
            name = self.owners.names[owner]
            if name != rule:
                self.instead[rule][name] = None
        if found.level > self.levels[rule]:
            if flat.vague:
                self.doubtful.add(rule)
                return
            self.levels[rule] = found.level
            if found.point is not None:
                self.witnesses[rule] = Witness(flat, found.point, None, False)


def _watched(program: Program) -> tuple[Program, list[tuple[str, str]]]:
    """Who does something to be noticed, and what: "log", "effect", or the rule whose own limit is asked. Where packets may do it and
    then not match the rule, that is a rule of its own before it, which packets match that come to do it (or more of them); where there
    is none, the program stays the same."""
    kinds: list[tuple[str, str]] = []
    chains, more = [], False
    for chain in program.chains:
        rules: list[Rule] = []
        for rule in chain.rules:
            for number, part in enumerate(rule.body):
                kind = _notice(part, rule)
                if kind and (isinstance(part, Effect) or kind == rule.id) and _at_its_end(rule, number):
                    kinds.append((rule.id, kind))
                elif kind:
                    more = True
                    kinds.append((f"{rule.id}\0{number}", kind))
                    rules.append(Rule(kinds[-1][0], _before(rule.body[: number + _acts(part)])))
            rules.append(rule)
        chains.append(replace(chain, rules=tuple(rules)))
    return (replace(program, chains=tuple(chains)) if more else program), kinds


def _at_its_end(rule: Rule, number: int) -> bool:
    """Whether whoever comes to a part of a rule matches it, and only they: it is the last of the conditions, or behind them."""
    return all(isinstance(part, _ENDS) for part in rule.body[number + 1 :])


def _before(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The conditions that come first: behind a change they ask about another packet, and may hold or not."""
    out: list[Part] = []
    for number, part in enumerate(parts):
        if not isinstance(part, _CONDITIONS):
            return (*out, *(Unknown(p.text) for p in parts[number:] if isinstance(p, Unknown)))
        if not isinstance(part, Effect):
            out.append(part)
    return tuple(out)


def _acts(part: Part) -> bool:
    """Whether a condition does something where it holds."""
    return isinstance(part, Unknown) and not (_ASKS.match(part.text) or _WAITS.match(part.text))


def _notice(part: Part, rule: Rule) -> str:
    """What doing this leaves behind for others: "log", "effect", the rule's id where it is its own limit, or "" for nothing."""
    if isinstance(part, Effect):
        return "" if part.harmless else "log" if _WRITTEN.match(part.text) else "effect"
    if isinstance(part, Unknown):
        if _OWN.match(part.text):
            return rule.id
        return "" if _ASKS.match(part.text) and not _COUNTS.search(part.text) else "effect"
    if isinstance(part, Verdict):
        return "effect" if part.kind == "queue" else ""
    if isinstance(part, Branches):
        return "effect" if any(isinstance(d, Verdict) and d.kind == "queue" for _, d in part.branches) else ""
    return "effect" if isinstance(part, Assign | NoTrack | Nat) else ""


def _answer(rule: Rule) -> object:
    """How it rejects, if it does."""
    last = rule.body[-1] if rule.body else None
    if isinstance(last, Branches):
        return rule.id
    return last.detail if isinstance(last, Verdict) and last.kind == "reject" else ""
