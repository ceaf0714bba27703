"""Boxes of ranks, and where a dimension's value comes from: the packet as it arrived, a constant, or one of several by case.

Packets that rules have changed in different ways share one copy of what follows where the boxes they came from share no packet: then
the box that holds a packet says what its values are now. A test of such a value is one of the packet as it arrived.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from wardkeep.packets.dimensions import Values, holds

Box: TypeAlias = dict[
    int, tuple[int, int]
]  # column → lowest and highest rank; columns left out may be anything

# What base chains see of these is not what the packet has: they are told apart, never by case.
TOLD_APART: Final = frozenset({"state", "in", "out", "fragment"})


@dataclass(frozen=True, slots=True, eq=False)
class Cases:
    """Boxes that share no packet, or give it the same values; every packet is in one of them. Two dimensions of one set of cases
    change together."""

    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a dimension's value comes from at some point of the program.

    `column` names the column ("dst4", "dst4'1" after a rewrite); "" means the constant `value`; otherwise the value is
    `(column & keep) ^ xor`. With `cases` it is by case what `each` says, which has no cases itself.
    """

    column: str = ""
    value: int | str = 0
    keep: int = -1
    xor: int = 0
    cases: Cases | None = None
    each: tuple[Source, ...] = ()


Sources: TypeAlias = Mapping[str, Source]


@dataclass
class Lookup:
    """Which cases of a source have values of a set: found by value, not by looking at each."""

    source: Source
    numbers: list[int] = field(default_factory=list)  # the constant values in order
    known: list[int] = field(default_factory=list)  # their cases
    named: dict[int | str, list[int]] = field(default_factory=dict)
    others: frozenset[int] = frozenset()  # cases with a value that is no constant: they may be any

    @classmethod
    def of(cls, source: Source) -> Lookup:
        fixed = [(one.value, n) for n, one in enumerate(source.each) if not one.column]
        pairs = sorted((value, n) for value, n in fixed if isinstance(value, int))
        named: dict[int | str, list[int]] = {}
        for value, n in fixed:
            named.setdefault(value, []).append(n)
        others = frozenset(n for n, one in enumerate(source.each) if one.column)
        return cls(source, [value for value, _ in pairs], [n for _, n in pairs], named, others)

    def held(self, values: Values) -> set[int]:
        """The cases whose value is, or may be, one of these."""
        found = set(self.others)
        for one in values:
            if isinstance(one, tuple):
                found.update(
                    self.known[bisect_left(self.numbers, one[0]) : bisect_right(self.numbers, one[1])]
                )
            else:
                for value, cases in self.named.items():
                    if isinstance(value, str) == isinstance(one, str) and holds((one,), value):
                        found.update(cases)
        return found


def meet(a: Box, b: Box) -> Box | None:
    """What two boxes share, or None."""
    if not a:
        return b
    out = dict(a)
    for column, (lo, hi) in b.items():
        have = out.get(column)
        if have is not None:
            lo, hi = max(lo, have[0]), min(hi, have[1])
            if lo > hi:
                return None
        out[column] = (lo, hi)
    return out


def hull(boxes: list[Box]) -> Box:
    """The smallest box around some boxes."""
    out = dict(boxes[0])
    for box in boxes[1:]:
        for column in list(out):
            if column not in box:
                del out[column]
            else:
                out[column] = (min(out[column][0], box[column][0]), max(out[column][1], box[column][1]))
    return out


def products(spans: Mapping[int, Iterable[tuple[int, int]]]) -> list[Box]:
    """Every choice of one range of each column."""
    made: list[Box] = [{}]
    for column, ranges in spans.items():
        made = [{**box, column: one} for box in made for one in ranges]
    return made
