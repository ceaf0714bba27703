"""Automated backups."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "backups",
    missing=(
        "Whether backups are made, and how old the newest is, is not looked at yet.",
        "No restore has been drilled yet.",
    ),
)
