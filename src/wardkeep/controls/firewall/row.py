"""The row itself, its policy, and the reasons its rules share."""

from __future__ import annotations

from dataclasses import dataclass, field

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
        metadata={"doc": "ports open to the world or to networks: `443/tcp`, `22/tcp from 192.0.2.0/24`"},
    )
    trusted: tuple[str, ...] = field(
        default=(),
        metadata={"doc": "networks and interfaces from which everything may come: `10.9.0.0/24`, `wg0`"},
    )
    clients: tuple[str, ...] = field(
        default=("68/udp", "546/udp"),
        metadata={
            "doc": "ports on which clients (DHCP) wait for answers: they may listen, and are not opened"
        },
    )

    def __post_init__(self) -> None:
        # A sentence that says nothing clear is refused at once.
        permit(self.allow, self.trusted)
        openings(self.clients)

    @property
    def permit(self) -> Permit:
        return permit(self.allow, self.trusted)


control = Control("firewall", policy=Policy)
