"""Analysis of intrusion detection data."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "intrusion_analysis",
    missing=(
        "Nothing reads the sensor's events yet, so no anomaly in them would be named.",
        "No record exists of a person having reviewed the sensor's events.",
    ),
)
