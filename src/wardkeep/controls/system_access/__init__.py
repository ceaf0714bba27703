"""System access controls and logging: who can enter a host, how, and what is kept of it.

One module for each family of rules; importing them fills `control`, in the order in which a person reads the page.
"""

from __future__ import annotations

# isort: off
from wardkeep.controls.system_access.row import Policy, control
from wardkeep.controls.system_access import ssh_server, factors, accounts, keys, sudo, sessions, drill
# isort: on

__all__ = ["Policy", "accounts", "control", "drill", "factors", "keys", "sessions", "ssh_server", "sudo"]
