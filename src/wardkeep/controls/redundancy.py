"""System redundancy."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "redundancy",
    missing=("Whether a standby exists is not looked at yet, and no failover has been drilled.",),
)
