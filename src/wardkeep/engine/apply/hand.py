"""The hand on one host while something is changed there: every act behind the fence, every connection renewable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from wardkeep.core.errors import WardkeepError
from wardkeep.core.facts import Answer, Question, Snapshot
from wardkeep.engine.apply.host_scripts import MEANING
from wardkeep.engine.leases import Fence, Worker
from wardkeep.fleet import Connector, Host
from wardkeep.fleet import connect as fleet_connect
from wardkeep.fleet.connector import unreachable, utc_now

Connect = Callable[[Host], Connector]
T = TypeVar("T")


@dataclass(frozen=True)
class Done:
    """How an act on the host ended. `exit` is None when that is not known: the connection broke, or it took too long."""

    exit: int | None
    said: str
    output: str = ""

    @property
    def well(self) -> bool:
        return self.exit == 0

    @property
    def why(self) -> str:
        """For a person: what the exit status means, and what the host said."""
        if self.exit is None:
            return f"it is not known how it ended ({self.said})"
        meaning = MEANING.get(self.exit, f"exit status {self.exit}")
        return f"{meaning}: {self.said}" if self.said else meaning


@dataclass
class Hand:
    """Use as a context manager, from a thread that runs no event loop."""

    host: Host
    worker: Worker
    fence: Fence
    connecting: Connect = fleet_connect
    _runner: asyncio.Runner = field(default_factory=asyncio.Runner)
    _connector: Connector | None = None

    def __enter__(self) -> Hand:
        self._runner.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.renew()
        self._runner.close()

    @property
    def connector(self) -> Connector:
        if self._connector is None:
            self._connector = self.connecting(self.host)
        return self._connector

    def guard(self) -> None:
        """The fence, checked now. Raises Fenced."""
        self.worker.check(self.fence)

    def act(self, script: str, *, stdin: bytes = b"", timeout: float = 200) -> Done:
        """Run a script that changes something. The fence is checked immediately before. Only Fenced is raised."""
        self.guard()
        try:
            answer = self.do(lambda connector: connector.run(script, stdin=stdin, timeout=timeout))
        except WardkeepError as e:
            return Done(None, e.line())
        return _done(answer)

    def ask(self, questions: Sequence[Question]) -> Snapshot:
        """Put questions to the host; its faults are in the snapshot."""
        at = utc_now()
        try:
            return self.do(lambda connector: connector.ask(questions))
        except WardkeepError as e:
            return unreachable(self.host.name, at, questions, e.line())

    def do(self, work: Callable[[Connector], Coroutine[Any, Any, T]]) -> T:
        """Run something with the connector."""
        return self._runner.run(work(self.connector))

    def renew(self) -> None:
        """End the connection; the next use opens a new one."""
        if self._connector is not None:
            connector, self._connector = self._connector, None
            self._runner.run(connector.close())

    def reach(self, script: str, within: float, wait: float = 2.0) -> Done:
        """Run a script over a new connection, trying until one answers or the time (seconds) is over."""
        until = time.monotonic() + within
        while True:
            self.renew()
            done = self.act(script)
            if done.exit is not None or time.monotonic() > until:
                return done
            time.sleep(min(wait, max(0.1, within / 10)))


def _done(answer: Answer) -> Done:
    said = " ".join((answer.stderr or answer.stdout).decode(errors="replace").split())[-300:]
    output = answer.stdout.decode(errors="replace")
    if not answer.whole:
        return Done(None, answer.problem or "the answer was cut short")
    return Done(answer.exit, said, output)
