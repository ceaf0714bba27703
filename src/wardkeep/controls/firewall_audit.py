"""Audits of firewall rules and whitelists."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "firewall_audit",
    missing=(
        "No audit of the rule set is made yet: rules nobody uses, or owns, are not named.",
        "No whitelist has an owner, a reason and an expiry on record yet.",
    ),
)
