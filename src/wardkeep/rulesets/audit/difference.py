"""The difference of two rule sets as packets: which ones fare otherwise, with one to show for each rule that decides it.

The lists of both are put one behind the other: whoever the old one accepts goes on into a copy of the new one, whoever it stops
into another. A packet that is stopped in the first copy, or accepted in the second, fares otherwise; if there is none, the two
are equal. A match that is not modelled says the same of a packet in both, whatever it says: it is a dimension of its own here.

Only packets that meet a rule which the other set does not have at its place can fare otherwise: nothing else is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any, Final

import numpy as np

from wardkeep.packets.dimensions import ROUTES, UNKNOWNS, Row
from wardkeep.packets.flat import Act, Fate, Flat
from wardkeep.packets.leaf import Budget, Leaf
from wardkeep.packets.order import uses_conntrack
from wardkeep.packets.program import (
    EVERYTHING,
    Assign,
    Chain,
    Entry,
    Match,
    Nat,
    Part,
    Program,
    Rule,
    Unknown,
)
from wardkeep.packets.ranks import Ranks, rank
from wardkeep.packets.search import Search, preferred
from wardkeep.packets.worlds import Owners, unfold
from wardkeep.rulesets.audit.model import worded

WORK: Final = 5e8  # boxes compared: some ten seconds
MOST_CHAIN: Final = (
    20_000  # rules of two chains that are matched word by word; beyond, by their places from both ends
)
# Conditions that depend on the packet and its connection alone: the same words say the same, wherever they stand.
STEADY: Final = (
    "--ct",
    "--dst-type",
    "--src-type",
    "-m pkttype",
    "fib ",
    "meta ",
    "ip ",
    "ip6 ",
    "ct ",
    "tcp ",
    "@",
)
HOOKS: Final = ("input", "forward", "output")


@dataclass(frozen=True, slots=True)
class Change:
    """Packets that fare otherwise. `old` and `new` are accept or drop; `was` and `by` are the rules (or policies) that decide.

    `given`: what is not modelled and must hold for it, with its words; empty: the change is certain.
    """

    family: int
    route: str
    old: str
    new: str
    was: str
    by: str
    given: tuple[str, ...]
    witness: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """`changes`: one for each rule of the new set that was met deciding otherwise. `whole`: none means equal, proved."""

    changes: tuple[Change, ...]
    whole: bool = True


def compared(old: Program, new: Program, most: int = 200, work: float = WORK) -> Difference:
    """How the packets of the layer IP fare under two rule sets; it stops after `most` changes, or when `work` is spent."""
    oracles = _oracles((old, new))
    alike = _rewrites(old) == _rewrites(new)
    # Connections are tracked on both sides or on none: that is the host's matter, not the rule set's.
    tracked = uses_conntrack(old) or uses_conntrack(new)
    pair = [replace(_decided(p, oracles), conntrack=tracked) for p in (old, new)]
    touched = _touched(old, new)
    if touched == (set(), set()):
        return Difference((), True)
    ranks = rank(pair)
    budget = Budget(work)
    found: list[Change] = []
    whole = len(oracles) <= UNKNOWNS
    for family in (4, 6):
        for route in ROUTES:
            flats = [unfold(p, ranks, family, route) for p in pair]
            if flats[0] is None or flats[1] is None:
                continue
            both = _Both(flats[0], flats[1], [Owners.of(p).names for p in pair], ranks, alike, list(oracles))
            changes, decided = both.changes(most - len(found), touched, budget)
            found += changes
            whole &= decided
            if len(found) >= most:
                return Difference(tuple(found), whole)
    return Difference(tuple(found), whole)


def _oracles(programs: Sequence[Program]) -> dict[tuple[str, str, int, int], int]:
    """Each unmodelled condition, by its chain, its rule's words, the how-manieth such rule, and its place in it → a number."""
    found: dict[tuple[str, str, int, int], int] = {}
    for program in programs:
        for key, _ in _unknowns(program):
            found.setdefault(key, len(found))
    return found


def _unknowns(program: Program) -> list[tuple[tuple[str, str, int, int], Unknown]]:
    found = []
    for chain in program.chains:
        seen: dict[str, int] = {}
        for rule in chain.rules:
            count = seen[rule.text] = seen.get(rule.text, 0) + 1
            for place, part in enumerate(rule.body):
                if isinstance(part, Unknown):
                    found.append((_key(chain, rule, count, place, part), part))
    return found


def _key(chain: Chain, rule: Rule, count: int, place: int, part: Unknown) -> tuple[str, str, int, int]:
    steady = part.text.removeprefix("! ").startswith(STEADY)
    return ("", part.text, 0, 0) if steady else (chain.id, rule.text, count, place)


def _touched(old: Program, new: Program) -> tuple[set[str], set[str]]:
    """The rules (and policies) of each set that the other does not have at their place."""
    gone, come = set[str](), set[str]()
    theirs = {chain.id: chain for chain in new.chains}
    for chain in old.chains:
        other = theirs.pop(chain.id, Chain(chain.id, ()))
        if chain.entry != other.entry:  # another policy or place: everything in it is another matter
            gone |= {r.id for r in chain.rules} | {f"policy of {chain.id}"}
            come |= {r.id for r in other.rules} | {f"policy of {chain.id}"}
            continue
        lost, got = _unlike(chain.rules, other.rules)
        gone |= {r.id for r in lost}
        come |= {r.id for r in got}
    for chain in theirs.values():
        come |= {r.id for r in chain.rules} | {f"policy of {chain.id}"}
    return gone, come


def _unlike(old: Sequence[Rule], new: Sequence[Rule]) -> tuple[list[Rule], list[Rule]]:
    first = 0
    while first < min(len(old), len(new)) and old[first].body == new[first].body:
        first += 1
    last = 0
    while last < min(len(old), len(new)) - first and old[-1 - last].body == new[-1 - last].body:
        last += 1
    a, b = list(old[first : len(old) - last]), list(new[first : len(new) - last])
    if not a or not b or len(a) + len(b) > MOST_CHAIN:
        return a, b
    blocks = SequenceMatcher(None, [repr(r.body) for r in a], [repr(r.body) for r in b], autojunk=False)
    kept = [(m.a, m.b, m.size) for m in blocks.get_matching_blocks()]
    same_a = {n for start, _, size in kept for n in range(start, start + size)}
    same_b = {n for _, start, size in kept for n in range(start, start + size)}
    return [r for n, r in enumerate(a) if n not in same_a], [r for n, r in enumerate(b) if n not in same_b]


def _decided(program: Program, oracles: Mapping[tuple[str, str, int, int], int]) -> Program:
    """The program with every unmodelled condition asking its own dimension; and a chain on each hook, so that each has a list."""
    chains = []
    for chain in program.chains:
        seen: dict[str, int] = {}
        rules = []
        for rule in chain.rules:
            count = seen[rule.text] = seen.get(rule.text, 0) + 1
            if any(isinstance(part, Unknown) for part in rule.body):
                body = tuple(
                    _asked(part, oracles[_key(chain, rule, count, place, part)])
                    if isinstance(part, Unknown)
                    else part
                    for place, part in enumerate(rule.body)
                )
                rule = replace(rule, body=body)
            rules.append(rule)
        chains.append(replace(chain, rules=tuple(rules)))
    for hook in HOOKS:
        chains.append(Chain(f"({hook})", (), Entry(hook, (4, 6), 2**31 - 1)))
    return replace(program, chains=tuple(chains))


def _asked(part: Unknown, number: int) -> Part:
    if number >= UNKNOWNS:
        return part
    says: Row = {f"unknown{number}": ((1, 1),)}
    may = part.may if part.may != EVERYTHING else ({},)
    return Match((*part.must, *({**row, **says} for row in may)))


def _rewrites(program: Program) -> list[tuple[str, Part]]:
    return [
        (chain.id, part)
        for chain in program.chains
        for rule in chain.rules
        for part in rule.body
        if isinstance(part, Nat) or (isinstance(part, Assign) and part.values is not None)
    ]


class _Both:
    """The two lists as one. Columns that rewriting added are shared if both rewrite alike, else each has its own."""

    def __init__(
        self,
        old: Flat,
        new: Flat,
        owners: Sequence[Sequence[str]],
        ranks: Mapping[str, Ranks],
        alike: bool,
        oracles: Sequence[tuple[str, str, int, int]],
    ) -> None:
        self.old, self.new, self.owners, self.ranks, self.oracles = old, new, owners, ranks, oracles
        names = list(old.columns.names)
        where = []
        for name in new.columns.names:
            own = name if alike or "'" not in name else f"{name}'new"
            if own not in names:
                names.append(own)
            where.append(names.index(own))
        self.names, self.where = names, where
        self.tops = np.array([ranks[n.partition("'")[0]].size - 1 for n in names], dtype=np.int32)
        self.flat = self._joined()

    def _joined(self) -> Flat:
        old, new = self.old, self.new
        first, second = len(old), len(old) + len(new)
        total = second + len(new)
        lo, hi = np.zeros((total, len(self.names)), dtype=np.int32), np.tile(self.tops, (total, 1))
        count = len(old.columns.names)
        lo[:first, :count], hi[:first, :count] = old.lo, old.hi
        for start in (first, second):
            lo[start : start + len(new), self.where] = new.lo
            hi[start : start + len(new), self.where] = new.hi
        target = np.where(old.target >= first, total, old.target)
        target = np.where(old.fate == Fate.ACCEPT, first, target)
        target = np.where((old.fate == Fate.DROP) | (old.fate == Fate.REJECT), second, target)
        copies = [np.where(new.target >= len(new), total, new.target + start) for start in (first, second)]
        space = np.zeros((2, len(self.names)), dtype=np.int32)
        space[1] = self.tops
        space[:, :count] = old.space
        for column, at in enumerate(self.where):
            if at >= count:
                space[:, at] = new.space[:, column]
        return replace(
            old,
            lo=lo,
            hi=hi,
            target=np.concatenate([target, *copies]).astype(np.int32),
            certain=np.concatenate([old.certain, new.certain, new.certain]),
            owner=np.concatenate([old.owner, new.owner, new.owner]),
            act=np.concatenate([old.act, new.act, new.act]),
            fate=np.concatenate([old.fate, new.fate, new.fate]),
            space=space,
            columns=_Named(old.columns, self.names),  # type: ignore[arg-type]
        )

    def changes(
        self, most: int, touched: tuple[set[str], set[str]], budget: Budget
    ) -> tuple[list[Change], bool]:
        """The changes of this world, and whether all of it was decided."""
        flat, first = self.flat, len(self.old)
        second = first + len(self.new)
        places = np.arange(len(flat))
        closes = (
            (places >= first) & (places < second) & np.isin(flat.fate, [int(Fate.DROP), int(Fate.REJECT)])
        )
        opens = (places >= second) & (flat.fate == Fate.ACCEPT)
        wanted = np.flatnonzero(closes | opens)
        # One group for each rule and direction; what no rule owns is one group of its own.
        count = len(self.owners[1]) + 1
        group = np.full(len(flat), -1, dtype=np.int32)
        group[wanted] = flat.owner[wanted] + 1 + np.where(opens[wanted], count, 0)
        asked = np.zeros(2 * count, dtype=bool)
        asked[np.unique(group[wanted])] = True
        made: list[Change] = []
        whole = True
        for space in self._spaces(touched):
            found = Search(flat, group, asked, budget, space).run()
            whole &= not found.doubtful
            for number, (_, point) in sorted(found.reached.items()):
                change = self._change(point)
                if change.old == change.new:
                    whole = False  # it hangs on what could not be told apart
                    continue
                asked[number] = False
                made.append(change)
                if len(made) >= most:
                    return made, whole
        return made, whole

    def _spaces(self, touched: tuple[set[str], set[str]]) -> list[Any]:
        """The boxes of the entries of touched rules, each once."""
        found: dict[bytes, Any] = {}
        for ids, names, start, size in (
            (touched[0], self.owners[0], 0, len(self.old)),
            (touched[1], self.owners[1], len(self.old), len(self.new)),
        ):
            numbers = [n for n, name in enumerate(names) if name in ids]
            owner = self.flat.owner[start : start + size]
            for at in np.flatnonzero(np.isin(owner, numbers)) + start:
                lo = np.maximum(self.flat.lo[at], self.flat.space[0])
                hi = np.minimum(self.flat.hi[at], self.flat.space[1])
                if (lo <= hi).all():
                    box = np.stack([lo, hi])
                    found[box.tobytes()] = box
        return list(found.values())

    def _change(self, point: Any) -> Change:
        told = dict(zip(self.names, (int(v) for v in point), strict=True))
        was, old = _fate(self.old, point[: len(self.old.columns.names)], self.owners[0])
        by, new = _fate(self.new, point[self.where], self.owners[1])
        packet: dict[str, int | str] = {"family": self.old.family, "route": self.old.route, "state": 3}
        given = []
        for name, at in told.items():
            if name.startswith("unknown"):
                if at:
                    given.append(self.oracles[int(name.removeprefix("unknown"))][1])
            elif "'" not in name:
                packet[name] = self.ranks[name].value(at)
        return Change(self.old.family, self.old.route, old, new, was, by, tuple(given), worded(packet) or {})


@dataclass(frozen=True)
class _Named:
    """The columns of the joined list, as `Search` asks for them."""

    columns: Any
    names: list[str]

    def ranks_of(self, column: str) -> Ranks:
        """The ranks of a column."""
        found: Ranks = self.columns.ranks[column.partition("'")[0]]
        return found


def _fate(flat: Flat, point: Any, owners: Sequence[str]) -> tuple[str, str]:
    """Who decides about a packet, and how."""
    leaf = Leaf(flat.lo, flat.hi, flat.target, flat.certain, preferred(flat))
    inside = leaf.contains(point[None, :])
    taken = leaf.walk(inside)[:-1, 0] & inside[0]
    ends = np.flatnonzero(taken & (flat.fate != Fate.OPEN))
    by = [
        int(n)
        for n in np.flatnonzero(taken & (flat.owner >= 0) & (flat.act != Act.PASS) & (flat.act != Act.CALL))
    ]
    decided = [n for n in by if not owners[flat.owner[n]].startswith(("policy of (",))]
    ruled = [n for n in decided if not owners[flat.owner[n]].startswith("policy of ")]
    fate = "accept" if len(ends) and flat.fate[ends[-1]] == Fate.ACCEPT else "drop"
    own = decided if fate == "drop" else (ruled or decided)
    return owners[flat.owner[own[-1]]] if own else "", fate
