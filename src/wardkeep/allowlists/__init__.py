"""Allowlists as first-class things: who may reach what from where, who answers for it, and until when.

Pure and useful alone: `read_file` reads a list, `audit` says what is wrong with it. See README.md.
"""

from __future__ import annotations

from wardkeep.allowlists.audit import KINDS, Defect, Limits, Listening, Surroundings, audit
from wardkeep.allowlists.entry import ALLOW, DENY, Allowlist, Entry, Named
from wardkeep.allowlists.networks import Network, read_network
from wardkeep.allowlists.reading import read_file, read_text, read_toml
from wardkeep.allowlists.services import read_service

__all__ = [
    "ALLOW",
    "DENY",
    "KINDS",
    "Allowlist",
    "Defect",
    "Entry",
    "Limits",
    "Listening",
    "Named",
    "Network",
    "Surroundings",
    "audit",
    "read_file",
    "read_network",
    "read_service",
    "read_text",
    "read_toml",
]
