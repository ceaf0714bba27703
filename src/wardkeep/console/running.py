"""Checks started from the console: one at a time, each watched by any number of browsers and programs.

The events of a run are kept here for those who come late; what a run found is in the ledger and the state.
"""

from __future__ import annotations

import secrets
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field

from wardkeep.core.errors import BadInput, Refused, WardkeepError
from wardkeep.core.facts import PLATFORM
from wardkeep.engine.durable import Durable
from wardkeep.engine.platform import Platform

KEPT = 50  # runs remembered
PING_SECONDS = 15.0  # a silent connection is closed by proxies

Work = Callable[[Callable[[str, int, int], None]], str]
"""Does the work, calling its argument with (subject just done, done, of), and returns one sentence about the outcome."""


@dataclass(frozen=True, slots=True)
class Event:
    """`kind` is `progress` or `done`; `says` one sentence; `failed` when the run ended by a fault."""

    kind: str
    says: str
    done: int = 0
    of: int = 0
    failed: bool = False


@dataclass
class Run:
    """One run and everything it said."""

    id: str
    what: str
    by: str
    events: list[Event] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def ended(self) -> bool:
        return bool(self.events) and self.events[-1].kind == "done"

    def say(self, event: Event) -> None:
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def follow(self, *, ping: float = PING_SECONDS) -> Iterator[Event | None]:
        """Every event from the beginning; None when nothing was said for `ping` seconds. Ends with `done`."""
        at = 0
        while True:
            with self.changed:
                if at == len(self.events) and not self.changed.wait(ping):
                    fresh: list[Event] = []
                else:
                    fresh = self.events[at:]
            if not fresh:
                yield None
                continue
            at += len(fresh)
            yield from fresh
            if fresh[-1].kind == "done":
                return


class Running:
    """The runs of this console."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._turn = threading.Lock()

    def start(self, what: str, by: str, work: Work) -> Run:
        """Begin in the background. Raises Refused while another run goes on: hosts are not asked twice at once."""
        with self._turn:
            if going := self.current():
                raise Refused(f"{going.what} is still running", todo="Wait for its end; this page shows it.")
            run = Run(secrets.token_hex(8), what, by)
            self._runs[run.id] = run
            while len(self._runs) > KEPT:
                self._runs.popitem(last=False)
        threading.Thread(target=_carry_out, args=(run, work), name=f"run-{run.id}", daemon=True).start()
        return run

    def current(self) -> Run | None:
        last = next(reversed(self._runs.values()), None)
        return last if last is not None and not last.ended else None

    def find(self, run_id: str) -> Run | None:
        return self._runs.get(run_id)


def _carry_out(run: Run, work: Work) -> None:
    def progress(subject: str, done: int, of: int) -> None:
        run.say(Event("progress", f"{run.what}: {subject} done, {done} of {of}.", done, of))

    run.say(Event("progress", f"{run.what} has begun."))
    try:
        says, failed = work(progress), False
    except WardkeepError as e:
        says, failed = e.line(), True
    except Exception as e:  # noqa: BLE001  (whatever it was, those who watch must hear that it ended)
        says, failed = f"{run.what} failed ({type(e).__name__}); please report this as a defect.", True
    run.say(Event("done", says, failed=failed))


def check_work(platform: Platform, actor: str, controls: list[str], hosts: list[str]) -> Work:
    """Observe and assess; empty lists mean everything. Raises BadInput for a name that is none."""
    from wardkeep.engine.cycle import check
    from wardkeep.engine.hosts import find_host
    from wardkeep.engine.in_force import take_up
    from wardkeep.engine.platform import named

    chosen = named(platform.controls, controls) if controls else None
    asked = [find_host(platform, name) for name in hosts] if hosts else None

    def work(progress: Callable[[str, int, int], None]) -> str:
        take_up(platform, wait=False)  # who edits a file and presses the button means the file as it is now
        cycle = check(platform, actor, asked, chosen, progress)
        n = {v: sum(f.verdict == v for f in cycle.findings) for v in ("fail", "unknown", "pass")}
        return f"Looked at {len(cycle.checked)}: {n['fail']} fail, {n['unknown']} unknown, {n['pass']} pass."

    return work


def drill_work(
    platform: Platform, actor: str, controls: list[str], hosts: list[str], durable: Durable | None
) -> Work:
    """Exercise controls on hosts; empty lists mean all that can be drilled. What a drill leaves behind is undone.

    Raises BadInput for a name that is none, or a row that was named and has no drill.
    """
    from wardkeep.engine.drills import with_drill
    from wardkeep.engine.hosts import find_host, list_hosts
    from wardkeep.engine.platform import named
    from wardkeep.engine.platform_drills import drill, drills_of
    from wardkeep.engine.workers import open_workers

    chosen = list(with_drill(named(platform.controls, controls), bool(controls)))
    where = [find_host(platform, name) for name in hosts] if hosts else list_hosts(platform)
    pairs = list(drills_of(chosen, where, platform=bool(controls) or not hosts))
    if not pairs:
        raise BadInput("there is nothing to drill", todo="Add a host: `wardkeep host add`.")

    def work(progress: Callable[[str, int, int], None]) -> str:
        seen: Counter[str] = Counter()
        # The serving process has a durable engine already, and there is one a process.
        with nullcontext(durable) if durable else open_workers(platform) as engine:
            for number, (control, host) in enumerate(pairs, start=1):
                seen[drill(platform, engine, control, host, actor).verdict] += 1
                progress(f"{control.id} on {host.name if host else PLATFORM}", number, len(pairs))
        said = ", ".join(f"{seen[v]} {v}" for v in ("fail", "unknown", "pass"))
        return f"Drilled {len(pairs)}: {said}."

    return work
