"""Scans of virtual machines."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "vm_scans",
    missing=(
        "No host is scanned for malware or rootkits yet.",
        "The integrity of installed files is not checked yet.",
    ),
)
