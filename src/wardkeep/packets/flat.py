"""A program unfolded for one world: a list of boxes, each with the place to go on from.

The list is read from top to bottom. A packet in entry i's box goes on at `target[i]`, every other packet at i + 1. Targets only
point forward. An entry whose `target` is i + 1 turns nobody away: it is there to be reached (a jump, a rule that only counts).
Where `certain` is False a packet in the box may do either. Everything the kernel does (chains, jumps, returns, several base
chains, policies) is this one form, and "is rule r reached?" is "can some packet's walk stop at an entry of r?".
"""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Flat:
    """`lo` and `hi` (n × columns, ranks), `target`, `certain`, `owner` (index into the program's owners, or NOBODY), `act`.

    `space` is the world's own box (2 × columns): what packets there are at all.
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
    space: Ints
    vague: frozenset[str]

    def __len__(self) -> int:
        return len(self.target)
