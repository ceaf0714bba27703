"""Writes the entries of one world: boxes, labels to go on at, and the conditions of rules as entries of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from wardkeep.packets.cases import TOLD_APART, Box, Source, hull, meet
from wardkeep.packets.conditions import Columns, Conditions, Step
from wardkeep.packets.dimensions import DIMENSIONS, Row
from wardkeep.packets.flat import NOBODY, Act, Flat, Ints, threaded
from wardkeep.packets.program import Chain, Effect, Match, Part, Rule, Unknown, Verdict

MOST_DIRECT: Final = 64  # boxes a rule is multiplied out into before its conditions become steps of their own
_DIRECT: Final = frozenset({Match, Unknown, Effect, Verdict})  # what may follow boxes that are multiplied out
SCANNED: Final = 12  # rules of a chain from which on those that may matter are looked up
_TOP: Final = 2**31 - 1
FINAL: Final = 0  # the label behind the last entry


class TooLarge(Exception):
    """Unfolding passed its limit of entries."""


@dataclass
class Cursor:
    """The packets at one point of a rule's body: a union of boxes, and whether a condition before may have failed."""

    paths: list[Box]
    fork: bool = False


# The packets that a rule's first conditions let through, as boxes; whether some of them may fail; and the parts that follow.
Held: TypeAlias = tuple[Sequence[Box], bool, tuple[Part, ...]]


class _Hulls:
    """Boxes around what each rule of a chain may match, by column."""

    def __init__(self) -> None:
        self.calls = 0
        self.never: NDArray[np.bool_] = np.zeros(0, dtype=bool)
        self.sides: dict[int, tuple[Ints, Ints]] = {}

    def build(self, boxes: list[Box | None]) -> None:
        """Note the boxes of all rules in order."""
        self.never = np.array([box is None for box in boxes])
        for column in {column for box in boxes if box for column in box}:
            spans = [(box or {}).get(column, (0, _TOP)) for box in boxes]
            lo, hi = np.array(spans, dtype=np.int32).T
            self.sides[column] = np.ascontiguousarray(lo), np.ascontiguousarray(hi)

    def meeting(self, path: Box, start: int) -> list[int]:
        """The numbers from `start` on of those whose box shares something with `path`."""
        met = ~self.never
        for column, (low, high) in path.items():
            if column in self.sides:
                lo, hi = self.sides[column]
                met = met & (lo <= high) & (hi >= low)
        met[:start] = False
        return np.flatnonzero(met).tolist()


class Writer:
    """Entries as they are written; `arrays` makes the flat list of them."""

    def __init__(self, columns: Columns, family: int, route: str, vague: frozenset[str], most: int) -> None:
        self.family, self.route, self.vague, self.most = family, route, vague, most
        self.columns = columns
        self.conditions = Conditions(self.columns, family, vague)
        self._known: dict[tuple[int, int], tuple[Part, list[Step] | None]] = {}
        self._held: dict[tuple[int, int], tuple[Rule, Held | None]] = {}
        self._fields: dict[int, tuple[object, frozenset[str]]] = {}  # of parts, rules and chains by their id
        self._sources: dict[tuple[tuple[str, Source], ...], int] = {}
        self._numbers: dict[int, tuple[Mapping[str, Source], dict[frozenset[str], int], int]] = {}  # by id
        self._hulls: dict[tuple[str, int], _Hulls] = {}
        self.used: set[int] = set()  # labels that something leads to
        self.labels = [-1]
        self.boxes: list[Box] = []
        self.target: list[int] = []  # a label, or -1: the next entry
        self.certain: list[bool] = []
        self.owner: list[int] = []
        self.act: list[int] = []
        self.spans: list[tuple[int, int, int]] = []  # owner, begin and end of rules that are not plain
        self.starts: list[int] = []  # of copies
        self.groups: list[int] = []  # of copies of base chains
        self.stops_at: list[int] = []  # of the first of each
        self.past: dict[int, int] = {}  # entry of a jump → the label behind its rule
        self.writing = NOBODY  # whose rule is written
        self.forks: dict[int, int] = {}  # entry that is not certain → whose condition decides it

    def emit(
        self, box: Box, label: int = -1, act: Act = Act.STEP, owner: int = NOBODY, certain: bool = True
    ) -> None:
        if len(self.boxes) >= self.most:
            raise TooLarge
        if label > 0:
            self.used.add(label)
        if not certain and self.writing != NOBODY:
            self.forks[len(self.boxes)] = self.writing
        self.boxes.append(box)
        self.target.append(label)
        self.certain.append(certain)
        self.owner.append(owner)
        self.act.append(act)

    def label(self) -> int:
        self.labels.append(-1)
        return len(self.labels) - 1

    def place(self, label: int) -> None:
        self.labels[label] = len(self.boxes)

    def known_steps(self, part: Match | Unknown, sources: Mapping[str, Source]) -> list[Step] | None:
        key = id(part), self.numbered(sources, part, (part,))
        found = self._known.get(key)
        if found is None:
            # The part is kept beside its steps: its id must not be given to another while it is a key.
            found = self._known[key] = (part, self.conditions.steps(part, sources))
        return found[1]

    def numbered(self, sources: Mapping[str, Source], whole: object, parts: Iterable[Part]) -> int:
        """One number for sources that are equal as far as the conditions of something go: a part, a rule or a chain."""
        kept = self._numbers.get(id(sources))
        if kept is None or kept[0] is not sources:
            plain = sources.keys() <= TOLD_APART  # of these there are few kinds
            kept = self._numbers[id(sources)] = (sources, {}, self._number(sources, sources) if plain else -1)
        if kept[2] >= 0:
            return kept[2]
        fields = self._fields.get(id(whole))
        if fields is None:
            fields = self._fields[id(whole)] = (whole, asked(parts))
        number = kept[1].get(fields[1])
        if number is None:
            number = kept[1][fields[1]] = self._number(sources, fields[1] & sources.keys())
        return number

    def _number(self, sources: Mapping[str, Source], names: Iterable[str]) -> int:
        key = tuple((name, sources[name]) for name in sorted(names))
        return self._sources.setdefault(key, len(self._sources))

    def held(self, rule: Rule, sources: Mapping[str, Source], kept: bool = True) -> Held | None:
        """What the conditions that a rule begins with let through, of all packets; None: it is not so simple. `kept`: for when it is
        asked again."""
        if not kept:
            return self._holding(rule.body, sources)
        key = id(rule), self.numbered(sources, rule, rule.body)
        found = self._held.get(key)
        if found is None:
            found = self._held[key] = (rule, self._holding(rule.body, sources))
        return found[1]

    def _holding(self, body: tuple[Part, ...], sources: Mapping[str, Source]) -> Held | None:
        boxes = everything = [Box()]
        fork = False
        for number, part in enumerate(body):
            if isinstance(part, Match | Unknown):
                if isinstance(part, Match) and not part.negated and len(part.rows) == 1:
                    one = self.conditions.box(part.rows[0], sources)
                    if one is None:
                        return (), fork, ()
                    if one is not False:
                        if boxes is everything:
                            boxes = [one]
                        else:
                            boxes = [m for box in boxes if (m := meet(box, one)) is not None]
                        continue
                steps = self.conditions.steps(part, sources)
                if steps is None:
                    return (), fork, ()
                for step in steps:
                    if step.kind == "in":
                        count = len(boxes) * len(step.boxes)
                        if count > 1 and not self.direct(body, count, len(boxes)):
                            return None
                        boxes = [m for box in boxes for b in step.boxes if (m := meet(box, b)) is not None]
                    elif step.kind == "fork" and not step.boxes:
                        fork = True
                    else:
                        return None
            elif not isinstance(part, Effect):
                return boxes, fork, body[number:]
        return boxes, fork, ()

    @staticmethod
    def direct(body: tuple[Part, ...], count: int, before: int) -> bool:
        """Whether boxes of a rule are multiplied out."""
        return (count <= MOST_DIRECT or before == 1) and all(type(part) in _DIRECT for part in body)

    def meeting(self, chain: Chain, start: int, sources: Mapping[str, Source], path: Box) -> Iterable[int]:
        """The rules from one on that packets of the box may match at all, by number; of short chains all."""
        count = len(chain.rules)
        if not path or count - start < SCANNED:
            return range(start, count)
        number = self.numbered(sources, chain, (part for rule in chain.rules for part in rule.body))
        hulls = self._hulls.setdefault((chain.id, number), _Hulls())
        hulls.calls += 1
        if hulls.calls < 3:
            return range(start, count)
        if hulls.calls == 3:
            hulls.build([self.enclosing(rule, sources) for rule in chain.rules])
        return hulls.meeting(path, start)

    def enclosing(self, rule: Rule, sources: Mapping[str, Source]) -> Box | None:
        """A box around all packets that a rule may match, by the conditions it begins with; None: none can."""
        held = self.held(rule, sources)
        if held is not None:
            return hull([*held[0]]) if held[0] else None
        box: Box = {}
        for part in rule.body:
            if type(part) is not Match and type(part) is not Unknown:
                break
            steps = self.known_steps(part, sources)
            if steps is None:
                return None
            for step in steps:
                if step.kind == "in" and step.boxes:
                    narrower = meet(box, hull(list(step.boxes)))
                    if narrower is None:
                        return None
                    box = narrower
        return box

    def condition(
        self,
        part: Match | Unknown,
        cursor: Cursor,
        sources: Mapping[str, Source],
        done: int,
        rest: tuple[Part, ...] | None,
    ) -> bool:
        """Narrow the cursor; False if no packet is left. `rest`: the parts that follow, None if they are not a rule's."""
        steps = self.known_steps(part, sources)
        if steps is None:
            return False
        direct = rest is not None and all(type(p) in _DIRECT for p in rest)
        for step in steps:
            boxes = step.boxes
            if step.kind == "in":
                count = len(cursor.paths) * len(boxes)
                if count <= 1 or (direct and (count <= MOST_DIRECT or len(cursor.paths) == 1)):
                    cursor.paths = [m for p in cursor.paths for b in boxes if (m := meet(p, b)) is not None]
                else:
                    self.gate(cursor, boxes, done)
            elif step.kind == "out":
                for path in cursor.paths:
                    for box in boxes:
                        if (shared := meet(path, box)) is not None:
                            self.emit(shared, done)
            elif boxes:
                one = self.single(cursor, done)
                inside = self.label()
                for box in boxes:
                    if (shared := meet(one, box)) is not None:
                        self.emit(shared, inside)
                self.emit(one, done, certain=False)
                self.place(inside)
            else:
                cursor.fork = True
            if not cursor.paths:
                return False
        return True

    def gate(self, cursor: Cursor, boxes: Iterable[Box], done: int) -> None:
        """Let packets in one of the boxes go on, all others at `done`; the cursor becomes one box around them."""
        one = self.single(cursor, done, fork=False)
        inside = self.label()
        met = [m for box in boxes if (m := meet(one, box)) is not None]
        for box in met:
            self.emit(box, inside)
        if met:
            self.emit(one, done)
        self.place(inside)
        cursor.paths = [hull(met)] if met else []

    def single(self, cursor: Cursor, done: int, fork: bool = True) -> Box:
        """The cursor as one box, with entries before it that turn everybody else away; and its fork, if wanted."""
        if len(cursor.paths) > 1:
            around = hull(cursor.paths)
            inside = self.label()
            for path in cursor.paths:
                self.emit(path, inside)
            self.emit(around, done)
            self.place(inside)
            cursor.paths = [around]
        if fork and cursor.fork:
            self.emit(cursor.paths[0], done, certain=False)
            cursor.fork = False
        return cursor.paths[0]

    def arrays(self, space: Box) -> Flat:
        count, width = len(self.boxes), len(self.columns.names)
        sizes = np.array([self.columns.ranks_of(n).size for n in self.columns.names], dtype=np.int32)
        lo = np.zeros((count, width), dtype=np.int32)
        hi = np.tile(sizes - 1, (count, 1)).astype(np.int32)
        rows = np.repeat(np.arange(count), [len(b) for b in self.boxes])
        cells = [(c, s[0], s[1]) for b in self.boxes for c, s in b.items()]
        if cells:
            table = np.array(cells, dtype=np.int32)
            lo[rows, table[:, 0]] = table[:, 1]
            hi[rows, table[:, 0]] = table[:, 2]
        places = np.array([*self.labels, 0], dtype=np.int32)
        target = np.array(self.target, dtype=np.int32)
        target = np.where(target < 0, np.arange(1, count + 1), places[target]).astype(np.int32)
        whole = np.stack([np.zeros(width, dtype=np.int32), sizes - 1])
        for column, (low, high) in space.items():
            whole[0, column], whole[1, column] = low, high
        certain, owner = np.array(self.certain, dtype=bool), np.array(self.owner, dtype=np.int32)
        act = np.array(self.act, dtype=np.int8)
        target, fate = threaded(lo, hi, target, certain, owner, act, self.spans)
        starts, groups, stops = (
            np.array(list(dict.fromkeys(one)), dtype=np.int32) for one in (self.starts, self.groups, self.stops_at)
        )  # fmt: skip
        return Flat(
            self.family, self.route, self.columns, lo, hi, target, certain, owner, act, fate,
            whole.astype(np.int32), self.vague, {entry: int(places[label]) for entry, label in self.past.items()}, tuple(self.spans),
            starts, groups, stops, self.forks,
        )  # fmt: skip


def asked(parts: Iterable[Part]) -> frozenset[str]:
    """The dimensions that conditions ask about, and what packets must be to have those."""
    rows: list[Row] = []
    for part in parts:
        if type(part) is Match:
            rows += part.rows
        elif type(part) is Unknown:
            rows += (*part.may, *part.must)
    names = {name for row in rows for name in row}
    return frozenset(names.union(*(DIMENSIONS[name].needs for name in names)))
