"""What Wardkeep says of itself: its duties in their time, its clock."""

from __future__ import annotations

from datetime import datetime

from wardkeep.core.findings import Finding
from wardkeep.engine.apply.unfinished import unfinished_findings
from wardkeep.engine.clock import clock_finding
from wardkeep.engine.platform import Platform
from wardkeep.engine.schedules import ran_in_time


def own_findings(platform: Platform, now: datetime) -> list[Finding]:
    """Findings about the host `platform`: one for each duty (silence is a finding), the clock, changes left half done."""
    return [*ran_in_time(platform, now), clock_finding(platform, now), *unfinished_findings(platform)]
