"""Encryption keys."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "keys",
    missing=("Where keys are, who can read them and how old they are is not looked at yet.",),
)
