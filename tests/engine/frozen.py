"""Waiting for what another process does, freezing it, and making its silence long without waiting for it."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import update

from wardkeep.core.errors import Unavailable
from wardkeep.engine.queue_file import QUEUE_FILE
from wardkeep.store import Store
from wardkeep.store.schema import workers

PATIENCE = 120.0  # seconds; only a defect takes that long, whatever else the machine does
LEASE = 60.0  # seconds; no living worker of a test is ever silent for that long
PATROL = (
    0.3  # seconds between looks for dead workers: as with a short lease, but nobody loses it by being slow
)


def until(claim: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until `claim()` is true. Fails after `seconds`."""
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end, f"not within {seconds:.0f} s"
        time.sleep(0.05)


def stop(pid: int) -> None:
    """SIGSTOP, and wait until every thread stands still: one within a call of the kernel may still take a lock on its way."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: all(_state(task) == "T" for task in Path(f"/proc/{pid}/task").iterdir()))


def _state(task: Path) -> str:
    return (task / "stat").read_text().rpartition(")")[2].split()[0]


def freeze(pid: int, folder: Path) -> None:
    """Stop the process outside of any write: one stopped within a write of SQLite is ended instead (test_frozen_locks)."""
    for _ in range(100):
        stop(pid)
        if not any(_is_locked(file) for file in (folder / "state.db", folder / QUEUE_FILE)):
            return
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.07)
    raise AssertionError("the worker was within a write each time")


def _is_locked(file: Path) -> bool:
    """Whether somebody holds the write lock of this SQLite file for longer than a living writer would."""
    if not file.exists():  # the state is in PostgreSQL
        return False
    with contextlib.closing(sqlite3.connect(file, timeout=2)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        connection.rollback()
    return False


def silence(store: Store, worker: str = "") -> None:
    """As if the worker (all of them, with none named) had last beaten longer ago than its lease.

    One frozen within a transaction keeps its row locked, on PostgreSQL until the server ends its session: tried until then.
    """
    row = workers.c.id == worker if worker else workers.c.ended.is_(None)

    def set_back() -> bool:
        with contextlib.suppress(Unavailable), store.begin() as connection:
            aged = workers.c.beat - workers.c.lease - 1000
            return bool(connection.execute(update(workers).where(row).values(beat=aged)).rowcount)
        return False

    until(set_back)
