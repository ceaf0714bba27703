"""The operating system."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "operating_system",
    missing=("Release, kernel, units and hardening are not looked at yet.",),
)
