"""Database engines."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "database_engine",
    missing=("Database engines and their versions are not looked at yet.",),
)
