"""The row itself and its policy."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from wardkeep.core.control import Control


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What an audit looks for."""

    widest_ipv4: int = field(
        default=16,
        metadata={"doc": "a whitelist names no IPv4 network with a shorter prefix", "unit": "bits"},
    )
    widest_ipv6: int = field(
        default=32,
        metadata={"doc": "a whitelist names no IPv6 network with a shorter prefix", "unit": "bits"},
    )
    sensitive_ipv4: int = field(
        default=24,
        metadata={"doc": "the same for administration and databases over IPv4", "unit": "bits"},
    )
    sensitive_ipv6: int = field(
        default=48,
        metadata={"doc": "the same for administration and databases over IPv6", "unit": "bits"},
    )
    allowlist_review: timedelta = field(
        default=timedelta(days=92),
        metadata={"doc": "each entry of the allowlist is reviewed by a person every", "unit": "duration"},
    )


control = Control(
    "firewall_audit",
    policy=Policy,
    missing=(
        "Openings that no packet has used for long are not named yet on hosts (on files they are).",
        "Comments and whitelists in rules that only iptables prints are not judged; what strangers reach by them is.",
        "Whitelists of cloud providers, load balancers and applications are not seen.",
    ),
)
control.cannot_drill("the row `firewall` exercises the rule set; an audit is a person's judgement of it")
