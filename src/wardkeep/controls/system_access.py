"""Access to the hosts."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "system_access",
    missing=("Accounts, keys, sudo rules and sshd are not looked at yet.",),
)
