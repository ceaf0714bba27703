"""Operating system: management, maintenance and patching. The release, the kernel, the services, the clock, the hardening.

One module for each family of rules; importing them fills `control`, in the order in which a person reads the page.
"""

from __future__ import annotations

# isort: off
from wardkeep.controls.operating_system.row import Policy, control
from wardkeep.controls.operating_system import upkeep, updates, clock, hardening, drill
# isort: on

__all__ = ["Policy", "clock", "control", "drill", "hardening", "updates", "upkeep"]
