"""Firewall configuration."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "firewall",
    missing=("The rule set is not looked at yet.",),
)
