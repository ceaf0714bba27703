"""A platform with live hosts, for scenarios: its folder, its inventory, and the engine's verbs as a test says them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.e2e.fleet_hosts import in_fleet

from wardkeep.core.control import Control
from wardkeep.core.findings import Finding
from wardkeep.engine.apply.carry_out import Site
from wardkeep.engine.apply.records import Stored, find_plan
from wardkeep.engine.cycle import check
from wardkeep.engine.drills import Drilled
from wardkeep.engine.hosts import add_host, find_host
from wardkeep.engine.platform import Platform, open_platform
from wardkeep.engine.workers import apply_plan, drill_host, open_workers, plan_host, undo_plan
from wardkeep.lab import Host

ACTOR = "operator:scenario"


class World:
    """The acts of an operator, on a platform of the test's own. `controls` replaces the matrix's rows."""

    def __init__(self, folder: Path, controls: Sequence[Control] = (), config: str = "") -> None:
        self.folder = folder / "state"
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if config:
            (self.folder / "wardkeep.toml").write_text(config)
        self.platform: Platform = open_platform(self.folder, create=True)
        if controls:
            self.platform.controls = tuple(controls)

    def add(self, host: Host, *, user: str = "root") -> str:
        """Take a live host into the inventory; returns its name there."""
        add_host(self.platform, in_fleet(host, user=user), ACTOR)
        return host.name

    def check(self, host: str, *rows: str) -> list[Finding]:
        """Observe and assess now."""
        wanted = [c for c in self.platform.controls if not rows or c.id in rows]
        return check(self.platform, ACTOR, [find_host(self.platform, host)], wanted).findings

    def failing(self, host: str, *rows: str) -> set[str]:
        """The rules that fail now. A host whose sshd is just being reloaded (that takes a moment) is asked again."""
        until, found = time.monotonic() + 60, self.check(host, *rows)
        while all(finding.verdict == "unknown" for finding in found):
            assert time.monotonic() < until, f"{host} does not answer: {found}"
            time.sleep(0.2)
            found = self.check(host, *rows)
        return {finding.rule for finding in found if finding.verdict == "fail"}

    def plan(self, host: str, *rows: str) -> Stored:
        wanted = [c for c in self.platform.controls if not rows or c.id in rows]
        return asyncio.run(plan_host(self.platform, find_host(self.platform, host), wanted, ACTOR))

    def apply(self, stored: Stored, **site: Any) -> dict[str, Any]:
        with open_workers(self.platform, site=Site(self.platform, **site)) as durable:
            return apply_plan(self.platform, durable, stored, ACTOR)

    def undo(self, plan: str) -> dict[str, Any]:
        with open_workers(self.platform) as durable:
            return undo_plan(self.platform, durable, find_plan(self.platform, plan), ACTOR)

    def drill(self, host: str, row: str) -> Drilled:
        control = next(c for c in self.platform.controls if c.id == row)
        with open_workers(self.platform) as durable:
            return drill_host(durable, control, find_host(self.platform, host), ACTOR)
