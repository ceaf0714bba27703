"""System monitoring."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "system_monitoring",
    missing=("Disk space, memory and the monitoring agents are not looked at yet.",),
)
