"""Where unfolding is in a program, and what it knows there of values that rules have changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wardkeep.packets.conditions import Columns, Source, Step
from wardkeep.packets.dimensions import ANY, DIMENSIONS, Row, Values
from wardkeep.packets.program import Assign, Chain
from wardkeep.packets.writer import FINAL


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a chain goes on after a jump. A goto's frame is at its chain's end."""

    chain: Chain
    at: int


@dataclass(frozen=True, slots=True)
class Context:
    """Where unfolding is: hook and base chain by number, the labels of its end, and what is known of rewritten values."""

    hook: int = 0
    chain: int = 0
    sources: Mapping[str, Source] = field(default_factory=dict)  # as the present base chain sees them
    changed: Mapping[str, Source] = field(default_factory=dict)  # what rules changed, for all that follows
    times: int = 0  # how many rewrites this way has behind it
    raw: bool = False  # before connections are tracked
    defragmented: bool = False
    accept: int = FINAL
    back: int = FINAL  # where `return` leads now
    policy: int = FINAL
    natted: int = FINAL  # behind the nat chains of this hook
    joined: int = (
        FINAL  # where they all go on that its rules rewrote, if these share one copy of what follows
    )


def become(columns: Columns, changed: dict[str, Source], name: str, values: Values, times: int) -> list[Step]:
    """Note a dimension's new value; the steps that bound it, where it is one of several."""
    if len(values) == 1 and isinstance(v := values[0], tuple) and v[0] == v[1]:
        changed[name] = Source(value=v[0])
        return []
    column = columns.rewritten(name, times)
    changed[name] = Source(column)
    ranks = columns.ranks[name]
    spans = ranks.spans(values)
    if spans == ((0, ranks.size - 1),):
        return []
    return [Step("in", tuple({columns.index[column]: span} for span in spans))]


def any_of(rows: Sequence[Row]) -> Row:
    """What packets may have become that one of some rules rewrote, nobody says which: what one of them leaves may be anything."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {
        name: tuple(dict.fromkeys(v for row in rows for v in row[name]))
        if all(name in row for row in rows)
        else ANY[name]
        for name in names
    }


def moved(part: Assign, sources: Mapping[str, Source]) -> Source:
    old = sources.get(part.source or part.dimension, Source(part.source or part.dimension))
    highest = DIMENSIONS[part.dimension].highest
    if not part.keep & highest:
        return Source(value=part.xor)
    if not old.column:
        assert isinstance(old.value, int)
        return Source(value=(old.value & part.keep ^ part.xor) & highest)
    return Source(old.column, 0, old.keep & part.keep & highest, (old.xor & part.keep ^ part.xor) & highest)
