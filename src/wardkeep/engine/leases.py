"""Who is working, and who may change a thing: a registry of workers with heartbeats, and fences with growing tokens.

A worker beats; one that misses its lease is declared dead by another and never comes back under its old name. Whoever
changes something takes its fence first and gets a token higher than any before. Just before every act the fence is
checked in the database, and the host itself refuses a token lower than one it has seen: so a process that was frozen
in between cannot act when it wakes, however late.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select, text, update

from wardkeep.core.errors import Refused, Unavailable
from wardkeep.store import Store
from wardkeep.store.schema import fences, workers

LEASE = 15.0  # seconds without a beat after which a worker may be declared dead
BEATS = 3  # beats in a lease


class Fenced(BaseException):
    """This worker has lost the right to act: another one has taken its work over.

    No `Exception`: the durable engine records exceptions as the end of a workflow, and this is not its end. It must
    pass through everything and leave the work to the one that holds it now.
    """


@dataclass(frozen=True, slots=True)
class Fence:
    """The right to change `resource`, for one piece of work. `token` grows with every taking."""

    resource: str
    token: int
    work: str


@dataclass(frozen=True, slots=True)
class Known:
    """A worker of the registry as another one sees it."""

    id: str
    role: str
    machine: str
    pid: int
    silent: float  # seconds since its last beat
    dead: bool


def shared_clock(connection: Connection) -> int:
    """Milliseconds on a clock all workers share: PostgreSQL's own, or on one machine the time since boot.

    Neither follows a worker's wall clock, so setting one back cannot keep a dead worker alive. A PostgreSQL server
    whose own clock is set back delays adoption by that much.
    """
    if connection.dialect.name == "postgresql":
        asked = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
        return int(connection.execute(asked).scalar_one())
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def born(pid: int) -> str:
    """When a process of this machine started, in clock ticks since boot; "" if there is none."""
    with suppress(OSError, IndexError):
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if state == "Z" else rest[18]
    return ""


def machine() -> str:
    """This boot of this machine and its process numbering: pids compare only within one of these."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{os.readlink('/proc/self/ns/pid')}"


@dataclass
class Worker:
    """This process in the registry. `join` starts the beating, `leave` ends it; `lost` is set when declared dead."""

    store: Store
    role: str = "command"
    lease: float = LEASE
    on_lost: Callable[[], None] = lambda: None
    id: str = field(default_factory=lambda: f"w-{uuid.uuid4().hex[:16]}")
    lost: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _left: bool = False

    def join(self) -> None:
        """Enter the registry and beat in the background until `leave`."""
        with self.store.begin() as connection:
            connection.execute(
                insert(workers).values(
                    id=self.id,
                    role=self.role,
                    machine=machine(),
                    pid=os.getpid(),
                    born=born(os.getpid()),
                    started=_now(),
                    beat=shared_clock(connection),
                    lease=round(self.lease * 1000),
                    ended_by="",
                )
            )
        self._thread = threading.Thread(target=self._beat, name="wardkeep-beat", daemon=True)
        self._thread.start()

    def leave(self) -> None:
        """Stop beating and say so: what is unfinished may be taken over at once."""
        self._left = True
        self._stop.set()
        if self._thread:
            self._thread.join(5)
        with suppress(Unavailable), self.store.begin() as connection:
            connection.execute(
                update(workers)
                .where(workers.c.id == self.id, workers.c.ended.is_(None))
                .values(ended=_now(), ended_by=self.id)
            )

    def take(self, resource: str, work: str, is_over: Callable[[str], bool] = lambda work: False) -> Fence:
        """The right to change `resource` for `work`, with a new token; a taking for the same work takes it over.

        `is_over` is asked about the work that holds it: what ended (or was lost with an old state) holds nothing.

        Raises Refused while other work holds it (finished or not: unfinished work must be ended first), Fenced if
        this worker has been declared dead.
        """
        with self.store.begin() as connection:
            self.store.lock(connection, f"fence {resource}")
            self._alive(connection)
            row = connection.execute(select(fences).where(fences.c.resource == resource)).one_or_none()
            if row is not None and row.work not in ("", work) and not is_over(row.work):
                raise Refused(
                    f"another change is under way ({row.work}, since {row.since:%Y-%m-%d %H:%M:%S} UTC)",
                    where=resource,
                    todo="Wait for it to end; an interrupted one is taken up again within 30 s while Wardkeep runs.",
                )
            # Seconds of the clock as a lower bound: a state restored from an old copy still gives higher tokens.
            token = max((row.token if row else 0) + 1, int(_now().timestamp()))
            values = {"token": token, "worker": self.id, "work": work, "since": _now()}
            if row is None:
                connection.execute(insert(fences).values(resource=resource, **values))
            else:
                connection.execute(update(fences).where(fences.c.resource == resource).values(**values))
        return Fence(resource, token, work)

    def check(self, fence: Fence) -> None:
        """Return only if this worker still holds the fence now; just before every act. Raises Fenced, Unavailable."""
        with self.store.begin() as connection:
            self._alive(connection)
            held = connection.execute(
                select(fences.c.worker).where(
                    fences.c.resource == fence.resource,
                    fences.c.token == fence.token,
                    fences.c.work == fence.work,
                )
            ).scalar_one_or_none()
        if held != self.id:
            raise Fenced(f"{fence.resource} was taken over by another worker")

    def release(self, fence: Fence) -> None:
        """Give the fence back. Without effect if it has been taken over."""
        with self.store.begin() as connection:
            connection.execute(
                update(fences)
                .where(fences.c.resource == fence.resource, fences.c.token == fence.token)
                .values(work="")
            )

    def declare_dead(self) -> list[str]:
        """Mark every worker whose lease has run out, or whose process is gone from this machine. Returns their ids."""
        with self.store.begin() as connection:
            self._alive(connection)
            dead = [known.id for known in _look(connection) if known.dead and known.id != self.id]
            marked = []
            for name in dead:
                done = connection.execute(
                    update(workers)
                    .where(workers.c.id == name, workers.c.ended.is_(None))
                    .values(ended=_now(), ended_by=self.id)
                )
                marked += [name] if done.rowcount else []
        return marked

    def _alive(self, connection: Connection) -> None:
        """Beat within this transaction; a worker declared dead, or past its lease while declared, is Fenced."""
        beaten = connection.execute(
            update(workers)
            .where(workers.c.id == self.id, workers.c.ended.is_(None))
            .values(beat=shared_clock(connection))
        )
        if not beaten.rowcount:
            if self._left:
                raise Fenced("this worker has left")
            self._lose()
            raise Fenced("this worker was declared dead: it had stopped beating")

    def _lose(self) -> None:
        self._stop.set()
        if not self.lost.is_set():
            self.lost.set()
            self.on_lost()

    def _beat(self) -> None:
        while not self._stop.wait(self.lease / BEATS):
            # A database that cannot be reached now may be back at the next beat; the lease decides.
            with suppress(Unavailable):
                try:
                    with self.store.begin() as connection:
                        self._alive(connection)
                except Fenced:
                    return


def known_workers(store: Store) -> list[Known]:
    """Every worker that has neither left nor been declared dead, with what this machine can tell of it."""
    with store.read() as connection:
        return _look(connection)


def forget_workers(store: Store, before: datetime) -> None:
    """Drop the workers that ended before then from the registry."""
    with store.begin() as connection:
        connection.execute(delete(workers).where(workers.c.ended < before))


def _look(connection: Connection) -> list[Known]:
    now, here = shared_clock(connection), machine()
    boot = here.partition("/")[0]
    found = []
    for row in connection.execute(select(workers).where(workers.c.ended.is_(None))):
        silent = max(0, now - row.beat)
        dead = silent > row.lease
        if row.machine == here:
            dead = dead or born(row.pid) != row.born
        elif connection.dialect.name == "sqlite":
            # One machine: another boot is over, and its times since boot mean nothing now.
            dead = dead or row.machine.partition("/")[0] != boot
        found.append(Known(row.id, row.role, row.machine, row.pid, silent / 1000, dead))
    return found


def _now() -> datetime:
    return datetime.now(UTC)
