"""A platform whose one row is the toy and whose one host is a folder, and processes that carry out a plan and are killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

from tests.engine.frozen import LEASE, PATIENCE, PATROL
from tests.engine.toy_row import make_toy, stage_toy

from wardkeep.core.facts import Answer
from wardkeep.engine.apply.carry_out import Site
from wardkeep.engine.apply.records import Stored
from wardkeep.engine.durable import Durable
from wardkeep.engine.hosts import add_host
from wardkeep.engine.platform import Platform, open_platform
from wardkeep.engine.workers import open_workers, plan_host
from wardkeep.fleet import Host, LocalConnector

ACTOR = "operator:test"
CONFIRM = 600  # seconds: no test is so slow that the host takes a change back by its own clock; `end_timers` ends it
TOY = Host(name="toy-1", url="local:")


def open_toy(folder: Path, *, database_url: str = "") -> Platform:
    """The platform in `folder/state` with the toy as its only row."""
    state = folder / "state"
    if database_url and not state.exists():
        state.mkdir(mode=0o700)
        (state / "wardkeep.toml").write_text(f'[database]\nurl = "{database_url}"\n')
    platform = open_platform(state, create=True)
    platform.controls = (make_toy(folder / "host"),)
    return platform


def make_world(folder: Path, *, database_url: str = "") -> Platform:
    """A new platform with a host that fails every rule."""
    stage_toy(folder / "host")
    platform = open_toy(folder, database_url=database_url)
    add_host(platform, TOY, ACTOR)
    return platform


def workers(platform: Platform, folder: Path, **site: Any) -> Durable:
    """The durable engine for the toy; changes are kept in a folder beside it instead of the host's /var/lib."""
    place = Site(platform, folder=str(folder / "changes"), **{"confirm": CONFIRM, **site})
    durable = open_workers(platform, role="test", lease=LEASE, site=place)
    durable.patrol = PATROL
    return durable


def make_toy_plan(platform: Platform) -> Stored:
    return asyncio.run(plan_host(platform, TOY, platform.controls, ACTOR))


def in_force(folder: Path) -> set[str]:
    """What is in force on the host: its lines, and its guests as `guest NAME`."""
    guests = {f"guest {path.name}" for path in (folder / "host" / "guests").iterdir()}
    lines = (folder / "host" / "toy.conf").read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")} | guests


def end_timers(folder: Path) -> None:
    """End the hosts' clocks (`sleep`, then `timer.sh`) of the changes made in this folder; each is a session of its own."""
    for proc in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            said = (proc / "cmdline").read_text()
            if (
                f"{folder}/changes/" in said
                and "timer.sh" in said
                and os.getpgid(int(proc.name)) == int(proc.name)
            ):
                os.killpg(int(proc.name), signal.SIGKILL)


class Freezing(LocalConnector):
    """Stands still at the n-th script, after the fence was checked and before it is sent: from the file `there` to `go-on`."""

    def __init__(self, host: Host, at: int, folder: Path) -> None:
        super().__init__(host.name)
        self.at, self.scripts, self.folder = at, 0, folder

    async def run(self, script: str, *, stdin: bytes = b"", timeout: float = 60) -> Answer:
        self.scripts += 1
        if self.scripts == self.at:
            (self.folder / "there").touch()
            while not (self.folder / "go-on").exists():
                time.sleep(0.05)  # not awaited: nothing else of this work goes on either
        return await super().run(script, stdin=stdin, timeout=timeout)

    async def close(self) -> None:
        return None


def run_and_freeze(folder: str, id: str, values: list[str], at: int) -> None:
    """In a process of its own: start an apply and stand still at its n-th script; ends when declared dead."""
    platform = open_toy(Path(folder))
    connector = Freezing(TOY, at, Path(folder))
    with workers(platform, Path(folder), connecting=lambda host: connector) as durable:
        durable.start("apply", id, *values)
        if durable.worker.lost.wait(PATIENCE):
            Path(folder, "lost").touch()
        time.sleep(3)  # time enough for a script that was not refused


def run_and_die(folder: str, workflow: str, id: str, values: list[str], when: str) -> None:
    """In a process of its own: start the workflow and die by SIGKILL at that point; "" lets it end."""
    platform = open_toy(Path(folder))

    def die(point: str) -> None:
        if point == when:
            os.kill(os.getpid(), signal.SIGKILL)

    with workers(platform, Path(folder), trace=die) as durable:
        durable.start(workflow, id, *values)
        durable.wait(id, PATIENCE)


def take_up(folder: str, id: str) -> None:
    """In a process of its own: the next start, which takes up what is unfinished and waits for its end."""
    platform = open_toy(Path(folder))
    with workers(platform, Path(folder)) as durable:
        durable.adopt()
        durable.wait(id, PATIENCE)
