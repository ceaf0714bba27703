"""A worker that was stopped within a write keeps what it has locked, and nobody else can write. It is ended, and recorded.

SQLite's lock and the ledger's are the kernel's: nothing gives them back but the process itself, or its end (PostgreSQL
ends such a session after 20 s). Only a process is ended that the kernel's own table names as the holder, that is a worker of
this state on this machine by number and birth, that has been silent for longer than its lease, that is stopped
(state T) right now, and that belongs to our own user. Such a worker may be declared dead anyway and would be refused whatever
it did on waking; this only takes from it what it holds.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from wardkeep.engine.leases import born, machine, shared_clock
from wardkeep.store import Store
from wardkeep.store.schema import workers

# The byte of the -shm file that a writer locks in WAL mode (https://sqlite.org/walformat.html, "WAL Locks": the first of
# eight after the 120 bytes of the header's two copies and the checkpoint's).
WRITE_BYTE = 120


@dataclass(frozen=True, slots=True)
class Ended:
    """A worker that was ended, and the file whose lock it held."""

    worker: str
    pid: int
    file: str


def lock_files(store: Store, *databases: Path, ledger: Path) -> list[Path]:
    """The files whose locks stop everybody: of the SQLite databases (the state's own too), and the ledger's."""
    state = [Path(store.engine.url.database or "")] if store.is_sqlite else []
    return [*(path.with_name(path.name + "-shm") for path in (*state, *databases)), ledger / "lock"]


def end_frozen(store: Store, files: Iterable[Path], table: Path = Path("/proc/locks")) -> list[Ended]:
    """End every stopped, silent worker of this machine that holds the write lock of one of the files. Returns whom."""
    held = [(path, pid) for path in files for pid in _holders(table, path)]
    if not held:
        return []
    silent = {row.pid: row for row in _silent(store)}
    return [
        Ended(silent[pid].id, pid, path.name)
        for path, pid in held
        if pid in silent and _end(pid, silent[pid].born)
    ]


def _holders(table: Path, path: Path) -> Iterator[int]:
    """Who holds the file's write lock, by the kernel's table: `1: POSIX  ADVISORY  WRITE 4711 fe:00:1234 120 120`."""
    with suppress(OSError, ValueError):
        inode = str(path.stat().st_ino)
        for line in table.read_text().splitlines():
            words = line.split()
            if len(words) != 8 or words[1] not in (
                "POSIX",
                "FLOCK",
            ):  # one that only waits has an arrow before that
                continue
            _, kind, _, mode, pid, file, first, last = words
            # By the inode alone: some file systems tell another device here than `stat` does. A worker's number must agree too.
            if mode != "WRITE" or file.rpartition(":")[2] != inode:
                continue
            if kind == "FLOCK" or int(first) <= WRITE_BYTE <= (WRITE_BYTE if last == "EOF" else int(last)):
                yield int(pid)


def _silent(store: Store) -> list[Any]:
    """The workers of this machine, and of this numbering of processes, whose lease has run out or who were declared dead."""
    w = workers.c
    with store.read() as connection:
        now = shared_clock(connection)
        rows = connection.execute(
            select(w.id, w.pid, w.born, w.beat, w.lease, w.ended).where(w.machine == machine())
        )
        return [row for row in rows if row.ended is not None or now - row.beat > row.lease]


def _end(pid: int, birth: str) -> bool:
    with suppress(OSError):
        # Opened first and looked at afterwards: what gets the signal is what was looked at, though the number be reused.
        process = os.pidfd_open(pid)
        try:
            proc = Path(f"/proc/{pid}")
            stopped = (proc / "stat").read_text().rpartition(")")[2].split()[0] == "T"
            if stopped and born(pid) == birth and proc.stat().st_uid == os.geteuid():
                signal.pidfd_send_signal(process, signal.SIGKILL)
                return True
        finally:
            os.close(process)
    return False
