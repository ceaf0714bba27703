"""What every connector can do, and which one a host's URL asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

from wardkeep.core.facts import Answer, Question, Snapshot

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


@runtime_checkable
class Connector(Protocol):
    """A way to one host. Nothing here raises for a host's fault: the snapshot or answer says it."""

    host: str

    async def ask(self, questions: Sequence[Question]) -> Snapshot:
        """Put all questions in one round trip. Every question has an answer in the snapshot, whole or not."""
        ...

    async def run(self, script: str, *, stdin: bytes = b"", timeout: float = 60) -> Answer:
        """Run a POSIX sh script as root; for changes and drills. Refused privilege is an answer that is not whole.

        The script ends when its standard output is closed: what it leaves behind must not hold it.
        """
        ...

    async def close(self) -> None: ...


def unreachable(
    host: str, at: datetime, questions: Sequence[Question], problem: str, run: Mapping[str, str] | None = None
) -> Snapshot:
    """The snapshot of a host that could not be asked: no answer is whole."""
    answers = {q.id: Answer(q.id, None, b"", whole=False, problem=problem) for q in questions}
    return Snapshot(host, at, answers, problem, run or {})
