"""What the engine remembers between hosts: checks of the very same facts, and nothing that time may change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar, Self

from wardkeep.core.control import Control, NoPolicy
from wardkeep.core.facts import Answer, Question, Snapshot
from wardkeep.core.findings import Finding, Seen, Severity, Verdict, passes
from wardkeep.engine.assess import assess

AT = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Word:
    ask: ClassVar[Question] = Question("word", "echo hello")
    text: str

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        return cls(answer.text())


@dataclass(frozen=True)
class Wanted:
    word: str = "a"


def seen(control: Control, word: str, at: datetime = AT, policy: object = None) -> list[str]:
    snapshot = Snapshot("h", at, {"word": Answer("word", 0, word.encode())})
    found: list[Finding] = assess(control, snapshot, policy)
    return [finding.seen for finding in found]


def counting() -> tuple[Control, list[str]]:
    """A control whose check notes each time it is really asked."""
    asked: list[str] = []
    control = Control("words", NoPolicy)

    @control.rule(says="It is said.", severity=Severity.LOW, serves={"164.312(b)": "For the test."})
    def said(word: Word) -> Iterator[Seen]:
        asked.append(word.text)
        yield passes("word", word.text)

    return control, asked


def test_the_same_answer_under_the_same_policy_is_judged_once() -> None:
    control, asked = counting()
    policy = NoPolicy()
    assert [seen(control, "hello", policy=policy)[0] for _ in range(3)] == ["hello"] * 3
    assert asked == ["hello"]
    assert seen(control, "bye", policy=policy) == ["bye"]
    assert asked == ["hello", "bye"]


def test_a_check_that_asks_for_the_time_is_made_anew() -> None:
    control = Control("times", NoPolicy)

    @control.rule(says="It is time.", severity=Severity.LOW, serves={"164.312(b)": "For the test."})
    def timely(word: Word, now: datetime) -> Iterator[Seen]:
        yield passes("time", f"{word.text} at {now:%H:%M}")

    assert seen(control, "tick") == ["tick at 00:00"]
    assert seen(control, "tick", AT + timedelta(minutes=5)) == ["tick at 00:05"]


def test_a_check_that_asks_for_the_day_is_made_once_a_day() -> None:
    control, asked = Control("days", NoPolicy), list[date]()

    @control.rule(says="It is a day.", severity=Severity.LOW, serves={"164.312(b)": "For the test."})
    def dated(word: Word, today: date) -> Iterator[Seen]:
        asked.append(today)
        yield passes("day", f"{word.text} on {today}")

    for hours in (0, 5, 23, 24, 30):
        seen(control, "day", AT + timedelta(hours=hours))
    assert asked == [date(2026, 3, 1), date(2026, 3, 2)]


def test_another_policy_is_judged_anew() -> None:
    control = Control("wishes", Wanted)

    @control.rule(says="As wished.", severity=Severity.LOW, serves={"164.312(b)": "For the test."})
    def wished(word: Word, policy: Wanted) -> Iterator[Seen]:
        yield passes("word", f"{word.text} beside {policy.word}")

    assert seen(control, "x", policy=Wanted("a")) == ["x beside a"]
    assert seen(control, "x", policy=Wanted("b")) == ["x beside b"]


def test_a_check_that_says_nothing_or_breaks_is_unknown_and_never_left_out() -> None:
    control = Control("words", NoPolicy)

    @control.rule(says="It is said.", severity=Severity.LOW, serves={"164.312(b)": "For the test."})
    def silent(word: Word) -> Iterator[Seen]:
        if word.text == "never":
            yield passes("word", word.text)

    @control.rule(says="It is heard.", severity=Severity.LOW, serves={"164.312(b)": "For the test."})
    def broken(word: Word) -> Iterator[Seen]:
        yield passes("word", word.text)
        raise ZeroDivisionError

    found = assess(control, Snapshot("h", AT, {"word": Answer("word", 0, b"hello")}), NoPolicy())
    assert [(one.rule, one.verdict) for one in found] == [
        ("words.silent", Verdict.UNKNOWN),
        ("words.broken", Verdict.UNKNOWN),
    ]
    assert all("report this as a defect" in one.seen for one in found)
