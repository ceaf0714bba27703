"""Each law is shown to catch a mutant: a toy control or parser broken in just the way the law forbids."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

import law_book as laws
import pytest
from msgspec.structs import replace

from wardkeep.core.changes import Act, Change, OnHost, Step
from wardkeep.core.control import Control, NoPolicy
from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Fact, Question, Snapshot, Unknown
from wardkeep.core.findings import Finding, Seen, Severity, Verdict, fails, holds, passes
from wardkeep.engine.assess import assess

POLICY = NoPolicy()
CITED = {"164.312(b)": "Toys are recorded."}


@dataclass(frozen=True)
class Toys:
    """`name=colour` lines closed by `end`."""

    ask: ClassVar[Question] = Question("toys", "cat /toys")
    colours: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        *lines, last = answer.text().split("\n")[:-1] or [""]
        if last != "end":
            raise NotUnderstood("the answer lacks its last line")
        pairs = tuple((name, colour) for name, _, colour in (line.partition("=") for line in lines))
        if not all(name and colour for name, colour in pairs):
            raise NotUnderstood("a line is no toy")
        return cls(pairs)


class Gullible(Toys):
    """The mutant parser: whatever it does not understand it leaves out."""

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        lines = answer.stdout.decode(errors="ignore").splitlines()
        return cls(tuple((n, c) for n, _, c in (line.partition("=") for line in lines) if c))


def world(text: str = "car=red\nbear=brown\nend\n") -> Snapshot:
    return Snapshot("host-1", datetime(2026, 1, 1, tzinfo=UTC), {"toys": Answer("toys", 0, text.encode())})


def toy_control(kind: type = Toys) -> Control:
    """A control that keeps every law: toys are not brown."""
    control = Control("toy", missing=("Whether toys are washed is not looked at.",))

    def not_brown(toys: Toys) -> Iterator[Seen]:
        for name, colour in sorted(toys.colours):
            yield holds(colour != "brown", f"toy:{name}", colour, "Paint it.")

    not_brown.__annotations__["toys"] = kind
    rule = control.rule("No toy is brown.", severity=Severity.LOW, serves=CITED)(not_brown)

    def paint(failing: list[Seen]) -> Iterator[Change]:
        for seen in failing:
            yield Act("Paint it", "paint", "unpaint", rule.id, seen.subject)

    rule.mend(paint)
    return control


def check_all(control: Control, given: Snapshot, kind: type[Fact] = Toys) -> None:
    laws.speaks_of_every_rule(control, given, POLICY)
    laws.is_deterministic_and_order_blind(control, given, POLICY, random.Random(1))
    laws.remedy_answers_exactly_what_failed(control, given, POLICY)
    laws.no_fact_no_pass(control, given, POLICY, kind)
    laws.a_row_with_gaps_cannot_pass(control)


def test_a_lawful_control_is_not_accused() -> None:
    check_all(toy_control(), world())
    laws.every_cut_is_noticed(Toys, world().answers["toys"])
    laws.nothing_is_learnt(world("car"), Toys, [(toy_control(), POLICY)])


def add(control: Control, check: object) -> Control:
    control.rule("Another sentence.", severity=Severity.LOW, serves=CITED)(check)  # type: ignore[arg-type]
    return control


def silent_when_all_is_well(toys: Toys) -> Iterator[Seen]:
    for name, colour in toys.colours:
        if colour == "green":
            yield fails(f"toy:{name}", colour, "Paint it.")


def fails_with_nothing_to_do(toys: Toys) -> Iterator[Seen]:
    yield fails("toys", "too many", "")


def judges_twice(toys: Toys) -> Iterator[Seen]:
    for _name, colour in toys.colours:
        yield passes("toys", colour)


def breaks(toys: Toys) -> Iterator[Seen]:
    yield passes("toys", toys.colours[99][0])


@pytest.mark.parametrize("mutant", [silent_when_all_is_well, fails_with_nothing_to_do, judges_twice, breaks])
def test_a_check_that_does_not_speak_properly_is_caught(mutant: object) -> None:
    with pytest.raises(AssertionError):
        laws.speaks_of_every_rule(add(toy_control(), mutant), world(), POLICY)


def hangs_on_the_order(toys: Toys) -> Iterator[Seen]:
    yield passes("toys", f"the first is {toys.colours[0][0]}")


_calls: list[int] = []


def hangs_on_the_day(toys: Toys) -> Iterator[Seen]:
    _calls.append(1)
    yield passes("toys", f"look number {len(_calls)}")


@pytest.mark.parametrize("mutant", [hangs_on_the_order, hangs_on_the_day])
def test_a_check_that_hangs_on_chance_is_caught(mutant: object) -> None:
    with pytest.raises(AssertionError):
        try_orders(add(toy_control(), mutant))


def try_orders(control: Control) -> None:
    for seed in range(8):
        laws.is_deterministic_and_order_blind(control, world(), POLICY, random.Random(seed))


@pytest.mark.parametrize("mutant", ["too little", "too much", "for another rule"])
def test_a_remedy_that_misses_what_failed_is_caught(mutant: str) -> None:
    control = toy_control()
    (rule,) = control.rules

    def paint(failing: list[Seen]) -> Iterator[Change]:
        if mutant == "too much":
            yield Act("Paint it", "paint", "unpaint", rule.id, "toy:car")
        if mutant != "too little":
            why = "toy.other" if mutant == "for another rule" else rule.id
            yield Act("Paint it", "paint", "unpaint", why, "toy:bear")

    rule.mend(paint)
    with pytest.raises(AssertionError):
        laws.remedy_answers_exactly_what_failed(control, world(), POLICY)


def test_a_remedy_is_not_asked_when_nothing_failed() -> None:
    laws.remedy_answers_exactly_what_failed(toy_control(), world("car=red\nend\n"), POLICY)


def test_an_engine_that_takes_silence_for_health_is_caught() -> None:
    """The mutant of the engine hands an empty fact to a check whose fact could not be learnt."""

    def forgiving(control: Control, snapshot: Snapshot, policy: Any) -> list[Finding]:
        if isinstance(snapshot.learn(Toys), Unknown):
            snapshot._learned[Toys] = Toys((("none", "seen"),))
        return assess(control, snapshot, policy)

    with pytest.raises(AssertionError, match="without toys"):
        laws.no_fact_no_pass(toy_control(), world(), POLICY, Toys, forgiving)


def test_an_engine_that_lets_one_unknown_fact_blind_all_rules_is_caught() -> None:
    """The mutant writes unknown for every rule of the control, also for those that needed another fact."""

    def frightened(control: Control, snapshot: Snapshot, policy: Any) -> list[Finding]:
        gone = isinstance(snapshot.learn(Toys), Unknown)
        found = assess(control, snapshot, policy)
        return [replace(f, verdict=Verdict.UNKNOWN) for f in found] if gone else found

    class Shelf(Toys):
        ask = Question("shelf", "cat /shelf")

    def full(shelf: Shelf) -> Iterator[Seen]:
        yield passes("shelf", f"{len(shelf.colours)} toys")

    full.__annotations__["shelf"] = Shelf
    control = add(toy_control(), full)
    answers = {name: Answer(name, 0, b"car=red\nend\n") for name in ("toys", "shelf")}
    given = Snapshot("host-1", world().at, answers)
    laws.no_fact_no_pass(control, given, POLICY, Toys)
    with pytest.raises(AssertionError):
        laws.no_fact_no_pass(control, given, POLICY, Toys, frightened)


def test_a_drill_that_proves_nothing_of_its_row_is_caught() -> None:
    control = toy_control()

    def wash(toys: Toys) -> Iterator[Step]:
        for name, _ in toys.colours:
            yield OnHost(f"Wash {name}", "wash", "laundry.clean")

    control.drilled_by(wash)
    with pytest.raises(AssertionError, match=r"no rule of toy"):
        laws.a_drill_proves_rules_of_its_own(control, world(), POLICY)
    control.drill_needs = {}
    with pytest.raises((AssertionError, TypeError)):
        laws.a_drill_proves_rules_of_its_own(control, world("nonsense"), POLICY)


def test_a_parser_that_reads_what_is_left_of_a_cut_answer_is_caught() -> None:
    with pytest.raises(AssertionError, match="another thing"):
        laws.every_cut_is_noticed(Gullible, world().answers["toys"])


def test_a_parser_that_shrugs_at_garbage_is_caught() -> None:
    spoiled = world("sh: 1: cat: not found\n")
    with pytest.raises(AssertionError, match="spoiled"):
        laws.nothing_is_learnt(spoiled, Gullible, [(toy_control(Gullible), POLICY)])
