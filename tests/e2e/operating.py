"""An operator's day on one live host, by the engine's own acts: look, plan, apply, drill, undo. Each leaves its entry."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.fleet_hosts import in_fleet

from wardkeep import controls
from wardkeep.core.control import Control
from wardkeep.engine.apply.carry_out import Site
from wardkeep.engine.apply.records import Stored
from wardkeep.engine.cycle import check
from wardkeep.engine.drills import Drilled
from wardkeep.engine.durable import Durable
from wardkeep.engine.hosts import add_host
from wardkeep.engine.platform import Platform, open_platform
from wardkeep.engine.workers import apply_plan, drill_host, open_workers, plan_host, undo_plan
from wardkeep.fleet import Host as FleetHost
from wardkeep.lab import Host

ACTOR = "operator:lab"


@dataclass
class Operating:
    """One host, one row of the matrix."""

    platform: Platform
    durable: Durable
    host: FleetHost
    control: Control

    def look(self) -> dict[str, str]:
        """Rule (without the row's name) → its worst verdict now."""
        cycle = check(self.platform, ACTOR, [self.host], [self.control])
        order = ["pass", "unknown", "fail"]
        worst: dict[str, str] = {}
        for found in cycle.findings:
            rule = found.rule.partition(".")[2]
            worst[rule] = max(worst.get(rule, "pass"), str(found.verdict), key=order.index)
        return worst

    def plan(self) -> Stored:
        return asyncio.run(plan_host(self.platform, self.host, [self.control], ACTOR))

    def apply(self, plan: Stored) -> dict[str, Any]:
        return apply_plan(self.platform, self.durable, plan, ACTOR, timeout=300)

    def undo(self, plan: Stored) -> dict[str, Any]:
        return undo_plan(self.platform, self.durable, plan, ACTOR, timeout=300)

    def drill(self) -> Drilled:
        return drill_host(self.durable, self.control, self.host, ACTOR, timeout=300)

    def entries(self, kind: str) -> int:
        return sum(entry["kind"] == kind for entry in self.platform.ledger.read())


@contextmanager
def operating(folder: Path, host: Host, row: str, policy: str = "") -> Iterator[Operating]:
    """A platform of its own in `folder` with the host as its only one. `policy` are lines of wardkeep.toml."""
    entered = in_fleet(host)
    open_platform(folder, create=True).close()
    if policy:
        with open(folder / "wardkeep.toml", "a") as file:
            file.write(policy)
    with open_platform(folder) as platform:
        add_host(platform, entered, ACTOR)
        with open_workers(platform, site=Site(platform, confirm=30)) as durable:
            yield Operating(platform, durable, entered, controls.control(row))
