"""Kinds of addresses (`-m addrtype`): to this host, to a group, to everybody, as routing tells them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from wardkeep.packets.dimensions import ROUTE_TYPES
from wardkeep.packets.program import Unknown
from wardkeep.rulesets.spans import Span, Spans, join, network

if TYPE_CHECKING:
    from wardkeep.rulesets.iptables.matches import Draft, Reader

EVERYBODY: Span = (0xFFFFFFFF, 0xFFFFFFFF)
# Addresses that packets to one host alone may go to: no group (RFC 5771, RFC 4291), not everybody, not the unknown address.
OWN: Mapping[int, Spans] = {4: ((1, 0xDFFFFFFF), (0xF0000000, 0xFFFFFFFE)), 6: ((0, (0xFF << 120) - 1),)}


def kind_of_address(source: bool) -> Reader:
    """`--dst-type`: the routing table decides, except for what every table holds (inet_addr_type, ipv6_addr_type).

    What comes to INPUT was routed to this host: it goes to an address of its own, to a group or to everybody. A dump does not tell the host's
    networks, so their own broadcast addresses are taken for its own addresses. Of packets that nothing has translated yet it is a property of
    their own, as nft's `fib daddr type` (both ask inet_addr_type); of IPv6 that is so of LOCAL alone (match_type6 in xt_addrtype.c).
    """
    option = f"--{'src' if source else 'dst'}-type"

    def read(draft: Draft, values: Sequence[str], negated: bool) -> None:
        draft.typed.append((len(draft.parts), f"{'! ' if negated else ''}{option} {values[0]}"))
        multicast = network("224.0.0.0/4" if draft.version == 4 else "ff00::/8", draft.version)
        if values[0] == "MULTICAST" and multicast is not None:
            draft.add({draft.side(source): multicast}, negated)
        elif values[0] == "LOCAL" and not source and draft.hooks == {"INPUT"}:
            draft.add({draft.side(source): OWN[draft.version]}, negated)
        elif values[0] == "BROADCAST" and not (source or negated) and draft.version == 4:
            draft.doubt(
                f"{option} BROADCAST", False, ({"dst4": (*OWN[4], EVERYBODY)},), ({"dst4": (EVERYBODY,)},)
            )
        elif not source and draft.arriving and (types := _types(values[0], draft.version)):
            draft.add({"dst_type": types}, negated)
        else:
            draft.doubt(f"{option} {values[0]}", negated)

    return read


def limited(option: str) -> Reader:
    """`--limit-iface-in`: routing is asked about one interface only, and what it says then is not what else is known of the address."""

    def read(draft: Draft, values: Sequence[str], negated: bool) -> None:
        for place, text in draft.typed:
            draft.parts[place] = Unknown(f"{text} {option}")

    return read


def _types(text: str, version: int) -> Spans:
    """What routing says of an address, as values of ROUTE_TYPES; none where it is not that simple."""
    words = text.lower().split(",")
    if (version == 6 and words != ["local"]) or not set(words) <= set(ROUTE_TYPES):
        return ()
    return join((n, n) for n in map(ROUTE_TYPES.index, words))
