"""The row itself, its policy, and the reasons its rules share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from wardkeep.controls.firewall.allowed import Permit, openings, permit
from wardkeep.core.control import Control

ACCESS = "164.312(a)(1)"
TRANSMISSION = "164.312(e)(1)"
GRANTED = "164.308(a)(4)(ii)(B)"
RISK = "164.308(a)(1)(ii)(B)"


@dataclass(frozen=True)
class Policy:
    """What may come in from outside the host, and what may listen there."""

    allow: tuple[str, ...] = field(
        default=("22/tcp", "546/udp from fe80::/10"),
        metadata={
            "doc": "ports open to the world, to networks or zones, and allowlists: `443/tcp`, "
            "`22/tcp from office limit 10/minute`, `list partners`"
        },
    )
    trusted: tuple[str, ...] = field(
        default=(),
        metadata={
            "doc": "networks, zones and interfaces from which everything may come: `10.9.0.0/24`, `wg0`"
        },
    )
    clients: tuple[str, ...] = field(
        default=("68/udp", "546/udp"),
        metadata={
            "doc": "ports on which clients (DHCP) wait for answers: they may listen, and are not opened"
        },
    )
    deny: tuple[str, ...] = field(
        default=(),
        metadata={"doc": "what may not come in whatever the others say: `any from 198.51.100.0/24`"},
    )
    zones: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict,
        metadata={"doc": 'names for networks, to be used as sources: office = ["192.0.2.0/24"]'},
    )
    must_allow: tuple[str, ...] = field(
        default=(),
        metadata={
            "doc": "no change may close these: the operator's way in, monitoring: `22/tcp from 192.0.2.7`"
        },
    )
    must_deny: tuple[str, ...] = field(
        default=(),
        metadata={"doc": "no change may open these: `5432/tcp from anywhere`"},
    )
    lists: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict,
        metadata={
            "doc": "the entries of the allowlists that `allow` names; filled from the allowlist's file",
            "from": "allowlist",
        },
    )

    def __post_init__(self) -> None:
        # A sentence that says nothing clear is refused at once.
        permit(self.allow, self.trusted, self.zones, self.lists, self.deny)
        openings((*self.clients, *self.must_allow, *self.must_deny), self.zones)

    @property
    def permit(self) -> Permit:
        """Everything that is declared, also what has expired since."""
        return permit(self.allow, self.trusted, self.zones, self.lists, self.deny)

    def permit_on(self, day: date) -> Permit:
        """What may come in on that day: expired entries open nothing."""
        return self.permit.on(day)


control = Control("firewall", policy=Policy)
