"""Audits of firewall rules and whitelists: a person looks at them in time, and finds each opening explained and narrow.

`rules` and `exact` look at what the hosts have in force, `allowlist` at what was declared. Importing them fills `control`.
"""

from __future__ import annotations

from wardkeep.controls.firewall_audit import rules, exact, allowlist  # isort: skip
from wardkeep.controls.firewall_audit.row import Policy, control

__all__ = ["Policy", "allowlist", "control", "exact", "rules"]
