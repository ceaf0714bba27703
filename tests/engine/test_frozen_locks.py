"""A worker stopped within a write: ended for what it has locked, and only then, and only that one."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select, update
from tests.engine.frozen import LEASE, PATROL, stop, until

from wardkeep.engine.durable import Durable
from wardkeep.engine.frozen_locks import Ended, end_frozen, lock_files
from wardkeep.engine.leases import Worker, born, known_workers
from wardkeep.engine.platform import Platform
from wardkeep.engine.queue_file import QUEUE_FILE
from wardkeep.engine.workers import register_all
from wardkeep.ledger.disk import locked
from wardkeep.store import Store
from wardkeep.store.schema import workers

SHORT = 0.5  # seconds: it is over as soon as anybody looks
pytestmark = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


class Writer:
    def __init__(self, url: str, folder: Path, what: str, lease: float) -> None:
        script = Path(__file__).with_name("frozen_writer.py")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self.process = subprocess.Popen(
            [sys.executable, str(script), url, str(folder), str(lease), what],
            stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        assert self.process.stdout
        self.id = self.process.stdout.readline().strip()

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> None:
        stop(self.pid)

    @property
    def lives(self) -> bool:
        return self.process.poll() is None


@pytest.fixture
def write(store_url: str, tmp_path: Path) -> Iterator[Callable[..., Writer]]:
    """`write("state", lease)`: a worker within a write of that; all are ended after the test."""
    (tmp_path / "ledger").mkdir(exist_ok=True)
    with closing(sqlite3.connect(tmp_path / QUEUE_FILE)) as durable:
        durable.execute("PRAGMA journal_mode=WAL")
    begun: list[Writer] = []

    def one(what: str, lease: float = SHORT) -> Writer:
        begun.append(Writer(store_url, tmp_path, what, lease))
        return begun[-1]

    yield one
    for writer in begun:
        writer.process.kill()
        writer.process.communicate()


@pytest.fixture
def files(store: Store, tmp_path: Path) -> list[Path]:
    return lock_files(store, tmp_path / QUEUE_FILE, ledger=tmp_path / "ledger")


@pytest.mark.parametrize(
    ("what", "file"), [("state", "state.db-shm"), ("durable", f"{QUEUE_FILE}-shm"), ("ledger", "lock")]
)
def test_a_stopped_silent_worker_that_holds_a_lock_is_ended(
    write: Callable[..., Writer], store: Store, files: list[Path], tmp_path: Path, what: str, file: str
) -> None:
    writer = write(what)
    until(lambda: known_workers(store)[0].dead or what != "state")  # within its write it cannot beat
    assert end_frozen(store, files) == []  # it is silent, and not stopped
    assert writer.lives
    writer.stop()
    until(lambda: (ended := end_frozen(store, files)) and ended == [Ended(writer.id, writer.pid, file)])
    assert writer.process.wait() == -signal.SIGKILL
    assert end_frozen(store, files) == []
    with store.begin() as connection:  # everybody can write again, and nothing is half written
        assert connection.execute(select(workers.c.role)).scalar_one() == "test"
    with locked(tmp_path / "ledger" / "lock", wait=0), closing(sqlite3.connect(tmp_path / QUEUE_FILE)) as raw:
        raw.execute("BEGIN IMMEDIATE")


def test_within_its_lease_a_stopped_worker_is_left_alone(
    write: Callable[..., Writer], store: Store, files: list[Path]
) -> None:
    writer = write("ledger", lease=3600)
    writer.stop()
    assert end_frozen(store, files) == []
    assert writer.lives


def test_a_number_that_was_given_to_another_process_is_left_alone(
    write: Callable[..., Writer], store: Store, files: list[Path]
) -> None:
    writer = write("ledger")
    writer.stop()
    with store.begin() as connection:
        connection.execute(update(workers).values(born="1", beat=0))
    assert end_frozen(store, files) == []
    assert writer.lives


def test_a_worker_of_another_machine_is_left_alone(
    write: Callable[..., Writer], store: Store, files: list[Path]
) -> None:
    writer = write("ledger")
    writer.stop()
    with store.begin() as connection:
        connection.execute(update(workers).values(machine=workers.c.machine + "elsewhere", beat=0))
    assert end_frozen(store, files) == []
    assert writer.lives


def test_a_stopped_worker_that_holds_nothing_is_left_alone(
    write: Callable[..., Writer], store: Store, files: list[Path]
) -> None:
    writer = write("ledger")
    writer.stop()
    with store.begin() as connection:
        connection.execute(update(workers).values(beat=0))
    assert end_frozen(store, [path for path in files if path.name != "lock"]) == []
    assert writer.lives


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can begin a process of another user")
def test_a_process_of_another_user_is_left_alone(store: Store, files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "lock").touch()
    worker = Worker(store, lease=LEASE)
    worker.join()
    table = tmp_path / "locks"
    for user, ended in ((65534, 0), (0, 1)):
        with subprocess.Popen(["sleep", "600"], user=user, cwd="/") as other:
            stop(other.pid)
            with store.begin() as connection:
                connection.execute(
                    update(workers).values(pid=other.pid, born=born(other.pid), ended=datetime.now(UTC))
                )
            inode = (tmp_path / "ledger" / "lock").stat().st_ino
            table.write_text(f"1: FLOCK  ADVISORY  WRITE {other.pid} fe:00:{inode} 0 EOF\n")
            assert len(end_frozen(store, files, table)) == ended
            other.kill()
    worker.leave()


def test_who_only_waits_for_the_lock_holds_nothing(
    write: Callable[..., Writer], store: Store, files: list[Path], tmp_path: Path
) -> None:
    writer = write("ledger")
    writer.stop()
    with store.begin() as connection:
        connection.execute(update(workers).values(beat=0))
    inode, table = (tmp_path / "ledger" / "lock").stat().st_ino, tmp_path / "locks"
    told = f"1: -> FLOCK  ADVISORY  WRITE {writer.pid} fe:00:{inode} 0 EOF\n"
    table.write_text(told + "cut sho")
    assert end_frozen(store, files, table) == []
    table.write_text(told.replace("-> ", "").replace("WRITE", "READ"))
    assert end_frozen(store, files, table) == []
    assert writer.lives
    table.write_text(told.replace("-> ", ""))
    assert [ended.pid for ended in end_frozen(store, files, table)] == [writer.pid]


def test_a_service_frees_what_a_frozen_worker_holds_takes_over_and_says_so(
    write: Callable[..., Writer], platform: Platform, store_url: str, tmp_path: Path
) -> None:
    """The whole way: nobody can write, one is ended, the work goes on, the ledger has it."""
    durable = Durable(platform.store, platform.folder, role="server", lease=LEASE, patrol=PATROL)
    register_all(platform, durable)
    with durable:
        writer = write("state")
        writer.stop()
        until(lambda: not writer.lives)
        until(
            lambda: any(entry["body"].get("act") == "frozen worker ended" for entry in platform.ledger.read())
        )
        until(lambda: [known.id for known in known_workers(platform.store)] == [durable.worker.id])
    (entry,) = [e for e in platform.ledger.read() if e["body"].get("act") == "frozen worker ended"]
    assert entry["body"] == {
        "act": "frozen worker ended", "worker": writer.id, "pid": writer.pid, "held": "state.db-shm",
    }  # fmt: skip
    with platform.store.read() as connection:
        ended_by = select(workers.c.ended_by).where(workers.c.id == writer.id)
        assert connection.execute(ended_by).scalar_one() == durable.worker.id


def test_a_workers_own_process_is_never_a_holder_to_end(
    store: Store, files: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "ledger").mkdir(exist_ok=True)
    worker = Worker(store, lease=LEASE)
    worker.join()
    with locked(tmp_path / "ledger" / "lock"):
        assert end_frozen(store, files) == []
    worker.leave()
