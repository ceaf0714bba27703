"""Security patching."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "security_patching",
    missing=("Pending security updates are not looked at yet.",),
)
