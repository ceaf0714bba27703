"""Intrusion detection and prevention."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "intrusion_prevention",
    missing=("Whether a sensor runs is not looked at yet.",),
)
