"""Where unfolding is in a program, and what it knows there of values that rules have changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from wardkeep.packets.cases import Box, Source
from wardkeep.packets.conditions import Columns, Step
from wardkeep.packets.dimensions import ANY, DIMENSIONS, Row, Values
from wardkeep.packets.program import Assign, Chain, Part, Rule
from wardkeep.packets.writer import FINAL


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a chain goes on after a jump. A goto's frame is at its chain's end."""

    chain: Chain
    at: int


@dataclass(frozen=True, slots=True)
class Stop:
    """A place on the way of packets: a base chain; or, with `behind`, where the nat chains before it give packets of known connections
    the addresses of their first one. `hook` and `chain` are numbers."""

    hook: int
    chain: int
    behind: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    """Where unfolding is: the stop by number, the labels of its end, and what is known of rewritten values."""

    stop: int
    sources: Mapping[str, Source] = field(default_factory=dict)  # as the present base chain sees them
    changed: Mapping[str, Source] = field(default_factory=dict)  # what rules changed, for all that follows
    times: int = 0  # how many rewrites this way has behind it
    raw: bool = False  # before connections are tracked
    defragmented: bool = False
    accept: int = FINAL
    back: int = FINAL  # where `return` leads now
    policy: int = FINAL
    natted: int = FINAL  # behind the nat chains of this hook


@dataclass
class Copy:
    """What is left of a base chain for packets that a rule of it has changed: the rest of that rule, then what follows."""

    label: int
    rule: Rule
    rest: tuple[Part, ...]
    frames: tuple[Frame, ...]
    at: Context
    path: Box

    @staticmethod
    def place(rest: tuple[Part, ...], frames: tuple[Frame, ...], body: tuple[Part, ...]) -> tuple[int, ...]:
        """What orders copies by where packets come to them: places of the chains around it, then of the part in its rule."""
        return (*(frame.at for frame in reversed(frames)), len(body) - len(rest) - 1_000_000)


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
    """The value that a statement gives: a constant, or bits of an older one."""
    highest = DIMENSIONS[part.dimension].highest
    if not part.keep & highest:
        return Source(value=part.xor)
    old = sources.get(part.source or part.dimension, Source(part.source or part.dimension))
    if old.cases is None:
        return _moved(part, old, highest)
    each = tuple(_moved(part, one, highest) for one in old.each)
    return each[0] if all(one == each[0] for one in each) else replace(old, each=each)


def _moved(part: Assign, old: Source, highest: int) -> Source:
    if not old.column:
        assert isinstance(old.value, int)
        return Source(value=(old.value & part.keep ^ part.xor) & highest)
    return Source(old.column, 0, old.keep & part.keep & highest, (old.xor & part.keep ^ part.xor) & highest)
