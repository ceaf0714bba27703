"""Security patching: every fix the archive offers is installed in time, and runs.

One module for each family of rules; importing them fills `control`, in the order in which a person reads the page.
"""

from __future__ import annotations

from wardkeep.controls.security_patching import archives, updates, origins, running, exercise  # isort: skip
from wardkeep.controls.security_patching.row import Policy, control

__all__ = ["Policy", "archives", "control", "exercise", "origins", "running", "updates"]
