"""Who can reach whom: whether packets of a set are let through, with a packet that shows it; and tables of such answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np

from wardkeep.packets.audit import WORK
from wardkeep.packets.conditions import Columns, Conditions
from wardkeep.packets.dimensions import ROUTES, Row, Values, holds, states
from wardkeep.packets.flat import Fate, Flat
from wardkeep.packets.leaf import Budget
from wardkeep.packets.order import Traits
from wardkeep.packets.program import Program
from wardkeep.packets.ranks import rank
from wardkeep.packets.search import Search
from wardkeep.packets.witness import Witness
from wardkeep.packets.worlds import Owners, checked, unfold

Reach: TypeAlias = Literal["open", "perhaps", "closed", "undecided"]
_ACCEPTED, _DENIED = 0, 1


@dataclass(frozen=True, slots=True)
class Question:
    """A set of packets: any of `rows`, on any of `routes`, of any of `families`. No rows: every packet."""

    rows: tuple[Row, ...] = ({},)
    routes: tuple[str, ...] = ROUTES
    families: tuple[int, ...] = (4, 6)


@dataclass(frozen=True, slots=True)
class Answer:
    """`reach`: open (`allowed` is a packet of the set that certainly gets through), perhaps (it gets through if a condition
    that cannot be modelled lets it), closed (proved: none does), undecided (budget spent before one was found).

    `denied` is a packet of the set that may be turned away; None: proved that all get through, unless `denied_undecided`.
    """

    reach: Reach
    allowed: Witness | None = None
    denied: Witness | None = None
    denied_undecided: bool = False

    @property
    def whole(self) -> bool:
        """Whether every packet of the set certainly gets through."""
        return self.reach == "open" and self.denied is None and not self.denied_undecided


class Asked:
    """A program made ready for many questions: `Asked(program, questions).answer(question)`."""

    def __init__(
        self, program: Program, questions: Sequence[Question], layer: str = "ip", work: float = WORK
    ) -> None:
        checked(program)
        self.program, self.layer, self.budget = program, layer, Budget(work)
        self.ranks = rank([program], [row for question in questions for row in question.rows])
        self.owners, self.traits = Owners.of(program), Traits.of(program)
        self.flats: dict[tuple[int, str], tuple[Flat, Flat]] = {}

    def world(self, family: int, route: str) -> tuple[Flat, Flat]:
        """The flat list, and the same without luck: whoever meets a condition not modelled is out, unless it only accepts."""
        if (family, route) not in self.flats:
            flat = unfold(
                self.program,
                Columns(self.ranks),
                family,
                route,
                self.layer,
                self.owners,
                self.traits,
                always=True,
            )
            assert flat is not None
            count = len(flat)
            target = flat.target.copy()
            luck = flat.lucky()
            target[luck] = count
            harmless = luck & (flat.fate == Fate.ACCEPT)
            target[harmless] = np.flatnonzero(harmless) + 1
            fate = np.where(luck, 0, flat.fate).astype(np.int8)
            lo, hi = flat.lo.copy(), flat.hi.copy()
            for column in set(range(lo.shape[1])) - set(flat.own_columns()):
                lo[:, column], hi[:, column] = 0, flat.space[1, column]
            sure = replace(flat, lo=lo, hi=hi, target=target, fate=fate, certain=np.ones(count, dtype=bool))
            self.flats[family, route] = (flat, sure if luck.any() else flat)
        return self.flats[family, route]

    def answer(self, question: Question) -> Answer:
        """What becomes of the packets of a question; its rows must have been among those given at the start."""
        allowed: Witness | None = None
        denied: Witness | None = None
        perhaps: Witness | None = None
        doubt = [False, False]
        for family in question.families:
            for route in question.routes:
                flat, sure = self.world(family, route)
                for space in self.spaces(flat, question.rows):
                    wanted = np.array([allowed is None, denied is None])
                    if not wanted.any():
                        break
                    found = Search(flat, groups(flat), wanted, self.budget, space).run()
                    for group in found.doubtful:
                        doubt[group] = True
                    if (hit := found.reached.get(_DENIED)) is not None:
                        certain = sure is flat or Fate.ACCEPT not in flat.fates(hit[1])
                        denied = Witness(flat, hit[1], hit[0], certain)
                    if (hit := found.reached.get(_ACCEPTED)) is None:
                        continue
                    if sure is flat:
                        allowed = Witness(flat, hit[1], hit[0])
                        continue
                    perhaps = perhaps or Witness(flat, hit[1], hit[0], certain=False)
                    found = Search(sure, groups(sure), np.array([True, False]), self.budget, space).run()
                    if (hit := found.reached.get(_ACCEPTED)) is not None:
                        allowed = Witness(sure, hit[1], hit[0])
        if perhaps and allowed is None and denied is None and not doubt[_DENIED]:
            # However the conditions turn out that are not modelled, no packet of the set is turned away.
            allowed, perhaps.certain = perhaps, True
        if allowed is not None:
            return Answer("open", allowed, denied, doubt[_DENIED] and denied is None)
        reach: Reach = "perhaps" if perhaps else "undecided" if doubt[_ACCEPTED] else "closed"
        return Answer(reach, perhaps, denied, doubt[_DENIED] and denied is None)

    def spaces(
        self, flat: Flat, rows: tuple[Row, ...]
    ) -> Iterator[np.ndarray[tuple[int, int], np.dtype[np.int32]]]:
        """The boxes of some rows within a world."""
        boxes, _ = Conditions(flat.columns, flat.family, frozenset()).boxes(rows, {})
        for box in boxes:
            space = flat.space.copy()
            for column, (lo, hi) in box.items():
                space[0, column] = max(space[0, column], lo)
                space[1, column] = min(space[1, column], hi)
            if (space[0] <= space[1]).all():
                yield space.astype(np.int32)


def groups(flat: Flat) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Entry → accepted for good, denied for good, or neither (-1)."""
    return np.select(
        [flat.fate == Fate.ACCEPT, flat.fate != Fate.OPEN], [_ACCEPTED, _DENIED], default=-1
    ).astype(np.int32)


def reaches(program: Program, question: Question, *, layer: str = "ip", work: float = WORK) -> Answer:
    """Whether packets of a set get through the whole program. Raises BadInput for a program with faults."""
    return Asked(program, [question], layer, work).answer(question)


@dataclass(frozen=True, slots=True)
class Zone:
    """A part of the network: its addresses and the interfaces it is behind (none given: any). `here`: this host itself."""

    name: str
    addresses4: Values = ((0, 2**32 - 1),)
    addresses6: Values = ((0, 2**128 - 1),)
    interfaces: Values = ()
    here: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """One field of the matrix: can `source` reach `service` of `target`, over which families, and what shows it."""

    source: str
    target: str
    service: str
    answer: Answer
    families: tuple[int, ...] = field(default=(4, 6))


def matrix(
    program: Program, zones: Sequence[Zone], services: Mapping[str, Row], *, work: float = WORK
) -> list[Cell]:
    """Every pair of zones and every service, for the first packet of a connection (state new, not a fragment).

    `services`: name → row of `proto`, `dport`, ...; families without addresses in a zone are not asked.
    """
    asked: list[tuple[str, str, str, Question]] = []
    for source in zones:
        for target in zones:
            if source is target and source.here:
                continue
            for name, service in services.items():
                question = between(source, target, service)
                if question is not None:
                    asked.append((source.name, target.name, name, question))
    ready = Asked(program, [question for *_, question in asked], work=work)
    return [Cell(s, t, n, ready.answer(q), q.families) for s, t, n, q in asked]


def between(source: Zone, target: Zone, service: Row) -> Question | None:
    """The first packets from one zone to a service of another; None if no family has addresses in both."""
    route = "output" if source.here else "input" if target.here else "forward"
    rows, families = [], []
    wanted = service.get("family", ((0, 6),))
    for family, here, there in (
        (4, source.addresses4, target.addresses4),
        (6, source.addresses6, target.addresses6),
    ):
        if not here or not there or not holds(wanted, family):
            continue
        row: dict[str, Values] = {
            "state": states("new"),
            "fragment": ((0, 0),),
            **service,
            "family": ((family, family),),
        }
        if not source.here:
            row[f"src{family}"] = here
            if source.interfaces:
                row["in"] = source.interfaces
        if not target.here:
            row[f"dst{family}"] = there
            if target.interfaces:
                row["out"] = target.interfaces
        rows.append(row)
        families.append(family)
    return Question(tuple(rows), (route,), tuple(families)) if rows else None
