"""Virtual machine scans and testing: programs, files, settings, the audit trail, malware, and the view from outside.

One module for each family of rules; importing them fills `control`, in the order in which a person reads the page.
"""

from __future__ import annotations

# isort: off
from wardkeep.controls.vm_scans.row import Policy, control
from wardkeep.controls.vm_scans import (
    programs,
    files,
    rights,
    settings,
    audit,
    malware,
    outside,
    imported,
    drill,
)
# isort: on

__all__ = [
    "Policy",
    "audit",
    "control",
    "drill",
    "files",
    "imported",
    "malware",
    "outside",
    "programs",
    "rights",
    "settings",
]
