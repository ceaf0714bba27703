"""What every connector keeps, whichever way it reaches its host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.fleet.sshd import Sshd

from wardkeep.core.facts import Question
from wardkeep.fleet import session
from wardkeep.fleet.connect import connect
from wardkeep.fleet.connector import Connector
from wardkeep.fleet.inventory import Host
from wardkeep.fleet.local import LocalConnector
from wardkeep.fleet.record import record

QUESTIONS = [
    Question("out", "echo here; echo there >&2; exit 4"),
    Question("bytes", r"printf '\000\200\377'"),
    Question("big", "head -c 1000000 /dev/zero"),
    Question("flood", "yes", limit=100_000),
    Question("hang", "sleep 60", timeout=1),
    Question("root", "id -u"),
    Question("open", "echo $LC_ALL", root=False),
]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(asyncio.run(LocalConnector("box").ask(QUESTIONS)), tmp_path_factory.mktemp("hosts") / "box")


@pytest.fixture(params=["local", "ssh", "recorded"])
async def connector(request: pytest.FixtureRequest, sshd: Sshd, recorded: Path) -> AsyncIterator[Connector]:
    if request.param == "local":
        made = connect(Host("box", "local:"))
    elif request.param == "ssh":
        made = connect(sshd.host())
    else:
        made = connect(Host("box", f"recorded:{recorded}"))
    yield made
    await made.close()


async def test_every_question_is_answered_as_it_was_asked(connector: Connector) -> None:
    snapshot = await connector.ask(QUESTIONS)
    assert (snapshot.subject, snapshot.problem) == ("box", "")
    assert list(snapshot.answers) == [q.id for q in QUESTIONS]
    got = snapshot.answers
    assert (got["out"].exit, got["out"].stdout, got["out"].stderr) == (4, b"here\n", b"there\n")
    assert got["bytes"].stdout == b"\0\200\377"
    assert got["big"].stdout == bytes(1_000_000)
    assert got["root"].stdout == b"0\n"
    assert got["open"].stdout == b"C\n"
    assert {name: answer.problem for name, answer in got.items() if not answer.whole} == {
        "flood": "longer than its limit of 100000 bytes",
        "hang": "did not end within 1 s",
    }
    assert snapshot.run["uid"] == "0"
    assert snapshot.at.utcoffset() is not None


async def test_it_can_be_asked_again_and_closed_twice(connector: Connector) -> None:
    for _ in range(2):
        snapshot = await connector.ask(QUESTIONS[:2])
        assert [answer.whole for answer in snapshot.answers.values()] == [True, True]
    await connector.close()
    await connector.close()


async def test_nothing_asked_is_no_problem(connector: Connector) -> None:
    snapshot = await connector.ask([])
    assert (snapshot.problem, dict(snapshot.answers)) == ("", {})


async def test_a_change_is_carried_out_as_root_or_is_not_whole(connector: Connector) -> None:
    answer = await connector.run("cat; id -u; exit 3", stdin=b"given\n")
    if answer.whole:
        assert (answer.exit, answer.stdout) == (3, b"given\n0\n")
    else:
        assert answer.problem == "a recorded host cannot be changed"
    assert isinstance(connector, Connector)


@pytest.mark.parametrize(
    ("there", "beginning", "says"),
    [
        ("while sleep 0.1; do echo noise; done", 1, "the collector did not start there within 1 s"),
        # What runs there says that it began, and then only nonsense.
        (
            "sed -n 's/^N=/begun /p;$q'; while sleep 0.1; do echo noise; done", 60,
            "only 0 of 1 questions were answered and then nothing for 2 s",
        ),
    ],
)  # fmt: skip
async def test_who_says_nothing_that_counts_is_cut_long_before_all_questions_could_be_over(
    monkeypatch: pytest.MonkeyPatch, there: str, beginning: float, says: str
) -> None:
    monkeypatch.setattr(session, "BEGINNING", beginning)
    monkeypatch.setattr(session, "SILENCE", 1)
    question = Question("a", "echo a", timeout=1)
    snapshot = await LocalConnector("odd", shell=("/bin/sh", "-c", there), deadline=600).ask([question])
    assert says in snapshot.problem
    assert not snapshot.answers["a"].whole
