"""A program unfolded for one world: a list of boxes, each with the place to go on from.

The list is read from top to bottom. A packet in entry i's box goes on at `target[i]`, every other packet at i + 1. Targets only
point forward. An entry whose `target` is i + 1 turns nobody away: it is there to be reached (a jump, a rule that only counts).
Where `certain` is False a packet in the box may do either. Everything the kernel does (chains, jumps, returns, several base
chains, policies) is this one form, and "is rule r reached?" is "can some packet's walk stop at an entry of r?".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from wardkeep.packets.conditions import Columns

Ints: TypeAlias = NDArray[np.signedinteger[Any]]  # int32 where they are many
NOBODY: Final = -1  # the owner of an entry that belongs to no rule


class Act(IntEnum):
    """What an entry is."""

    STEP = 0  # part of how chains are unfolded
    PASS = 1  # a rule that lets packets go on
    ACCEPT = 2  # of its base chain
    DROP = 3
    REJECT = 4
    QUEUE = 5
    RETURN = 6
    CALL = 7  # a jump or goto
    NAT = 8
    END = 9  # the packet has passed every base chain


class Fate(IntEnum):
    """What is decided for a packet, finally, at an entry."""

    OPEN = 0
    ACCEPT = 1
    DROP = 2
    REJECT = 3


def _beginning() -> Ints:
    return np.zeros(1, dtype=np.int32)


@dataclass(frozen=True)
class Flat:
    """`lo` and `hi` (n × columns, ranks), `target`, `certain`, `owner` (index into the program's owners, or NOBODY), `act`.

    `fate` is what the entry decides for good: an accept that no later base chain can undo has it too.
    `space` is the world's own box (2 × columns): what packets there are at all. `past`: entry of a jump or goto → the place behind
    its rule, and so behind the chain that is written out for it. `spans`: of rules that change packets or decide by a map, owner, first entry and the place behind the rule.
    `starts`: where copies begin, each left only for good; `groups`: those
    of them that are a base chain's; `stops`: of these the first of each base chain, for packets that nothing changed. `forks`: entry
    that is not certain → owner of the rule whose condition decides it, also where the entry itself is no rule's.
    """

    family: int
    route: str
    columns: Columns
    lo: Ints
    hi: Ints
    target: Ints
    certain: NDArray[np.bool_]
    owner: Ints
    act: NDArray[np.int8]
    fate: NDArray[np.int8]
    space: Ints
    vague: frozenset[str]
    past: Mapping[int, int] = field(default_factory=dict)
    spans: tuple[tuple[int, int, int], ...] = ()
    starts: Ints = field(default_factory=_beginning)
    groups: Ints = field(default_factory=_beginning)
    stops: Ints = field(default_factory=_beginning)
    forks: Mapping[int, int] = field(default_factory=dict)

    def lucky(self) -> NDArray[np.bool_]:
        """Entries that packets meet or miss by luck: uncertain ones, and those that ask what a value was rewritten to where it
        may be one of several."""
        out = ~self.certain
        for column, name in enumerate(self.columns.names):
            if "'" in name and column < self.lo.shape[1]:
                top = self.columns.ranks_of(name).size - 1
                out |= (self.lo[:, column] > 0) | (self.hi[:, column] < top)
        return out

    def fates(self, point: Ints) -> set[Fate]:
        """What may become of the packet of a point, whatever the conditions say that its walk hangs on by luck."""
        return {Fate(int(self.fate[n])) for n in self.walk(point, self.lucky())} - {Fate.OPEN}

    def walk(self, point: Ints, luck: NDArray[np.bool_] | None = None) -> list[int]:
        """The entries that the packet of a point comes to and is in, in order.

        `luck`: entries that it meets or misses, and what it was rewritten to is left open; without it the entries that are not
        certain, and of what it was rewritten to what the point says.
        """
        columns = slice(None) if luck is None else self.own_columns()
        forks = ~self.certain if luck is None else luck
        inside = ((self.lo[:, columns] <= point[columns]) & (self.hi[:, columns] >= point[columns])).all(
            axis=1
        )
        places, met = {0}, []
        for n in np.flatnonzero(inside).tolist():
            behind = {place for place in places if place <= n}
            if behind:
                met.append(n)
                places = (places - behind) | {int(self.target[n])} | ({n + 1} if forks[n] else set())
        return met

    def own_columns(self) -> list[int]:
        """The columns of the packet as it arrives, without what rewriting adds."""
        width = self.lo.shape[1]
        return [n for n, name in enumerate(self.columns.names[:width]) if "'" not in name]

    def __len__(self) -> int:
        return len(self.target)


def threaded(
    lo: Ints, hi: Ints, target: Ints, certain: NDArray[np.bool_], owner: Ints, act: NDArray[np.int8],
    spans: Iterable[tuple[int, int, int]] = (),
) -> tuple[Ints, NDArray[np.int8]]:  # fmt: skip
    """Targets led past entries that send everybody on, and the fates: so that one base chain is a first-match list. Not past those of
    rules that may be left out later (`spans`)."""
    count = len(target)
    fate = np.zeros(count, dtype=np.int8)
    for kind, decided in (
        (Act.DROP, Fate.DROP),
        (Act.REJECT, Fate.REJECT),
        (Act.QUEUE, Fate.DROP),
        (Act.END, Fate.ACCEPT),
    ):
        fate[act == kind] = decided
    passed = np.ones(count + 1, dtype=bool)
    for _, begin, end in spans:
        passed[begin:end] = False
    open_ = np.flatnonzero((target < count) & (target > np.arange(1, count + 1)))
    while len(open_):
        at = target[open_]
        leads = (
            passed[at] & certain[at] & (owner[at] == NOBODY) & ((act[at] == Act.STEP) | (act[at] == Act.END))
        )
        leads &= ((lo[at] <= lo[open_]) & (hi[at] >= hi[open_])).all(axis=1)
        open_, at = open_[leads], at[leads]
        fate[open_[act[at] == Act.END]] = Fate.ACCEPT
        target[open_] = target[at]
        open_ = open_[target[open_] < count]
    return target, fate
