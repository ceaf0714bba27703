"""Firewall: what comes from outside is dropped unless the policy names it, over IPv4 and IPv6.

`program` follows packets through any rule set; `from_nftables` and `from_iptables` read one into it; `own_table` compiles the
policy. The other modules are the row: importing them fills `control`.
"""

from __future__ import annotations

from wardkeep.controls.firewall import rules, boot, drifting, invariants, mending, exercise  # isort: skip
from wardkeep.controls.firewall.row import Policy, control

__all__ = ["Policy", "boot", "control", "drifting", "exercise", "invariants", "mending", "rules"]
