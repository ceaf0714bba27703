"""Every dimension as small whole numbers: values that no rule of the program tells apart share one rank.

128-bit addresses, interface names with wildcards and tests of bits all become ranges of ranks, and a rule set of any kind
becomes boxes of small integers. Nothing is lost: two packets with the same ranks meet the same fate.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from wardkeep.packets.dimensions import DIMENSIONS, PLEASANT, AnyBit, Bits, Row, Values, holds
from wardkeep.packets.program import Assign, Branches, Match, Nat, NoTrack, Part, Program, Unknown

Spans: TypeAlias = tuple[tuple[int, int], ...]  # ranges of ranks, ascending, not touching
MOST_CLASSES: Final = 4096  # classes of values that tests of bits tell apart; beyond, the dimension is vague
LONGEST_NAME: Final = 15  # of an interface, linux/if.h IFNAMSIZ - 1


def merged(spans: Iterable[tuple[int, int]]) -> Spans:
    """Ranges in order, those that touch or overlap made one."""
    out: list[tuple[int, int]] = []
    for lo, hi in sorted(spans):
        if out and lo <= out[-1][1] + 1:
            if hi > out[-1][1]:
                out[-1] = (out[-1][0], hi)
        else:
            out.append((lo, hi))
    return tuple(out)


def complement(spans: Spans, size: int) -> Spans:
    """The ranks 0 ... size - 1 that are in no range."""
    out, at = [], 0
    for lo, hi in spans:
        if lo > at:
            out.append((at, lo - 1))
        at = hi + 1
    if at < size:
        out.append((at, size - 1))
    return tuple(out)


class Ranks:
    """One dimension's ranks. `size` is how many; `vague` says that its tests were too many to tell all values apart."""

    size: int
    vague = False

    def __init__(self) -> None:
        self._known: dict[Values, Spans] = {}

    def spans(self, values: Values) -> Spans:
        """A set of values as ranges of ranks. It must be made of sets the ranks were built from."""
        found = self._known.get(values)
        if found is None:
            found = self._known[values] = self._spans(values)
        return found

    def _spans(self, values: Values) -> Spans:
        raise NotImplementedError

    def value(self, rank: int) -> int | str:
        """A value of this rank, the one that reads best."""
        raise NotImplementedError

    def rank_of(self, value: Any) -> int:
        """The rank of a value: of one that no set tells apart from it."""
        raise NotImplementedError

    def pleasant_rank(self) -> int:
        """The rank whose value reads best."""
        return 0

    def value_at(self, rank: int, last: bool = False) -> int | str:
        """The lowest value of a rank, or the last one, where its values are in a row."""
        return self.value(rank)


class RangeRanks(Ranks):
    """Cut wherever some range begins or ends."""

    def __init__(self, name: str, highest: int, sets: Iterable[Values]) -> None:
        super().__init__()
        cuts = {0, highest + 1}
        for values in sets:
            for v in values:
                if isinstance(v, tuple) and v[0] <= v[1] and v[0] <= highest:
                    cuts.add(v[0])
                    cuts.add(min(v[1], highest) + 1)
        self._cuts = sorted(cuts)
        self._rank = {cut: rank for rank, cut in enumerate(self._cuts)}
        self._highest = highest
        self._pleasant = PLEASANT.get(name, ())
        self.size = len(self._cuts) - 1

    def _spans(self, values: Values) -> Spans:
        rank, top = self._rank, self._highest
        if len(values) == 1 and isinstance(one := values[0], tuple) and one[0] <= one[1] <= top:
            return ((rank[one[0]], rank[one[1] + 1] - 1),)
        found = [
            (rank[v[0]], rank[min(v[1], top) + 1] - 1)
            for v in values
            if isinstance(v, tuple) and v[0] <= v[1] and v[0] <= top
        ]
        return tuple(found) if len(found) < 2 else merged(found)

    def rank_of(self, value: int) -> int:
        """The rank of a value."""
        return bisect_right(self._cuts, value) - 1

    def bounds(self, rank: int) -> tuple[int, int]:
        """The lowest and the highest value of a rank."""
        return self._cuts[rank], self._cuts[rank + 1] - 1

    def value(self, rank: int) -> int:
        lowest, beyond = self._cuts[rank], self._cuts[rank + 1]
        for one in self._pleasant:
            if lowest <= one < beyond:
                return one
        return lowest + 1 if lowest == 0 and beyond > 1 and self._highest > 255 else lowest

    def value_at(self, rank: int, last: bool = False) -> int:
        return self._cuts[rank + 1] - 1 if last else self._cuts[rank]

    def pleasant_rank(self) -> int:
        return bisect_right(self._cuts, self._pleasant[0]) - 1 if self._pleasant else 0


class ClassRanks(Ranks):
    """Classes of values with one representative each; a set of values is the classes whose representative is in it."""

    def __init__(
        self,
        representatives: Iterable[int | str],
        name: str = "",
        vague: bool = False,
        sets: Iterable[Values] = (),
    ) -> None:
        """`sets`: those of which the classes were made."""
        super().__init__()
        self._sets = tuple(sets)
        self._kinds: dict[tuple[bool, ...], int] = {}
        self._pleasant = PLEASANT.get(name, ())
        self._values = tuple(representatives)
        self.size = len(self._values)
        self.vague = vague

    def _spans(self, values: Values) -> Spans:
        return merged((n, n) for n, one in enumerate(self._values) if holds(values, one))

    def value(self, rank: int) -> int | str:
        return self._values[rank]

    def rank_of(self, value: int | str) -> int:
        """The rank of a value: of one that no set tells apart from it."""
        if not self._kinds:
            for n, one in enumerate(self._values):
                self._kinds.setdefault(self._kind(one), n)
        return self._kinds[self._kind(value)]

    def _kind(self, value: int | str) -> tuple[bool, ...]:
        return tuple(holds(values, value) for values in self._sets)

    def pleasant_rank(self) -> int:
        for wanted in self._pleasant:
            if wanted in self._values:
                return self._values.index(wanted)
        return 0


def name_classes(sets: Iterable[Values]) -> list[str]:
    """Names that stand for all names: "", each name a rule knows, one other for each wildcard, one that none knows."""
    told = {v for values in sets for v in values if isinstance(v, str)}
    exact = {v for v in told if not v.endswith("*")} | {""}
    stems = sorted(v[:-1] for v in told if v.endswith("*"))
    for stem in [*stems, ""]:
        if len(stem) < LONGEST_NAME:
            longer = [s for s in stems if len(s) > len(stem) and s.startswith(stem)]
            free = (
                stem + tail
                for tail in _tails(LONGEST_NAME - len(stem), "any" if not stem else "")
                if stem + tail not in exact and not any((stem + tail).startswith(s) for s in longer)
            )
            if (other := next(free, None)) is not None:
                exact.add(other)
    return sorted(exact)


def _tails(room: int, first: str) -> Iterable[str]:
    """Endings of at most `room` letters."""
    if first and len(first) <= room:
        yield first
    alphabet = "0123456789abcdefghijklmnopqrstuvwxyz.-_ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    yield from alphabet
    if room > 1:
        for head in alphabet:
            yield from (head + tail for tail in alphabet)
    if room > 2:
        for number in range(1000):
            yield f"~{number}"[:room]


def bit_classes(tests: Iterable[tuple[int, int]], pleasant: tuple[int, ...] = ()) -> list[int] | None:
    """A value for every way the tests (mask, value) can come out; None if there are more than MOST_CLASSES."""
    wanted = sorted(set(tests))
    found: dict[tuple[bool, ...], int] = {}
    steps = 0

    # A tree over the bits that some open test asks about; a leaf knows the outcome of every test.
    stack: list[tuple[int, int, list[int], frozenset[int]]] = [(0, 0, list(range(len(wanted))), frozenset())]
    while stack:
        fixed, value, open_tests, true = stack.pop()
        steps += 1
        if steps > 16 * MOST_CLASSES or len(found) > MOST_CLASSES:
            return None
        left, held = [], set(true)
        for n in open_tests:
            mask, want = wanted[n]
            if (value ^ want) & fixed & mask or want & ~mask:
                continue
            if mask & ~fixed:
                left.append(n)
            else:
                held.add(n)
        if not left:
            outcome = tuple(n in held for n in range(len(wanted)))
            if outcome not in found or value < found[outcome]:
                found[outcome] = value
            continue
        bit = 1 << ((wanted[left[0]][0] & ~fixed).bit_length() - 1)
        stack.append((fixed | bit, value | bit, left, frozenset(held)))
        stack.append((fixed | bit, value, left, frozenset(held)))
    for one in pleasant:
        outcome = tuple(one & mask == want for mask, want in wanted)
        found[outcome] = one
    return [found[outcome] for outcome in sorted(found)]


def cubes(lo: int, hi: int, highest: int) -> list[tuple[int, int]]:
    """A range of values as tests (mask, value) of their leading bits."""
    out = []
    while lo <= hi:
        size = lo & -lo if lo else highest + 1
        while lo + size - 1 > hi:
            size >>= 1
        out.append((highest & ~(size - 1), lo))
        lo += size
    return out


def tests_of(values: Values, highest: int) -> list[tuple[int, int]]:
    """The elementary tests a set in a dimension of bits is made of."""
    out: list[tuple[int, int]] = []
    for v in values:
        if isinstance(v, Bits):
            out.append((v.mask & highest, v.value))
        elif isinstance(v, AnyBit):
            out.append((v.mask & highest, 0))
        elif isinstance(v, tuple) and v[0] <= v[1]:
            out += cubes(v[0], min(v[1], highest), highest)
    return out


def pulled_back(values: Values, keep: int, xor: int, highest: int) -> Values | None:
    """The values that `(v & keep) ^ xor` takes into a set: one set of tests again. None where a range cannot be written so."""
    out: list[tuple[int, int] | Bits | AnyBit | str] = []
    for v in values:
        if isinstance(v, AnyBit):
            if xor & v.mask & ~keep:
                return ((0, highest),)
            # Some bit differs from what xor makes zero: every other pattern of those bits.
            mask = v.mask & keep
            if xor & mask:
                if mask.bit_count() > 8:
                    return None
                forbidden = xor & mask
                out += [Bits(mask, p) for p in _patterns(mask) if p != forbidden]
            elif mask:
                out.append(AnyBit(mask))
            continue
        for mask, want in tests_of((v,), highest):
            back = (want ^ xor) & mask
            if not back & ~keep and not want & ~mask:
                out.append(Bits(mask & keep, back))
    return tuple(out)


def _patterns(mask: int) -> Iterable[int]:
    part = mask
    while True:
        yield part
        if not part:
            return
        part = (part - 1) & mask


def rows_of(part: Part) -> tuple[Row, ...]:
    """The rows a part of a rule asks about."""
    # By type, here and wherever every part of a rule set is looked at: three times as fast as asking isinstance for each kind.
    if type(part) is Match:
        return part.rows
    if type(part) is Unknown:
        return part.may + part.must
    if type(part) is Branches:
        return tuple(row for row, _ in part.branches)
    return ()


def rank(programs: Iterable[Program], questions: Iterable[Row] = ()) -> dict[str, Ranks]:
    """The ranks of every dimension that some program (or question) asks about. Dimensions not asked about are left out."""
    sets: dict[str, set[Values]] = {}
    moves: list[tuple[str, str, int, int]] = []  # source, target, keep, xor
    for row in questions:
        for name, values in row.items():
            sets.setdefault(name, set()).add(values)
    for program in programs:
        for chain in program.chains:
            if chain.entry:
                if chain.entry.device:
                    sets.setdefault("in", set()).add(chain.entry.device)
                if chain.entry.kind == "nat":
                    sets.setdefault("state", set()).update((((1, 2),), ((2, 3),), ((3, 3),)))
            for rule in chain.rules:
                for part in rule.body:
                    for row in part.rows if type(part) is Match else rows_of(part):
                        for name, values in row.items():
                            if (held := sets.get(name)) is None:
                                held = sets[name] = set()
                            held.add(values)
                    if type(part) is Match:
                        continue
                    if type(part) is Nat:
                        for name, values in part.to.items():
                            sets.setdefault(name, set()).add(values)
                    elif type(part) is Assign:
                        if part.values is not None:
                            sets.setdefault(part.dimension, set()).add(part.values)
                        elif part.keep:
                            moves.append((part.source or part.dimension, part.dimension, part.keep, part.xor))
                    elif type(part) is NoTrack:
                        sets.setdefault("state", set())
    for name in list(sets):
        for need, values in DIMENSIONS[name].needs.items():
            sets.setdefault(need, set()).add(values)
    complete = _close(sets, moves)
    moved = {name for source, target, _, _ in moves for name in (source, target)}
    return {name: _ranks(name, found, complete or name not in moved) for name, found in sets.items()}


def _close(sets: dict[str, set[Values]], moves: list[tuple[str, str, int, int]]) -> bool:
    """Add every set that a test after a move of bits comes from. False if there are too many of them."""
    for _ in range(16):
        grown = False
        for source, target, keep, xor in set(moves):
            highest = DIMENSIONS[target].highest
            for values in list(sets.get(target, ())):
                back = pulled_back(values, keep, xor, highest)
                if back is not None and back not in sets.setdefault(source, set()):
                    if len(sets[source]) > MOST_CLASSES:
                        return False
                    sets[source].add(back)
                    grown = True
        if not grown:
            return True
    return False


def _ranks(name: str, sets: set[Values], complete: bool) -> Ranks:
    dimension = DIMENSIONS[name]
    if dimension.shape == "name":
        return ClassRanks(name_classes(sets), sets=(*sets, ("",)))
    if dimension.shape == "range":
        return RangeRanks(name, dimension.highest, sets)
    tests = [test for values in sets for test in tests_of(values, dimension.highest)]
    classes = bit_classes(tests, PLEASANT.get(name, ())) if complete else None
    return ClassRanks([0], vague=True) if classes is None else ClassRanks(classes, name, sets=sets)
