"""Log aggregation and archiving."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "log_archive",
    missing=("Whether logs leave the host, and how long they are kept, is not looked at yet.",),
)
