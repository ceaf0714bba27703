"""Packets on their way between base chains: those that wait at one place, sorted into as few copies of what follows as can be.

A lane is packets that rules have changed in one way. Lanes whose packets now have the same values become one. Lanes that were changed
otherwise share a copy if no packet can be in two of them as it arrived: there a value is one by case.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from wardkeep.packets.cases import TOLD_APART, Box, Cases, Source, hull, meet
from wardkeep.packets.dimensions import Row

FEW: Final = 3  # copies of what follows beside that for packets that nothing changed


@dataclass
class Lane:
    """Packets of the box `path` that come from `labels`, with what rules changed on them.

    `apart`: each gets what its connection says. `rows`: NAT gave them one of these (see `any_of`), which is not followed yet.
    """

    labels: list[int]
    path: Box
    changed: Mapping[str, Source]
    times: int = 0
    apart: bool = False
    rows: list[Row] = field(default_factory=list)


def gathered(lanes: Iterable[Lane], asked: Collection[str]) -> list[Lane]:
    """The copies to write for lanes that wait at one place, behind which rules ask about some dimensions alone; first the one of packets
    that nothing changed, if there are any."""
    held = [
        replace(lane, changed={name: source for name, source in lane.changed.items() if name in asked})
        for lane in lanes
    ]
    same = _alike(held)
    alone = sorted((lane for lane in same if not _by_case(lane)), key=lambda lane: bool(lane.changed))
    groups = _grouped([lane for lane in same if _by_case(lane)])
    if len(groups) > FEW:
        # Boxes around lanes with the same values may share packets where those of the lanes do not.
        groups = min(groups, _grouped([lane for lane in held if _by_case(lane)]), key=len)
    return [*alone, *(group.joined() for group in groups)]


def _alike(lanes: Iterable[Lane]) -> list[Lane]:
    """Lanes with the same values as one."""
    same: dict[object, Lane] = {}
    for lane in lanes:
        key = (frozenset(lane.changed.items()), bool(lane.rows))
        held = same.get(key)
        if held is None:
            same[key] = replace(lane, labels=[*lane.labels], rows=[*lane.rows])
        else:
            held.labels += lane.labels
            held.path = hull([held.path, lane.path])
            held.times = max(held.times, lane.times)
            held.apart &= lane.apart
            held.rows += lane.rows
    return list(same.values())


def _by_case(lane: Lane) -> bool:
    return bool(lane.changed) and not lane.apart and not lane.rows


def _grouped(lanes: Sequence[Lane]) -> list[_Group]:
    """Lanes in groups, each in the first that takes it."""
    column, groups = _telling(lanes), list[_Group]()
    for lane in lanes:
        if not any(group.takes(lane) for group in groups):
            groups.append(_Group(column))
            groups[-1].add(lane)
    return groups


def _telling(lanes: Sequence[Lane]) -> int:
    """The column that tells most of the boxes apart; -1: none."""
    kinds: dict[int, set[tuple[int, int]]] = {}
    for lane in lanes:
        for column, span in lane.path.items():
            kinds.setdefault(column, set()).add(span)
    return max(kinds, key=lambda column: len(kinds[column]), default=-1)


class _Group:
    """Lanes of which no two share a packet and give it other values, found by the place of their boxes in one column."""

    def __init__(self, column: int) -> None:
        self.column = column
        self.lanes: list[Lane] = []
        self.narrow: dict[int, list[Lane]] = {}  # by the rank, of boxes with a single one
        self.wide: list[Lane] = []
        self.fixed: frozenset[tuple[str, Source | None]] = frozenset()

    def takes(self, lane: Lane) -> bool:
        """Add the lane, if it may be."""
        if _fixed(lane) != self.fixed:
            return False
        span = lane.path.get(self.column)
        if span and span[0] == span[1]:
            others: Iterable[Lane] = self.narrow.get(span[0], ())
        else:
            others = (other for held in self.narrow.values() for other in held)
        if any(_clash(lane, other) for other in self.wide) or any(_clash(lane, other) for other in others):
            return False
        self.add(lane)
        return True

    def add(self, lane: Lane) -> None:
        self.fixed = _fixed(lane)
        self.lanes.append(lane)
        span = lane.path.get(self.column)
        if span and span[0] == span[1]:
            self.narrow.setdefault(span[0], []).append(lane)
        else:
            self.wide.append(lane)

    def joined(self) -> Lane:
        """The lanes as one, with values by case."""
        if len(self.lanes) == 1:
            return self.lanes[0]
        cases = Cases(tuple(lane.path for lane in self.lanes))
        changed: dict[str, Source] = {}
        for name in self.lanes[0].changed:
            each = tuple(lane.changed[name] for lane in self.lanes)
            changed[name] = each[0] if all(one == each[0] for one in each) else Source(cases=cases, each=each)
        return Lane(
            [label for lane in self.lanes for label in lane.labels],
            hull(list(cases.boxes)),
            changed,
            max(lane.times for lane in self.lanes),
        )


def _clash(one: Lane, other: Lane) -> bool:
    """Whether there may be a packet of both that gets other values in each."""
    return meet(one.path, other.path) is not None and one.changed != other.changed


def _fixed(lane: Lane) -> frozenset[tuple[str, Source | None]]:
    """What lanes of one group must have in common: which dimensions were changed, and what is not constant now. A test of that would
    need a box for each case."""
    told = {(name, None if _may_differ(name, source) else source) for name, source in lane.changed.items()}
    return frozenset(told)


def _may_differ(name: str, source: Source) -> bool:
    return not source.column and source.cases is None and name not in TOLD_APART
