"""Monitoring and alerting."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "alerting",
    missing=("Whether an alert would reach anybody is not looked at yet.",),
)
