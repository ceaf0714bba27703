"""Encryption of network traffic."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "traffic_encryption",
    missing=("Listeners, certificates and protocol versions are not looked at yet.",),
)
