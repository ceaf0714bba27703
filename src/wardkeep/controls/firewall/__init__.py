"""Firewall: what comes from outside is dropped unless the policy names it, over IPv4 and IPv6."""

from __future__ import annotations

from wardkeep.controls.firewall.rules import Policy, control

__all__ = ["Policy", "control"]
