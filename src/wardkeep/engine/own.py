"""What Wardkeep says of itself: its duties in their time, its clock."""

from __future__ import annotations

from datetime import datetime

from wardkeep.core.findings import Finding
from wardkeep.engine.clock import clock_finding
from wardkeep.engine.platform import Platform
from wardkeep.engine.schedules import ran_in_time


def own_findings(platform: Platform, now: datetime) -> list[Finding]:
    """One finding for each duty (silence is a finding) and one for the clock, all about the host `platform`."""
    return [*ran_in_time(platform, now), clock_finding(platform, now)]
