"""What Wardkeep says of itself: its duties in their time, its clock, the files it goes by."""

from __future__ import annotations

from datetime import datetime

from wardkeep.core.findings import Finding
from wardkeep.engine.apply.unfinished import unfinished_findings
from wardkeep.engine.clock import clock_finding
from wardkeep.engine.in_force import in_force_finding
from wardkeep.engine.platform import Platform
from wardkeep.engine.schedules import ran_in_time


def own_findings(platform: Platform, now: datetime) -> list[Finding]:
    """Findings about the host `platform`: one for each duty (silence is a finding), the clock, the files that the server
    goes by, changes left half done."""
    ours = [clock_finding(platform, now), in_force_finding(platform)]
    return [*ran_in_time(platform, now), *ours, *unfinished_findings(platform)]
