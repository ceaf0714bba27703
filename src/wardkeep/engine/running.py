"""What a serving Wardkeep does by itself: looks when a row's time has come, and says so when it could not.

Every `TICK` seconds: which rows are due soon → one durable `observe` workflow for all of them, carried out by whichever
worker is free (its id names the due time, so two workers enqueue it once); files of the operator that changed are taken up; the platform's own findings (overdue duties,
clock) are recorded when one of them changed or a channel for alerts failed or took again, and once a day.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from wardkeep.core.errors import WardkeepError
from wardkeep.core.facts import Question
from wardkeep.engine.alert_loop import AlertLoop
from wardkeep.engine.alerts import reopen
from wardkeep.engine.clock import tick
from wardkeep.engine.cycle import Cycle, check, look_at_platform
from wardkeep.engine.durable import Durable, Json, Run
from wardkeep.engine.hosts import list_hosts
from wardkeep.engine.in_force import take_up, tell
from wardkeep.engine.index import catch_up
from wardkeep.engine.leases import Fenced
from wardkeep.engine.long_looks import look_inside, looks_due
from wardkeep.engine.own import own_findings
from wardkeep.engine.platform import Platform
from wardkeep.engine.platform_facts import channel_states
from wardkeep.engine.renewal import renew, renewal_due
from wardkeep.engine.row_states import forget_days
from wardkeep.engine.schedules import OBSERVE, Duty, duties
from wardkeep.engine.waivers import note_expired
from wardkeep.fleet import Host

TICK = 5.0  # seconds
EARLY = (
    0.1  # a row is looked at when this part of its cadence is left, so that it is never late by our own doing
)
DAILY = timedelta(days=1)
LONG = timedelta(minutes=10)  # how often it is asked whether a long look is due
NEVER = datetime.min.replace(tzinfo=UTC)
_log = logging.getLogger("wardkeep.running")
Turned = Callable[[Cycle], None]  # told after each cycle; alerts hang here


def soon_due(duties_: Sequence[Duty], now: datetime) -> list[Duty]:
    """The observations whose time has (nearly) come."""
    return [duty for duty in duties_ if duty.kind == OBSERVE and duty.next_due - duty.cadence * EARLY <= now]


def register(platform: Platform, durable: Durable, turned: Turned = lambda cycle: None) -> None:
    """Make the engine's own workflows known to a worker, before it opens."""

    def observe(run: Run, *rows: Json) -> Json:
        """Look at all hosts for some rows. Runs again whole after a kill: looking changes nothing."""
        wanted = [control for control in platform.controls if control.id in rows]
        with run.hold("observe") as fence:
            cycle = check(
                platform, f"engine:{run.worker.id}", controls=wanted, guard=lambda: run.worker.check(fence)
            )
        turned(cycle)
        return {"subjects": len(cycle.checked), "findings": len(cycle.findings)}

    def look_long(run: Run) -> Json:
        """Put the long questions that are due to their hosts, one host after the other: nobody waits, and it shall not be felt."""
        due, done = looks_due(platform, datetime.now(UTC)), 0
        for host in list_hosts(platform):
            if host.name in due:
                done += asyncio.run(_looked(platform, f"engine:{run.worker.id}", host, due[host.name]))
        return {"hosts": done}

    def renew_advisories(run: Run) -> Json:
        """Ask the feeds for what is new. Runs again whole after a kill: the old database stays until the new one is whole."""
        done = renew(platform.folder)
        for problem in done["problems"]:
            _log.warning("advisories: %s", problem)
        return done

    durable.workflow("renew_advisories", renew_advisories)
    durable.workflow("observe", observe)
    durable.workflow("look_long", look_long)


async def _looked(platform: Platform, actor: str, host: Host, due: Sequence[Question]) -> int:
    return sum([not snapshot.problem async for snapshot in look_inside(platform, actor, [host], due)])


@dataclass
class Running:
    """The loop of one serving process. `start`, then `stop`; `durable` must be open."""

    platform: Platform
    durable: Durable
    turned: Turned = lambda cycle: None
    every_tick: Sequence[Callable[[datetime], None]] = ()
    pause: float = TICK
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _alerts: AlertLoop | None = None
    _told: frozenset[tuple[str, str]] = frozenset()
    _told_at: datetime = NEVER
    _long_at: datetime = NEVER
    _forgot_at: datetime = NEVER

    def start(self) -> None:
        tell(self.platform)
        self._thread = threading.Thread(target=self._run, name="wardkeep-running", daemon=True)
        self._thread.start()
        self._alerts = AlertLoop(self.platform)
        self._alerts.start()

    def stop(self) -> None:
        self._stop.set()
        if self._alerts:
            self._alerts.stop()
        if self._thread:
            self._thread.join(30)

    def turn(self, now: datetime) -> None:
        """One turn of the loop. Raises what the state raises; the loop logs it and goes on."""
        tick(self.platform, now, expected=timedelta(seconds=self.pause))
        catch_up(self.platform)
        if (changed := take_up(self.platform)) is not None:
            rows = sorted(control.id for control in self.platform.controls if control.rules)
            self.durable.enqueue("observe", f"observe-policy-{changed}", *rows)
        reopen(self.platform, [waiver.fingerprint for waiver in note_expired(self.platform, now)])
        waiting = soon_due(duties(self.platform, now), now)
        if waiting:
            due = min(duty.next_due for duty in waiting)
            rows = sorted(duty.control for duty in waiting)
            self.durable.enqueue("observe", f"observe-{due:%Y%m%dT%H%M%S}-{len(rows)}", *rows)
        if now - self._long_at >= LONG:
            # Its id names the hour and who is due for what: a host that could not be asked is tried again in the next one, and one
            # where something new runs does not wait for it.
            if looks := looks_due(self.platform, now):
                asked = repr(sorted((host, ask.id) for host, some in looks.items() for ask in some))
                of = hashlib.sha256(asked.encode()).hexdigest()[:8]
                self.durable.enqueue("look_long", f"look-long-{now:%Y%m%dT%H}-{of}")
            if renewal_due(self.platform.folder, now):
                self.durable.enqueue("renew_advisories", f"advisories-{now:%Y%m%dT%H}")
            self._long_at = now
        self._tell(now)
        if now - self._forgot_at >= DAILY:
            with self.platform.store.begin(rebuildable=True) as connection:
                forget_days(connection, now.date())
            self._forgot_at = now
        for act in self.every_tick:
            act(now)

    def _tell(self, now: datetime) -> None:
        found = own_findings(self.platform, now)
        told = frozenset((finding.fingerprint, finding.verdict.value) for finding in found)
        # A channel that does not take what it should is a finding now, so that the others tell of it, not at the next daily look.
        told |= channel_states(self.platform, now)
        if told == self._told and now - self._told_at < DAILY:
            return
        self.turned(look_at_platform(self.platform, "engine"))
        self._told, self._told_at = told, now

    def _run(self) -> None:
        while not self._stop.is_set():
            # A turn that failed (the database is away, the disk is full) is tried again at the next one; meanwhile
            # the duties it could not do become overdue, which is itself a finding.
            try:
                self.turn(datetime.now(UTC))
            except WardkeepError as e:
                _log.error("a turn of the engine failed: %s", e.line())
            except Exception as e:  # noqa: BLE001
                _log.error("a turn of the engine failed: %s", type(e).__name__)
            except Fenced:
                _log.error("this worker was declared dead; it stops")
                return
            self._stop.wait(self.pause)
