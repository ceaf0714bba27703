"""Work outlives its process: killed, frozen and woken workers, on SQLite and on PostgreSQL, with real processes."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text, update
from tests.engine.frozen import LEASE, PATIENCE, PATROL, freeze, silence, until

from wardkeep.core.errors import Unavailable, WardkeepError
from wardkeep.engine.durable import Durable, Json, Run
from wardkeep.engine.leases import Worker, known_workers
from wardkeep.engine.queue_file import QUEUE_FILE
from wardkeep.store import Store, open_store
from wardkeep.store.schema import workers


class Process:
    """A worker process; its id once it has joined."""

    def __init__(self, url: str, folder: Path, *start: str) -> None:
        script = Path(__file__).with_name("worker_process.py")
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
        self.process = subprocess.Popen(
            [sys.executable, str(script), url, str(folder), str(LEASE), str(PATROL), *start],
            stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        assert self.process.stdout
        self.id = self.process.stdout.readline().strip()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


@pytest.fixture
def begin(store_url: str, tmp_path: Path) -> Iterator[object]:
    """`begin("start", "t1", "5")` begins a worker process; all are ended after the test."""
    open_store(store_url).close()
    begun: list[Process] = []

    def one(*start: str) -> Process:
        begun.append(Process(store_url, tmp_path, *start))
        return begun[-1]

    yield one
    for process in begun:
        process.end()


def acts(folder: Path) -> list[list[str]]:
    file = folder / "acts"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def allow(folder: Path, *numbers: int) -> None:
    """Let the workers do these acts; before that they wait at the door."""
    for number in numbers:
        (folder / f"go-{number}").touch()


def test_a_killed_workers_work_is_adopted_by_a_living_one(begin, store_url: str, tmp_path: Path) -> None:
    allow(tmp_path, 0, 1)
    second = begin()
    first = begin("start", "t1", "4")
    until(lambda: len(acts(tmp_path)) == 2)
    first.end()
    allow(tmp_path, 2, 3)
    until(lambda: acts(tmp_path)[-1][0] == "3")
    numbers = [int(number) for number, _, _ in acts(tmp_path)]
    assert sorted(set(numbers)) == [0, 1, 2, 3]
    assert len(numbers) <= 5  # only the step in flight may run twice
    assert acts(tmp_path)[-1][1] == second.id
    tokens = [int(token) for _, _, token in acts(tmp_path)]
    assert tokens == sorted(tokens)


def test_a_frozen_worker_that_wakes_up_cannot_act(begin, store_url: str, tmp_path: Path) -> None:
    allow(tmp_path, 0)
    second = begin()
    first = begin("start", "t1", "4")
    until((tmp_path / "at-1").exists)  # the first act is done and recorded
    freeze(first.process.pid, tmp_path)
    with contextlib.closing(open_store(store_url)) as store:
        silence(store, first.id)
    allow(tmp_path, 1, 2, 3)
    until(lambda: acts(tmp_path)[-1][0] == "3")
    first.signal(signal.SIGCONT)
    assert first.process.stdout
    assert first.process.stdout.readline() == "lost\n"
    assert [(int(number), worker) for number, worker, _ in acts(tmp_path)] == [
        (0, first.id), (1, second.id), (2, second.id), (3, second.id),
    ]  # fmt: skip


def test_two_workers_share_the_queue_and_each_work_is_done_once(
    begin, store_url: str, tmp_path: Path
) -> None:
    allow(tmp_path, 0, 1, 2)
    begin()
    begin("enqueue", "q1", "3")
    until(lambda: len(acts(tmp_path)) == 3)
    assert [int(number) for number, _, _ in acts(tmp_path)] == [0, 1, 2]


def test_the_next_start_takes_up_what_a_killed_process_left(begin, store_url: str, tmp_path: Path) -> None:
    allow(tmp_path, 0)
    first = begin("start", "t1", "3")
    until(lambda: len(acts(tmp_path)) == 1)
    first.end()
    allow(tmp_path, 1, 2)
    second = begin()
    until(lambda: acts(tmp_path)[-1][0] == "2")
    assert acts(tmp_path)[-1][1] == second.id


@pytest.fixture
def durable(store: Store, tmp_path: Path) -> Durable:
    return Durable(store, tmp_path, lease=LEASE, patrol=PATROL)


def test_a_started_work_is_done_once_and_its_result_kept(durable: Durable) -> None:
    done: list[int] = []

    def count(run: Run, to: int) -> Json:
        return [run.step(f"n{n}", lambda n=n: done.append(n) or n) for n in range(to)]

    durable.workflow("count", count)
    with durable:
        durable.start("count", "c", 3)
        assert durable.wait("c", PATIENCE) == [0, 1, 2]
        durable.start("count", "c", 3)
        assert durable.wait("c", PATIENCE) == [0, 1, 2]
        assert durable.look("nothing") is None
        assert durable.unfinished() == []
    assert done == [0, 1, 2]
    assert known_workers(durable.store) == []


def test_a_failed_work_says_why_in_one_line(durable: Durable) -> None:
    def fail(run: Run) -> Json:
        raise WardkeepError("the disk is full", where="app-1", todo="Free some space.")

    durable.workflow("fail", fail)
    with durable:
        durable.start("fail", "f")
        with pytest.raises(WardkeepError, match=r"app-1: the disk is full\. Free some space"):
            durable.wait("f", PATIENCE)


def test_only_one_is_open_in_a_process(durable: Durable, store: Store, tmp_path: Path) -> None:
    with durable, pytest.raises(Unavailable, match="already open"):
        Durable(store, tmp_path).open()


def test_nothing_is_pickled_and_a_pickled_row_is_never_read(
    durable: Durable, store: Store, tmp_path: Path
) -> None:
    durable.workflow("echo", lambda run, value: run.step("say", lambda: value))
    with durable:
        durable.start("echo", "e", {"a": [1, "b", None, True]})
        assert durable.wait("e", PATIENCE) == {"a": [1, "b", None, True]}
        if store.is_sqlite:
            with contextlib.closing(sqlite3.connect(tmp_path / QUEUE_FILE)) as raw, raw:
                formats = {row[0] for row in raw.execute("SELECT serialization FROM workflow_status")}
        else:
            with store.read() as connection:
                formats = set(
                    connection.execute(text("SELECT serialization FROM dbos.workflow_status")).scalars()
                )
        assert formats == {"portable_json"}
        from dbos import _serialization

        with pytest.raises(WardkeepError, match="pickled value is never read"):
            _serialization.deserialize_value("gASV", "py_pickle", _serialization.DBOSPortableJSON)


def test_nothing_is_written_to_the_terminal(
    durable: Durable, capfd: pytest.CaptureFixture[str], caplog
) -> None:
    caplog.set_level(logging.DEBUG)
    durable.workflow("echo", lambda run: run.step("say", lambda: 1))
    with durable:
        durable.start("echo", "e")
        durable.wait("e", PATIENCE)
    out = capfd.readouterr()
    assert out.out == ""
    assert out.err == ""
    assert "dbos.dev" not in caplog.text


def test_work_that_the_end_interrupts_is_no_error_in_the_log_and_another_fault_is(
    durable: Durable, caplog: pytest.LogCaptureFixture
) -> None:
    inside, go_on = threading.Event(), threading.Event()
    before = set(threading.enumerate())

    def slow(run: Run) -> Json:
        run.step("first", lambda: inside.set())
        go_on.wait(PATIENCE)
        return run.step("second", lambda: 2)

    durable.workflow("slow", slow)
    with durable:
        durable.start("slow", "s")
        assert inside.wait(PATIENCE)
    go_on.set()  # the engine is gone: what the work does now cannot be recorded, and is done again at the next start
    until(lambda: not set(threading.enumerate()) - before)
    assert "background workflow" not in caplog.text
    try:
        raise ValueError("another fault")
    except ValueError:
        logging.getLogger("dbos").exception("Exception encountered in background workflow:")
    assert "background workflow" in caplog.text


def test_a_service_that_was_declared_dead_begins_again_as_a_new_worker(store: Store, tmp_path: Path) -> None:
    durable = Durable(store, tmp_path, lease=LEASE, patrol=PATROL, rejoins=True)
    durable.workflow("echo", lambda run: run.step("say", lambda: 1))
    other = Worker(store, lease=60)
    other.join()
    with durable:
        before = durable.worker
        with store.begin() as connection:
            connection.execute(
                update(workers)
                .where(workers.c.id == before.id)
                .values(ended=datetime.now(UTC), ended_by=other.id)
            )
        until(lambda: durable.worker.id != before.id)
        assert before.lost.is_set()
        with durable._changing:  # until it has begun again as a whole
            pass
        durable.start("echo", "e")
        assert durable.wait("e", PATIENCE) == 1
    other.leave()


def test_a_command_declared_dead_while_it_closes_ends_the_engine_beneath_once_at_a_time(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dbos import DBOS

    ending: list[str] = []
    together: list[int] = []
    real = DBOS.destroy

    def slow(**options: object) -> None:
        ending.append("one")
        together.append(len(ending))
        time.sleep(0.3)
        real(**options)  # type: ignore[arg-type]
        ending.pop()

    monkeypatch.setattr(DBOS, "destroy", slow)
    durable = Durable(store, tmp_path)
    durable.open()
    durable._abandon()
    durable.close()
    until(lambda: len(together) == 2)
    assert together == [1, 1]


def test_what_ended_long_ago_is_forgotten(durable: Durable) -> None:
    durable.workflow("echo", lambda run: run.step("say", lambda: 1))
    with durable:
        durable.start("echo", "e")
        durable.wait("e", PATIENCE)
        assert durable.prune(datetime.now(UTC) - timedelta(days=1)) == 0
        assert durable.look("e")
        assert durable.prune(datetime.now(UTC) + timedelta(seconds=5)) == 1
        assert durable.look("e") is None
