"""The row's policy and the control that the other modules of this folder fill."""

from __future__ import annotations

from dataclasses import dataclass, field

from wardkeep.core.control import Control


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What access to the hosts is held to."""

    root_login_by_key: bool = field(
        default=False,
        metadata={"doc": "root may log in over SSH with a key (never with a password)", "unit": "yes/no"},
    )


control = Control(
    "system_access",
    policy=Policy,
    missing=(
        "Keys, accounts, sudo rules, idle sessions, log-in records and second factors are not looked at yet.",
    ),
)
