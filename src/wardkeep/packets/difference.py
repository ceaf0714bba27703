"""Two versions of a rule set, compared as packets: whose fate changes, from what to what, and a packet to show for each case.

Only packets that come to a rule (or policy) that is not in both versions can change. The space is split around those until every
cell is treated alike by both, or is one in which the fates are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from wardkeep.packets.alignment import unchanged
from wardkeep.packets.audit import WORK, Analysis, decides_only
from wardkeep.packets.conditions import Columns
from wardkeep.packets.dimensions import FAMILIES, ROUTES
from wardkeep.packets.flat import NOBODY, Fate, Flat, Ints
from wardkeep.packets.kinds import Kind, nothing_new
from wardkeep.packets.lacking import lacking
from wardkeep.packets.leaf import Budget, Spent
from wardkeep.packets.order import tells_fragments, uses_conntrack
from wardkeep.packets.program import Program, Verdict
from wardkeep.packets.ranks import rank
from wardkeep.packets.removal import needed
from wardkeep.packets.search import preferred
from wardkeep.packets.walks import Bools
from wardkeep.packets.witness import Witness
from wardkeep.packets.worlds import Owners, checked, unfold, worlds

MOST_CASES: Final = 200


@dataclass(frozen=True, slots=True)
class Case:
    """Packets whose fate changes: `before` and `after` are what may become of them (accept, drop, reject), `old_rule` and
    `new_rule` what decides about the witness ("" where nothing does). `box` bounds them: dimension → (lowest, highest) value,
    or a list of names; dimensions left out are not bounded."""

    witness: Witness
    before: tuple[str, ...]
    after: tuple[str, ...]
    old_rule: str
    new_rule: str
    box: Mapping[str, tuple[int | str, int | str]]

    @property
    def opens(self) -> bool:
        """Whether packets get through that did not."""
        return "accept" in self.after and "accept" not in self.before

    @property
    def sure(self) -> bool:
        """Whether such a packet fares otherwise for certain. Where both versions leave the same fate possible, a match that is
        not modelled decides, and it may fare as before."""
        return self.witness.certain or not set(self.before) & set(self.after)


@dataclass(frozen=True, slots=True)
class Difference:
    """`cases`: sets of packets, none of them in two; or one such set of each kind. `complete`: these are all; otherwise there are
    more, or the budget was spent (`undecided`). No cases and complete: proved equal."""

    cases: tuple[Case, ...]
    complete: bool
    undecided: bool = False

    @property
    def equal(self) -> bool:
        return not self.cases and self.complete


class Side:
    """One version in one world."""

    def __init__(self, flat: Flat, changed: Bools, details: Ints, width: int, alike: Ints) -> None:
        """By owner: `changed`, `details` of how it rejects, and in `alike` a number that the same rule has in both versions."""
        self.flat, count = flat, len(flat)
        more = width - flat.lo.shape[1]
        sizes = [flat.columns.ranks_of(name).size - 1 for name in flat.columns.names[flat.lo.shape[1] :]]
        self.lo = np.concatenate([flat.lo, np.zeros((count, more), dtype=np.int32)], axis=1)
        self.hi = np.concatenate([flat.hi, np.tile(np.array(sizes, dtype=np.int32), (count, 1))], axis=1)
        self.changed = np.append(changed, False)[flat.owner]  # -1, the last: of no rule
        self.does = flat.fate.astype(np.int64)
        rejects = flat.fate == Fate.REJECT
        self.does[rejects] = 10 + details[flat.owner[rejects]]
        self.alike = np.append(alike, NOBODY)[flat.owner]
        self.matters = (self.does != 0) | (flat.target > np.arange(1, count + 1)) | self.changed

    def inside(self, index: Ints, lo: Ints, hi: Ints) -> Ints:
        return index[((self.lo[index] <= hi) & (self.hi[index] >= lo)).all(axis=1)]

    def cut(self, index: Ints, lo: Ints, hi: Ints) -> tuple[Ints, Bools]:
        """Without what nobody in the cell reaches; and which entries cover the cell."""
        covers = np.all((self.lo[index] <= lo) & (self.hi[index] >= hi), axis=1)
        turning = covers & self.flat.certain[index] & (self.flat.target[index] > index + 1)
        if turning.any():
            target, keep = self.flat.target[index], np.ones(len(index), dtype=bool)
            for n in np.flatnonzero(turning):
                if keep[n]:
                    end = int(target[n])
                    around = (target[:n] > index[n]) & (target[:n] < end) & keep[:n]
                    end = int(target[:n][around].min()) if around.any() else end
                    keep[n + 1 : np.searchsorted(index, end)] = False
            index, covers = index[keep], covers[keep]
        return index, covers

    def owner(self, entry: int) -> int:
        return int(self.flat.owner[entry]) if entry >= 0 else NOBODY

    def outcome(self, index: Ints) -> tuple[frozenset[int], int]:
        """What may become of a packet in every box of `index` and no other; and the first entry that decides."""
        places, out, first = {0}, set(), -1
        for n in index.tolist():
            behind = {p for p in places if p <= n}
            if behind:
                if self.does[n]:
                    out.add(int(self.does[n]))
                    first = n if first < 0 else first
                places = (places - behind) | {int(self.flat.target[n])}
                if not self.flat.certain[n]:
                    places.add(n + 1)
        return frozenset(out), first


def difference(
    old: Program,
    new: Program,
    *,
    layer: str = "ip",
    most: int = MOST_CASES,
    work: float = WORK,
    kinds: bool = False,
) -> Difference:
    """What becomes different for packets when `old` is replaced by `new`. Raises BadInput for programs with faults.

    Compared is the fate of packets, not what they are rewritten to; of a packet that meets conditions that cannot be modelled,
    all that may become of it. At most `most` cases are told. `kinds`: one case is enough for each family, route, rule that decided
    and rule that decides now; that is much less, and all kinds are found.
    """
    checked(old)
    checked(new)
    pairs = unchanged(old, new)
    numbers = [{pair[side]: n for n, pair in enumerate(pairs)} for side in (0, 1)]
    tracked = uses_conntrack(old) or uses_conntrack(new)
    parts = tells_fragments(old) or tells_fragments(new)
    old, new = (replace(one, conntrack=tracked, fragments=parts) for one in (old, new))
    ranks, budget = rank([old, new]), Budget(work)
    known: dict[str, int] = {}
    cases: list[Case] = []
    undecided = False
    sides = []
    for program, number in zip((old, new), numbers, strict=True):
        owners = Owners.of(program)
        alike = np.array([number.get(name, NOBODY) for name in owners.names], dtype=np.int64)
        sides.append((program, owners, alike, _details(program, known)))
    for family in FAMILIES:
        for route in ROUTES:
            columns = Columns(ranks)
            flats = [
                unfold(program, columns, family, route, layer, owners, always=True)
                for program, owners, *_ in sides
            ]
            assert flats[0] is not None
            assert flats[1] is not None
            a, b = (
                Side(flat, alike == NOBODY, details, len(columns.names), alike)
                for flat, (_, _, alike, details) in zip(flats, sides, strict=True)
                if flat is not None
            )
            told: set[Kind] | None = set() if kinds else None
            try:
                for cell in _cells(a, b, budget, told):
                    if len(cases) == most:
                        return Difference(tuple(cases), complete=False)
                    cases.append(_case(a, b, sides[0][1], sides[1][1], *cell))
            except Spent:
                undecided = True
    return Difference(tuple(cases), not undecided, undecided)


def _details(program: Program, known: dict[str, int]) -> Ints:
    """Owner → a number for how it rejects."""
    out = []
    for chain in program.chains:
        for rule in chain.rules:
            last = rule.body[-1] if rule.body else None
            said = last.detail if isinstance(last, Verdict) and last.kind == "reject" else ""
            out.append(known.setdefault(said, len(known)))
    out += [0 for chain in program.chains if chain.entry]
    return np.array(out, dtype=np.int64)


_Cell = tuple[Ints, Ints, frozenset[int], frozenset[int], int, int]


def _cells(a: Side, b: Side, budget: Budget, told: set[Kind] | None) -> Iterator[_Cell]:
    """Boxes whose packets meet another fate. `told`: the kinds of them that were found, of which one box is enough."""
    space = np.zeros((2, a.lo.shape[1]), dtype=np.int32)
    space[1] = [a.flat.columns.ranks_of(name).size - 1 for name in a.flat.columns.names]
    width = a.flat.space.shape[1]
    space[:, :width] = a.flat.space
    liked = preferred(a.flat)
    stack = [(space[0], space[1], np.flatnonzero(a.matters), np.flatnonzero(b.matters))]
    while stack:
        lo, hi, left, right = stack.pop()
        budget.spend(8 + len(left) + len(right))
        left, left_covers = a.cut(a.inside(left, lo, hi), lo, hi)
        right, right_covers = b.cut(b.inside(right, lo, hi), lo, hi)
        if not a.changed[left].any() and not b.changed[right].any():
            continue
        decided = set(np.unique(a.does[left]).tolist()) | set(np.unique(b.does[right]).tolist())
        if len(decided - {0}) == 1:
            continue
        if left_covers.all() and right_covers.all():
            (before, first), (after, second) = a.outcome(left), b.outcome(right)
            if before != after:
                kind = (before, after, a.owner(first), b.owner(second))
                if told is None or kind not in told:
                    yield lo, hi, before, after, first, second
                if told is not None:
                    told.add(kind)
            continue
        if told and nothing_new(a, b, left, right, told):
            continue
        column, cut = _where(a, b, left[~left_covers], right[~right_covers], lo, hi)
        below, above = hi.copy(), lo.copy()
        below[column], above[column] = cut - 1, cut
        # The half whose packets read better is looked at first: of each kind the first one is shown.
        halves = [(above, hi, left, right), (lo, below, left, right)]
        stack += halves if liked[column] < cut else reversed(halves)


def _where(a: Side, b: Side, left: Ints, right: Ints, lo: Ints, hi: Ints) -> tuple[int, int]:
    """Where to cut a cell: at the edge of a changed entry if one is left, otherwise where the lists shrink most."""
    changed = [(a, n) for n in left[a.changed[left]][:1]] + [(b, n) for n in right[b.changed[right]][:1]]
    if changed and len(left) + len(right) < 64:
        side, n = changed[0]
        column = int(np.flatnonzero((side.lo[n] > lo) | (side.hi[n] < hi))[0])
        cut = side.lo[n, column] if side.lo[n, column] > lo[column] else side.hi[n, column] + 1
        return column, int(cut)
    best: tuple[float, int, int] | None = None
    los, his = np.concatenate([a.lo[left], b.lo[right]]), np.concatenate([a.hi[left], b.hi[right]])
    for axis in np.flatnonzero(hi > lo):
        clo, chi = los[:, axis], his[:, axis]
        ends = np.concatenate([clo[clo > lo[axis]], chi[chi < hi[axis]] + 1])
        if len(ends):
            middle = int(np.partition(ends, len(ends) // 2)[len(ends) // 2])
            cost = float((clo < middle).sum()) ** 2 + float((chi >= middle).sum()) ** 2
            if best is None or cost < best[0]:
                best = (cost, int(axis), middle)
    assert best is not None
    return best[1], best[2]


def _case(
    a: Side, b: Side, old: Owners, new: Owners, lo: Ints, hi: Ints, before: frozenset[int], after: frozenset[int],
    first: int, second: int,
) -> Case:  # fmt: skip
    flat = a.flat
    point = np.clip(preferred(flat), lo, hi)
    box: dict[str, tuple[int | str, int | str]] = {}
    for column, name in enumerate(flat.columns.names):
        ranks = flat.columns.ranks_of(name)
        if "'" not in name and (lo[column] > 0 or hi[column] < ranks.size - 1):
            box[name] = (ranks.value_at(int(lo[column])), ranks.value_at(int(hi[column]), last=True))
    sure = len(before) == 1 and len(after) == 1
    return Case(
        Witness(flat, point, None, sure),
        _fates(before),
        _fates(after),
        old.names[a.owner(first)] if a.owner(first) >= 0 else "",
        new.names[b.owner(second)] if b.owner(second) >= 0 else "",
        box,
    )


def _fates(codes: frozenset[int]) -> tuple[str, ...]:
    return tuple(sorted({{1: "accept", 2: "drop"}.get(code, "reject") for code in codes}))


FEW: Final = 64  # rules that stay after all, whose packets are looked at one rule after the other


@dataclass(frozen=True, slots=True)
class Removals:
    """Rules that can go, all at once: that no packet's fate changes is proved. `kept`: rules that could each go alone, but not
    with the others, or of which that was not decided within the work allowed; they stay."""

    rules: tuple[str, ...]
    kept: tuple[str, ...]
    proof: Difference
    after: Program


def without(program: Program, rules: set[str]) -> Program:
    """The program without some rules."""
    return replace(
        program,
        chains=tuple(
            replace(c, rules=tuple(r for r in c.rules if r.id not in rules)) for c in program.chains
        ),
    )


def removals(
    program: Program, analysis: Analysis, *, work: float = WORK, unfolded: Sequence[Flat] | None = None
) -> Removals:
    """The most of the dead and removable rules that can go together, proved.

    No packet meets a dead rule, so that none misses it. Of the removable ones it is proved, with all of them gone at once, that
    whoever met one of them still meets the same fate. `unfolded`: the program's worlds, where they are made already.
    """
    rules = {rule.id: rule for chain in program.chains for rule in chain.rules}
    dead = {a.rule for a in analysis.rules if a.verdict == "dead"}
    going = {a.rule for a in analysis.rules if a.verdict == "removable" and decides_only(rules[a.rule])}
    kept: set[str] = set()
    left, budget = program, Budget(work)
    if going and unfolded is not None:
        flats = lacking(unfolded, program, dead)
    else:
        # What a dead rule made the kernel do for the others (tracking, telling fragments) is not in question.
        left = replace(
            without(program, dead), conntrack=uses_conntrack(program), fragments=tells_fragments(program)
        )
        flats = list(worlds(left)) if going else []
    owners, details = Owners.of(left), _details(left, {})
    among: set[int] | None = None
    while going:
        together = np.isin(owners.names, [*going])
        back: set[int] = set()
        for flat in flats:
            found = needed(flat, together, budget, details, together, among)
            back |= found.reached.keys() | found.doubtful
        if not back:
            break
        names = {owners.names[n] for n in back}
        going, kept = going - names, kept | names
        # What was proved of packets that none of those which stay matches holds still.
        among = back if len(back) <= FEW else None
    gone = going | dead
    order = [r for r in rules if r in gone]
    proof = Difference((), complete=True)
    return Removals(tuple(order), tuple(r for r in rules if r in kept), proof, without(program, gone))
