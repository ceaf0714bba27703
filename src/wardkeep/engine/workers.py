"""The durable work of the platform, put together: what `up` runs as a service and what a command runs for itself."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from wardkeep.core.control import Control
from wardkeep.core.errors import BadInput, Unavailable, WardkeepError
from wardkeep.core.facts import HOST
from wardkeep.engine.apply.carry_out import Site, apply_workflow, undo_workflow
from wardkeep.engine.apply.hand import Connect
from wardkeep.engine.apply.records import Stored, list_applies, store_plan
from wardkeep.engine.assess import questions
from wardkeep.engine.cycle import Progress, completed, record_completed
from wardkeep.engine.drills import Drilled, drill_workflow, drilled
from wardkeep.engine.durable import Durable
from wardkeep.engine.frozen_locks import Ended
from wardkeep.engine.leases import LEASE, Fenced
from wardkeep.engine.plans import make_plan
from wardkeep.engine.platform import Platform, timestamp
from wardkeep.engine.running import Turned, register
from wardkeep.fleet import Host
from wardkeep.fleet import connect as fleet_connect

APPLY, UNDO, DRILL = "apply", "undo", "drill"
AT_ONCE = 8  # hosts that are planned for at the same time
Outcome = dict[str, Any]


def open_workers(
    platform: Platform, *, role: str = "command", lease: float = LEASE, site: Site | None = None
) -> Durable:
    """The durable engine with every workflow of the platform registered; use it as a context manager.

    While it is open, unfinished work of dead workers is taken up here.
    """
    durable = Durable(platform.store, platform.folder, role=role, lease=lease, takes_queued=False)
    register_all(platform, durable, site=site)
    return durable


def register_all(
    platform: Platform, durable: Durable, turned: Turned = lambda cycle: None, site: Site | None = None
) -> None:
    """Make every workflow known to a worker before it opens. All of them, always: it may have to take any of them up."""
    where = site or Site(platform)
    durable.tell = lambda ended: _record_ended(platform, ended)
    register(platform, durable, turned)
    durable.workflow(APPLY, apply_workflow(where))
    durable.workflow(UNDO, undo_workflow(where))
    durable.workflow(DRILL, drill_workflow(where))


def _record_ended(platform: Platform, ended: Ended) -> None:
    said = {"act": "frozen worker ended", "worker": ended.worker, "pid": ended.pid, "held": ended.file}
    platform.record("state", "engine", said)


async def plan_host(
    platform: Platform,
    host: Host,
    controls: Sequence[Control],
    actor: str,
    *,
    connecting: Connect = fleet_connect,
) -> Stored:
    """Observe the host now, record what was seen, and record the plan for what fails there.

    Raises Unavailable when the host cannot be asked.
    """
    platform = platform.held()
    connector = connecting(host)
    try:
        (snapshot,) = completed(platform, [await connector.ask(questions(controls, HOST))], controls)
        record_completed(platform, actor, [snapshot], controls)
        if snapshot.problem:
            raise Unavailable(snapshot.problem, where=host.name, todo="Mend the connection, then plan again.")
        made = await make_plan(connector, controls, snapshot, platform.config, timestamp())
    finally:
        await connector.close()
    return store_plan(platform, made, actor)


def finish_interrupted(durable: Durable, tell: Callable[[str], None] = lambda _: None) -> list[str]:
    """Carry interrupted changes and drills to their end before new work begins. Returns their ids.

    What fails here stays a finding of its own; it does not stop what comes after.
    """
    try:
        durable.adopt()
    except Fenced:
        raise Unavailable(
            "this process was asleep for too long and has lost its turn", todo="Try again."
        ) from None
    me = durable.worker.id
    left = [
        one
        for one in durable.unfinished()
        if one.name in (APPLY, UNDO, DRILL) and (one.state == "waiting" or one.worker == me)
    ]
    for one in left:
        tell(f"finishing what was interrupted before: {one.name} {one.id}")
        with suppress(WardkeepError):
            durable.wait(one.id, 7200)
    return [one.id for one in left]


@dataclass(frozen=True)
class NotPlanned:
    """A host for which no plan could be made, and why."""

    host: str
    why: str


async def plan_hosts(
    platform: Platform,
    hosts: Sequence[Host],
    controls: Sequence[Control],
    actor: str,
    *,
    progress: Progress = lambda host, done, of: None,
    connecting: Connect = fleet_connect,
) -> list[Stored | NotPlanned]:
    """A plan for each host, several at a time, in the order given. One that cannot be asked does not stop the others."""
    turn, done = asyncio.Semaphore(AT_ONCE), 0

    async def one(host: Host) -> Stored | NotPlanned:
        nonlocal done
        try:
            async with turn:
                return await plan_host(platform, host, controls, actor, connecting=connecting)
        except WardkeepError as e:
            return NotPlanned(host.name, e.line())
        finally:
            done += 1
            progress(host.name, done, len(hosts))

    return list(await asyncio.gather(*(one(host) for host in hosts)))


def apply_plan(
    platform: Platform, durable: Durable, stored: Stored, actor: str, *, timeout: float = 7200
) -> Outcome:
    """Carry out exactly this plan and wait for its end. Raises BadInput if it was carried out before."""
    for one in list_applies(platform, plan=stored.id):
        if not one.undoes and one.state in ("begun", "applied"):
            word = "is being carried out" if one.state == "begun" else "was carried out"
            raise BadInput(f"the plan `{stored.id}` {word} already ({one.id})", todo="Plan again.")
    if not stored.plan.changes:
        raise BadInput(f"the plan `{stored.id}` changes nothing", todo="Read what it says cannot be mended.")
    return _run(durable, APPLY, "a", timeout, stored.id, actor)


def undo_plan(
    platform: Platform, durable: Durable, stored: Stored, actor: str, *, timeout: float = 7200
) -> Outcome:
    """Take back what the last carrying out of this plan did. Raises BadInput if there is nothing to take back."""
    made = [one for one in list_applies(platform, plan=stored.id) if not one.undoes]
    taken_back = {one.undoes for one in list_applies(platform, plan=stored.id) if one.state == "undone"}
    open_ = [one for one in made if one.state in ("begun", "applied", "failed") and one.id not in taken_back]
    if not open_:
        raise BadInput(f"nothing of the plan `{stored.id}` is in force", todo="See `wardkeep plan --list`.")
    return _run(durable, UNDO, "u", timeout, stored.id, actor, open_[0].id)


def drill_host(
    durable: Durable, control: Control, host: Host, actor: str, *, timeout: float = 3600
) -> Drilled:
    """Exercise one control on one host and wait for the outcome, which is on record then."""
    return drilled(_run(durable, DRILL, "d", timeout, control.id, host.name, actor))


def _run(durable: Durable, name: str, letter: str, timeout: float, *values: str) -> Outcome:
    id = f"{letter}-{secrets.token_hex(6)}"
    durable.start(name, id, *values)
    return cast(Outcome, durable.wait(id, timeout))
