"""Workflows that outlive their process: DBOS Transact behind a small interface of our own.

A workflow is a function of a `Run` and JSON values. Each of its steps is recorded when done and not repeated; the one
in flight when the process died runs again, so steps look before they act. What of DBOS must not reach us stays
here and in `quiet_dbos`: pickle, its console output, its cloud, its environment variables, its process-wide state.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

from wardkeep.core.errors import Unavailable, WardkeepError
from wardkeep.engine.frozen_locks import Ended, end_frozen, lock_files
from wardkeep.engine.leases import LEASE, Fence, Fenced, Worker, forget_workers, known_workers
from wardkeep.engine.queue_file import QUEUE_FILE, begin_queue
from wardkeep.engine.quiet_dbos import expect_ending, quiet_dbos
from wardkeep.store import Store

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"
Workflow: TypeAlias = "Callable[..., Json]"
# Workflows are recovered only by the version that began them. Ours stay readable across releases: steps are only ever
# added with new names, so one version is pinned and an update takes up what the old program left.
VERSION = "1"
QUEUE = "wardkeep"
KEEP = timedelta(days=30)  # how long ended workflows are kept; what they did is in the ledger
_PENDING = ("PENDING", "ENQUEUED", "DELAYED")
_one = threading.Lock()  # the engine beneath is one per process
_log = logging.getLogger("wardkeep.durable")


@dataclass(frozen=True)
class State:
    """Where a workflow stands: `waiting`, `running`, `done` (with its result) or `failed` (with why)."""

    id: str
    name: str
    state: str
    worker: str = ""
    result: Json = None
    why: str = ""


@dataclass
class Run:
    """One execution of a workflow, given to its function."""

    id: str
    worker: Worker

    def step(self, name: str, act: Callable[[], Json]) -> Json:
        """Do `act` once: its result is recorded, and an execution that comes later gets it without doing it again.

        If the process dies inside, the act runs again. Exceptions are not recorded as a result: raise only what ends
        the workflow.
        """
        from dbos import DBOS

        recorded: Json = DBOS.run_step({"name": name}, act)
        return recorded

    @contextmanager
    def hold(self, resource: str) -> Iterator[Fence]:
        """Hold the fence of a resource for this workflow. Kept when the process dies or is fenced: the next execution takes over."""
        fence = self.worker.take(resource, self.id, _is_over)
        try:
            yield fence
        except Exception:
            self.worker.release(fence)
            raise
        else:
            self.worker.release(fence)


def _is_over(id: str) -> bool:
    """Whether no unfinished workflow has this id. Asked from a thread of its own: within a workflow DBOS would count the
    question as one of its steps, and an execution that need not ask would then read the wrong ones."""
    from dbos import DBOS

    found: list[str] = []

    def ask() -> None:
        try:
            found.extend(str(row.status) for row in DBOS.list_workflows(workflow_ids=[id], load_input=False))
        except Exception:  # noqa: BLE001  (not known: then it is not over)
            found.append("PENDING")

    asking = threading.Thread(target=ask)
    asking.start()
    asking.join()
    return not any(status in _PENDING for status in found)


@dataclass
class Durable:
    """The workflows of this process. Register them, `open`, start some, `close`. One at a time in a process.

    While open it is a worker: every few seconds it declares dead those who stopped beating and takes up their work.
    """

    store: Store
    folder: Path
    role: str = "command"
    lease: float = LEASE
    patrol: float | None = None  # seconds between two looks for dead workers; None: a third of the lease
    takes_queued: bool = True  # False: carry out what is started here and what is taken up, no more
    tell: Callable[[Ended], None] = lambda ended: None  # of each frozen worker that was ended
    rejoins: bool = False  # True for a service: declared dead, it begins again as a new worker
    _made: dict[str, Workflow] = field(default_factory=dict)
    _worker: Worker | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _held: bool = False
    _untold: list[Ended] = field(default_factory=list)
    _registered: dict[str, Workflow] = field(default_factory=dict)
    # One at a time begins or ends the engine beneath: a command declared dead ends it while its own thread closes it.
    _changing: threading.Lock = field(default_factory=threading.Lock)

    @property
    def worker(self) -> Worker:
        if self._worker is None:
            raise RuntimeError("open the durable engine first")
        return self._worker

    def workflow(self, name: str, function: Workflow) -> None:
        """Register `function(run, *values)` under a name that stays the same for ever: unfinished work is found by it."""
        self._made[name] = function

    def open(self) -> None:
        """Join the workers and begin to carry out. Raises Unavailable when another one is open in this process."""
        if not _one.acquire(blocking=False):
            raise Unavailable("the durable engine is already open in this process")
        self._held = True
        try:
            with self._changing:
                self._begin()
        except BaseException:
            self.close()
            raise
        self._thread = threading.Thread(target=self._adopt_always, name="wardkeep-adopt", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop carrying out and leave the workers. What is unfinished is taken up by another, or at the next start."""
        self._stop.set()
        if self._thread:
            self._thread.join(10)
        with self._changing:
            self._end()
        if self._worker:
            self._worker.leave()
        if self._held:
            self._held = False
            _one.release()

    def _begin(self) -> None:
        """Join under a new name and begin to carry out."""
        dbos = quiet_dbos()
        self._worker = Worker(self.store, self.role, self.lease, on_lost=self._abandon)
        dbos(config=self._settings())
        self._registered = {
            name: dbos.workflow(name=name)(self._wrap(made)) for name, made in self._made.items()
        }
        self._worker.join()
        if not self.takes_queued:
            dbos.listen_queues([])  # the internal queue, by which work is taken up, is listened to always
        dbos.launch()
        dbos.register_queue(QUEUE, polling_interval_sec=0.5)

    def _end(self) -> None:
        from dbos import DBOS

        expect_ending()
        DBOS.destroy(destroy_registry=True)

    def __enter__(self) -> Durable:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, name: str, id: str, *values: Json) -> None:
        """Start a workflow in this process. Starting an id a second time starts nothing."""
        from dbos import DBOS, SetWorkflowID

        with SetWorkflowID(id):
            DBOS.start_workflow(self._registered[name], *values)

    def enqueue(self, name: str, id: str, *values: Json) -> None:
        """Leave a workflow for any worker that listens."""
        from dbos import DBOS, SetWorkflowID

        with SetWorkflowID(id):
            DBOS.enqueue_workflow(QUEUE, self._registered[name], *values)

    def look(self, id: str) -> State | None:
        """Where the workflow stands now, or None if there is none of this id."""
        from dbos import DBOS

        found = DBOS.list_workflows(workflow_ids=[id])
        return _state(found[0]) if found else None

    def unfinished(self) -> list[State]:
        """Every workflow that has not ended, wherever it runs."""
        from dbos import DBOS

        return [_state(row) for row in DBOS.list_workflows(status=list(_PENDING))]

    def wait(self, id: str, timeout: float, poll: float = 0.05) -> Json:
        """The result of a workflow, wherever it is carried out. Raises Unavailable when it takes longer, WardkeepError when it failed."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            if self.worker.lost.is_set() and not self.rejoins:
                raise Unavailable(
                    "this process was asleep for too long; another Wardkeep carries on its work",
                    where=id,
                    todo="Look at it with `wardkeep plan --list`.",
                )
            seen = self.look(id)
            if seen and seen.state == "done":
                return seen.result
            if seen and seen.state == "failed":
                raise WardkeepError(seen.why or "the work failed", where=id)
            time.sleep(poll)
        raise Unavailable(
            f"not finished after {timeout:.0f} s",
            where=id,
            todo="It goes on; look at it with `wardkeep status`.",
        )

    def adopt(self) -> list[str]:
        """Declare the silent workers dead and make their unfinished workflows run again. Returns the ids taken up.

        Safe to do twice and at the same time from several workers: a workflow is handed on only while it is still
        marked with its dead worker, and exactly one worker then takes it from the queue.
        """
        from dbos import DBOS

        self.worker.declare_dead()
        rows = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
        living = {known.id for known in known_workers(self.store)}
        orphaned = {str(row.executor_id): row.workflow_id for row in rows if row.executor_id not in living}
        if not orphaned:
            return []
        taken = DBOS._recover_pending_workflows(sorted(orphaned))
        ids = [handle.get_workflow_id() for handle in taken]
        _log.info("took up unfinished work of dead workers: %s", ", ".join(ids))
        return ids

    def prune(self, before: datetime) -> int:
        """Forget the workflows that ended before then (the ledger has what they did), and the workers. Returns how many."""
        from dbos import DBOS

        ended = DBOS.list_workflows(
            status=["SUCCESS", "ERROR"],
            completed_before=before.isoformat(),
            limit=1000,
            load_input=False,
            load_output=False,
        )
        DBOS.delete_workflows([row.workflow_id for row in ended])
        forget_workers(self.store, before)
        return len(ended)

    def _adopt_always(self) -> None:
        pruned = 0.0
        while not self._stop.is_set():
            self._free_locks()  # first: nothing can be declared or taken up while a frozen one keeps everybody out
            try:
                self.adopt()
                if not pruned or time.monotonic() - pruned > 3600:
                    self.prune(datetime.now(UTC) - KEEP)
                    pruned = time.monotonic()
            except Exception as e:  # noqa: BLE001  (the database is away, say: tried again at the next turn)
                _log.warning("could not look for unfinished work: %s", type(e).__name__)
            except Fenced:  # declared dead: it joins again under another name, or it stops
                if not self.rejoins:
                    return
            self._stop.wait(self.lease / 3 if self.patrol is None else self.patrol)

    def _free_locks(self) -> None:
        try:
            files = lock_files(self.store, self.folder / QUEUE_FILE, ledger=self.folder / "ledger")
            for ended in end_frozen(self.store, files):
                _log.error("ended the frozen worker %s: it held the lock of %s", ended.worker, ended.file)
                self._untold.append(ended)
            while self._untold:
                self.tell(self._untold[0])
                self._untold.pop(0)
        except Exception as e:  # noqa: BLE001  (looked for again at the next turn)
            _log.warning("could not look for frozen workers: %s", type(e).__name__)

    def _abandon(self) -> None:
        """Declared dead: what is under way here is refused by its fences. A service begins again as a new worker."""
        _log.error("this worker was declared dead, for it had stopped; its work is carried on by another")
        if not self.rejoins:
            self._stop.set()
        threading.Thread(target=self._rejoin, name="wardkeep-rejoin", daemon=True).start()

    def _rejoin(self) -> None:
        with self._changing:
            self._end()
        while self.rejoins and not self._stop.is_set():
            with self._changing:
                if self._stop.is_set():  # closed meanwhile
                    return
                try:
                    self._begin()
                    _log.warning("this process works again, as %s", self.worker.id)
                    return
                except Exception as e:  # noqa: BLE001  (the database may be away: tried again)
                    _log.error("could not begin again: %s", type(e).__name__)
                    self._end()
            self._stop.wait(2)

    def _wrap(self, function: Workflow) -> Workflow:
        worker = self.worker

        def carry_out(*values: Json) -> Json:
            from dbos import DBOS

            return function(Run(str(DBOS.workflow_id), worker), *values)

        return carry_out

    def _settings(self) -> Any:
        from dbos import DBOSConfig
        from dbos._serialization import DBOSPortableJSON

        if self.store.is_sqlite:
            url = f"sqlite:///{begin_queue(self.folder)}"
        else:
            url = self.store.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        return DBOSConfig(
            name="wardkeep",
            system_database_url=url,
            application_version=VERSION,
            executor_id=self.worker.id,
            serializer=DBOSPortableJSON,
            log_level="ERROR",
            enable_otlp=False,
            sys_db_pool_size=5,
            sys_db_idle_transaction_timeout_sec=20.0,  # as in store/opening.py: a frozen worker's locks end
            notification_listener_polling_interval_sec=0.5,
        )


def _state(row: Any) -> State:
    words = {"SUCCESS": "done", "PENDING": "running", "ENQUEUED": "waiting", "DELAYED": "waiting"}
    why = str(row.error) if row.error else ""
    return State(
        row.workflow_id,
        row.name,
        words.get(row.status, "failed"),
        str(row.executor_id or ""),
        row.output,
        why,
    )
