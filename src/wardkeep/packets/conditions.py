"""What a rule asks, as boxes of ranks in one world: the conditions of a body, one step each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from wardkeep.packets.cases import Box, Cases, Lookup, Sources, meet, products
from wardkeep.packets.dimensions import DIMENSIONS, Row, Values, holds
from wardkeep.packets.program import EVERYTHING, Match, Unknown
from wardkeep.packets.ranks import Ranks, Spans, complement, pulled_back

MOST_PRODUCT: Final = (
    64  # boxes a row of several ranges is multiplied out into; beyond, one step for each dimension
)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a condition. `kind`: "in" any of the boxes; "out" none of them; "fork" may fail or not, except that it
    holds within the boxes."""

    kind: str
    boxes: tuple[Box, ...] = ()


class Columns:
    """The columns of one world's boxes: dimensions first, then what rewriting adds."""

    def __init__(self, ranks: Mapping[str, Ranks]) -> None:
        self.ranks = ranks
        self.names: list[str] = [n for n in ranks if n != "family"]
        self.index = {name: n for n, name in enumerate(self.names)}

    def rewritten(self, name: str, times: int) -> str:
        """The column for a dimension's value after it was rewritten so many times."""
        column = f"{name}'{times}"
        if column not in self.index:
            self.index[column] = len(self.names)
            self.names.append(column)
        return column

    def ranks_of(self, column: str) -> Ranks:
        return self.ranks[column.partition("'")[0]]


_Way: TypeAlias = tuple[int, Callable[[Values], Spans], Spans, list[tuple[int, Spans]] | None]


_ALL: Final[Spans] = ((0, 0),)  # what a test of a constant that holds leaves


def _nothing(values: Values) -> Spans:
    return ()


class Conditions:
    """Compiles rows under given sources. `vague` are dimensions whose tests cannot be told apart: they go both ways."""

    def __init__(self, columns: Columns, family: int, vague: frozenset[str]) -> None:
        self.columns, self.family = columns, family
        self.vague = vague | {n for n, r in columns.ranks.items() if r.vague}
        self._ways: dict[int, tuple[Sources, dict[str, _Way], frozenset[str]]] = {}
        self._lookups: dict[int, Lookup] = {}
        self._overlaps: dict[tuple[Spans, Spans], Spans] = {}

    def box(self, row: Row, sources: Sources) -> Box | Literal[False] | None:
        """A row and all it needs as one box, exactly; None: it can never hold; False: it is not so simple, see `steps`."""
        _, ways, cased = self._ways_of(sources)
        if cased and self._asks(row, cased):
            return False
        out: Box = {}
        needed: list[tuple[int, Spans]] = []
        for name, values in row.items():
            way = ways.get(name)
            if way is None:
                way = ways[name] = self._way(name, sources)
            index, spans_of, whole, needs = way
            if index < 0:
                return False
            if needs is None:
                return None
            spans = spans_of(values)
            if len(spans) != 1:
                return False if spans else None
            if spans != whole:
                out[index] = spans[0]
            needed += needs
        for index, spans in needed:
            have = out.get(index)
            if have is None:
                if len(spans) != 1:
                    return False
                out[index] = spans[0]
                continue
            for lo, hi in spans:
                if lo <= have[0] and have[1] <= hi:
                    break
            else:
                shared = self._shared((have,), spans)
                if len(shared) != 1:
                    return False if shared else None
                out[index] = shared[0]
        return out

    def steps(self, part: Match | Unknown, sources: Sources) -> list[Step] | None:
        """The steps of one condition; None if it can never hold."""
        if isinstance(part, Unknown):
            return self._unknown(part, sources)
        if part.negated:
            return self._negated(part, sources)
        if len(part.rows) == 1:
            return self._row(part.rows[0], sources)
        boxes, sure = self.boxes(part.rows, sources)
        if not boxes:
            return None
        return [Step("in", tuple(boxes)), *(() if sure else (Step("fork"),))]

    def boxes(self, rows: tuple[Row, ...], sources: Sources) -> tuple[list[Box], bool]:
        """The union of some rows as boxes; False: only an upper bound of it (something vague was asked)."""
        out: list[Box] = []
        sure = True
        cased = self._ways_of(sources)[2]
        for row in rows:
            if cased and self._asks(row, cased):
                made, certain = self._by_case(row, sources, cased)
                sure &= certain or not made
                out += made
                continue
            spans, certain = self._spans(row, sources)
            if spans is None:
                continue
            sure &= certain
            out += products(spans)
        return out, sure

    @staticmethod
    def _asks(row: Row, names: frozenset[str]) -> bool:
        """Whether a row is about one of the dimensions, or needs one."""
        return any(name in names or not names.isdisjoint(DIMENSIONS[name].needs) for name in row)

    def _by_case(self, row: Row, sources: Sources, cased: frozenset[str]) -> tuple[list[Box], bool]:
        """A row about dimensions whose value is by case: a box for each case that it holds in."""
        plain: dict[int, Spans] = {}
        by: dict[Cases, list[tuple[str, Values]]] = {}
        sure = True
        for name, values in (
            *((n, v) for one in row for n, v in DIMENSIONS[one].needs.items()),
            *row.items(),
        ):
            cases = sources[name].cases if name in cased else None
            if cases is not None and name not in self.vague:
                by.setdefault(cases, []).append((name, values))
                continue
            known = self._add(plain, name, values, sources)
            if known is None:
                return [], True
            sure &= known
        made = products(plain)
        for cases, asked in by.items():
            held, certain = self._held(cases, asked, sources)
            sure &= certain
            if held is not None:
                made = [m for box in made for one in held if (m := meet(box, one)) is not None]
        return made, sure

    def _held(
        self, cases: Cases, asked: list[tuple[str, Values]], sources: Sources
    ) -> tuple[list[Box] | None, bool]:
        """The boxes of the cases in which all that is asked holds; None: of all of them."""
        some: set[int] | None = None
        for name, values in asked:
            lookup = self._lookups.get(id(sources[name]))
            if lookup is None or lookup.source is not sources[name]:
                lookup = self._lookups[id(sources[name])] = Lookup.of(sources[name])
            found = lookup.held(values)
            some = found if some is None else some & found
        sure, whole, out = True, len(some or ()) == len(cases.boxes), list[Box]()
        for number in sorted(some or ()):
            more: dict[int, Spans] = {}
            for name, values in asked:
                if (source := sources[name].each[number]).column:
                    known = self._add(more, name, values, {name: source})
                    if known is None:
                        break
                    sure &= known
            else:
                whole &= not more
                out += [m for box in products(more) if (m := meet(cases.boxes[number], box)) is not None]
                continue
            whole = False
        return None if whole else out, sure

    def _row(self, row: Row, sources: Sources) -> list[Step] | None:
        cased = self._ways_of(sources)[2]
        if cased and self._asks(row, cased):
            boxes, sure = self._by_case(row, sources, cased)
            steps = [Step("in", tuple(boxes))] if boxes != [{}] else []
            return [*steps, *(() if sure else (Step("fork"),))] if boxes else None
        spans, sure = self._spans(row, sources)
        if spans is None:
            return None
        one = {column: ranges[0] for column, ranges in spans.items() if len(ranges) == 1}
        out = [Step("in", (one,))] if one else []
        for column, ranges in spans.items():
            if len(ranges) > 1:
                out.append(Step("in", tuple({column: span} for span in ranges)))
        if not sure:
            out.append(Step("fork"))
        return out

    def _negated(self, part: Match, sources: Sources) -> list[Step] | None:
        names = {name for row in part.rows for name in row}
        if part.absent_ok:
            needs: list[Step] | None = []
        else:
            needs = self._row(self._needs(names), sources)
        if needs is None:
            return None
        if names & self.vague:
            return [*needs, Step("fork")]
        if len(part.rows) == 1 and len(names) == 1 and not part.absent_ok:
            (name,) = names
            source = sources.get(name)
            if name != "family" and (source is None or (source.column and source.keep == -1)):
                column = self.columns.index[source.column if source else name]
                ranks = self.columns.ranks[name]
                left = complement(ranks.spans(part.rows[0][name]), ranks.size)
                if not left:
                    return None
                return [*needs, Step("in", tuple({column: span} for span in left))]
        boxes, sure = self.boxes(part.rows, sources)
        if not sure:
            return [*needs, Step("fork")]
        if any(not box for box in boxes):
            return None
        return [*needs, Step("out", tuple(boxes))] if boxes else needs

    def _unknown(self, part: Unknown, sources: Sources) -> list[Step] | None:
        out: list[Step] = []
        if part.may != EVERYTHING:
            boxes, _ = self.boxes(part.may, sources)
            if not boxes:
                return None
            out.append(Step("in", tuple(boxes)))
        must, sure = self.boxes(part.must, sources)
        return [*out, Step("fork", tuple(must) if sure else ())]

    @staticmethod
    def _needs(names: set[str]) -> Row:
        """What packets must be to have all these dimensions, as one row (of several needs of one dimension the narrower)."""
        out: dict[str, Values] = {}
        for name in names:
            for need, values in DIMENSIONS[name].needs.items():
                have = out.get(need)
                if have is None:
                    out[need] = values
                elif have != values:
                    out[need] = tuple(v for v in values if isinstance(v, tuple) and holds(have, v[0]))
        return out

    def _spans(self, row: Row, sources: Sources) -> tuple[dict[int, Spans] | None, bool]:
        """Column → ranges for a row and all it needs, and whether that is exact; None if it can never hold."""
        ways = self._ways_of(sources)[1]
        out: dict[int, Spans] = {}
        met: list[tuple[int, Spans]] = []  # what several dimensions need, each narrows: none replaces another
        for name, values in row.items():
            way = ways.get(name)
            if way is None:
                way = ways[name] = self._way(name, sources)
            index, spans_of, whole, needs = way
            if index < 0:
                return self._spans_slowly(row, sources)
            if needs is None:
                return None, True
            spans = spans_of(values)
            if not spans:
                return None, True
            if spans != whole:
                met.append((index, spans))
            met += needs
        for index, spans in met:
            have = out.get(index)
            if have is None:
                out[index] = spans
            elif have != spans:
                shared = self._shared(have, spans)
                if not shared:
                    return None, True
                out[index] = shared
        return out, True

    def _ways_of(self, sources: Sources) -> tuple[Sources, dict[str, _Way], frozenset[str]]:
        """What is kept for sources: beside them the ways of their dimensions, and which dimensions are by case."""
        kept = self._ways.get(id(sources))
        if kept is None or kept[0] is not sources:
            if len(self._ways) > 1000:
                self._ways.clear()
            cased = frozenset(name for name, source in sources.items() if source.cases)
            kept = self._ways[id(sources)] = (sources, {}, cased)
        return kept

    def _way(self, name: str, sources: Sources) -> _Way:
        """How a dimension's values become ranges here: column, function, the whole range, and what it needs (None: it cannot
        be there). Column -1: not so simply."""
        source = sources.get(name)
        simple = name != "family" and name not in self.vague
        simple &= source is None or (source.keep == -1 and not source.cases)
        needs: list[tuple[int, Spans]] = []
        for need, values in DIMENSIONS[name].needs.items():
            found: dict[int, Spans] = {}
            known = self._add(found, need, values, sources)
            if known is None and simple:
                return 0, _nothing, (), None
            simple &= known is True and need != name
            needs += found.items()
        if not simple:
            return -1, _nothing, (), None
        if source is not None and not source.column:
            value = source.value
            return 0, lambda values: _ALL if holds(values, value) else (), _ALL, needs
        column = source.column if source else name
        ranks = self.columns.ranks_of(column)
        return self.columns.index[column], ranks.spans, ((0, ranks.size - 1),), needs

    def _shared(self, a: Spans, b: Spans) -> Spans:
        found = self._overlaps.get((a, b))
        if found is None:
            shared = [(max(c, e), min(d, f)) for c, d in a for e, f in b if c <= f and e <= d]
            found = self._overlaps[a, b] = tuple(sorted(shared))
        return found

    def _spans_slowly(self, row: Row, sources: Sources) -> tuple[dict[int, Spans] | None, bool]:
        out: dict[int, Spans] = {}
        sure = True
        for name, values in row.items():
            for need, needed in DIMENSIONS[name].needs.items():
                known = self._add(out, need, needed, sources)
                if known is None:
                    return None, True
                sure &= known
            known = self._add(out, name, values, sources)
            if known is None:
                return None, True
            sure &= known
        return out, sure

    def _add(self, out: dict[int, Spans], name: str, values: Values, sources: Sources) -> bool | None:
        """Narrow `out`. True: exactly; False: vague; None: nothing is left."""
        if name == "family":
            return True if holds(values, self.family) else None
        if name in self.vague:
            return False
        source = sources.get(name)
        column = name
        if source is not None:
            if not source.column:
                return True if holds(values, source.value) else None
            column = source.column
            if source.keep != -1:
                back = pulled_back(values, source.keep, source.xor, DIMENSIONS[name].highest)
                if back is None or column.partition("'")[0] in self.vague:
                    return False
                values = back
        ranks = self.columns.ranks_of(column)
        spans = ranks.spans(values)
        if not spans:
            return None
        if spans == ((0, ranks.size - 1),):
            return True
        index = self.columns.index[column]
        have = out.get(index)
        if have is not None and have != spans:
            shared = [(max(a, c), min(b, d)) for a, b in have for c, d in spans if a <= d and c <= b]
            if not shared:
                return None
            spans = tuple(sorted(shared))
        out[index] = spans
        return True
