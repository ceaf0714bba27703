"""System redundancy: another machine can take over. Nothing looks at it yet."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "redundancy",
    missing=(
        "Whether a standby for each critical system exists is not looked at.",
        "Which systems are critical, and how soon each must be back, is recorded nowhere yet.",
        "No failover is drilled yet.",
        "Whether the standby stands in another place, with its own power and network, a person must attest.",
    ),
)
