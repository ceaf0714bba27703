"""Many hosts at once: each as it comes, none for all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from wardkeep.core.errors import Unavailable
from wardkeep.core.facts import Answer, Question, Snapshot
from wardkeep.fleet.connector import Connector
from wardkeep.fleet.fanout import observe_all
from wardkeep.fleet.inventory import Host

AT = datetime(2026, 1, 1, tzinfo=UTC)
QUESTIONS = [Question("a", "true")]


class Toy:
    """A host that takes its time, or fails in the way its name says."""

    running = 0
    most = 0

    def __init__(self, host: str) -> None:
        self.host = host
        self.closed = False

    async def ask(self, questions: Sequence[Question]) -> Snapshot:
        Toy.running += 1
        Toy.most = max(Toy.most, Toy.running)
        await asyncio.sleep(0.01)
        if self.host.startswith("slow"):
            while Toy.running > 1:
                await asyncio.sleep(0.01)
        Toy.running -= 1
        if self.host.startswith("defect"):
            raise IndexError("ours")
        return Snapshot(self.host, AT, {q.id: Answer(q.id, 0, b"") for q in questions})

    async def run(self, script: str, *, stdin: bytes = b"", timeout: float = 60) -> Answer:
        raise AssertionError

    async def close(self) -> None:
        self.closed = True


def toys(made: list[Toy]) -> object:
    def make(host: Host) -> Connector:
        if host.name.startswith("refused"):
            raise Unavailable("refused", where=host.name)
        made.append(Toy(host.name))
        return made[-1]

    return make


async def ask(names: list[str], concurrency: int = 8) -> tuple[list[Snapshot], list[Toy]]:
    made: list[Toy] = []
    hosts = [Host(name, "local:") for name in names]
    got = [s async for s in observe_all(hosts, QUESTIONS, concurrency=concurrency, connecting=toys(made))]  # type: ignore[arg-type]
    assert all(toy.closed for toy in made)
    return got, made


async def test_each_comes_when_it_is_ready() -> None:
    got, _ = await ask(["slow", "a", "b", "c"])
    assert [s.subject for s in got][-1] == "slow"
    assert {s.subject for s in got} == {"slow", "a", "b", "c"}


async def test_a_fault_or_a_defect_stays_with_its_host() -> None:
    got, _ = await ask(["a", "defect", "refused", "b"])
    problems = {s.subject: s.problem for s in got}
    assert problems == {
        "a": "", "b": "", "refused": "refused: refused",
        "defect": "asking failed (IndexError); please report this as a defect",
    }  # fmt: skip
    assert all(a.whole == (not s.problem) for s in got for a in s.answers.values())


async def test_no_more_at_once_than_allowed() -> None:
    Toy.most = 0
    got, _ = await ask([f"h{i}" for i in range(20)], concurrency=3)
    assert (len(got), Toy.most) == (20, 3)
    assert await ask([]) == ([], [])


async def test_who_stops_listening_stops_the_asking() -> None:
    made: list[Toy] = []
    hosts = [Host(f"h{i}", "local:") for i in range(50)]
    stream = observe_all(hosts, QUESTIONS, concurrency=2, connecting=toys(made))  # type: ignore[arg-type]
    async for _ in stream:
        break
    await stream.aclose()  # type: ignore[attr-defined]
    assert len(made) < 10
    assert all(toy.closed for toy in made)
