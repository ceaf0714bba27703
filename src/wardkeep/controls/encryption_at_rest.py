"""Encryption of stored data."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "encryption_at_rest",
    missing=("Whether data file systems and swap sit on encrypted devices is not looked at yet.",),
)
