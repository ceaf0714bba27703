"""What was read from the same bytes is read once; nothing else is ever taken for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Self

import pytest

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question, Snapshot, Unknown
from wardkeep.core.memo import Memo

parsed: list[bytes] = []


@dataclass(frozen=True)
class Word:
    ask: ClassVar[Question] = Question("word", "echo word", ok=frozenset({0, 1}))
    text: str
    exit: int | None

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        parsed.append(answer.stdout)
        if answer.stdout == b"?":
            raise NotUnderstood("a question mark")
        return cls(answer.text(), answer.exit)


@dataclass(frozen=True)
class OtherWord(Word):
    pass


def learn(kind: type[Word], stdout: bytes, **more: object) -> Word | Unknown:
    answer = Answer("word", **{"exit": 0, "stdout": stdout, **more})  # type: ignore[arg-type]
    return Snapshot("host", datetime.now(UTC), {"word": answer}).learn(kind)


def test_the_same_bytes_of_two_hosts_are_parsed_once() -> None:
    parsed.clear()
    assert learn(Word, b"same") == learn(Word, b"same", seconds=2.0) == Word("same", 0)
    assert parsed == [b"same"]


def test_other_bytes_status_errors_or_kind_are_another_answer() -> None:
    parsed.clear()
    told = [
        learn(Word, b"one"),
        learn(Word, b"two"),
        learn(Word, b"one", exit=1),
        learn(Word, b"one", stderr=b"!"),
        learn(OtherWord, b"one"),
    ]
    assert len(parsed) == len(told)
    assert told[2] == Word("one", 1)
    assert isinstance(told[4], OtherWord)


def test_what_is_refused_or_not_whole_is_unknown_each_time() -> None:
    learn(Word, b"cut")
    assert isinstance(learn(Word, b"cut", whole=False), Unknown)
    assert isinstance(learn(Word, b"cut", exit=2), Unknown)
    assert isinstance(learn(Word, b"?"), Unknown)
    assert isinstance(learn(Word, b"?"), Unknown)


def test_a_memo_keeps_to_its_budget_and_lets_the_oldest_go() -> None:
    memo, made = Memo(64), []

    def make(key: str, size: int = 4) -> object:
        return memo.get(key, size, lambda: made.append(key) or key)

    for n in range(20):
        make(f"k{n}")
    make("k19")
    make("k0")
    assert made.count("k19") == 1
    assert made.count("k0") == 2
    make("large", 5)
    make("large", 5)
    assert made.count("large") == 2
    with pytest.raises(ZeroDivisionError):
        memo.get("bad", 1, lambda: 1 / 0)
    assert memo.get("bad", 1, lambda: 7) == 7
