"""Data replication."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "replication",
    missing=("Whether any data is replicated, and how far behind the replica is, is not looked at yet.",),
)
