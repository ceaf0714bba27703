"""System access controls and logging: who can enter a host, how, and what is kept of it.

One module for each family of rules; importing them fills `control`, in the order in which a person reads the page.
"""

from __future__ import annotations

from wardkeep.controls.system_access import ssh_server
from wardkeep.controls.system_access.row import Policy, control

__all__ = ["Policy", "control", "ssh_server"]
