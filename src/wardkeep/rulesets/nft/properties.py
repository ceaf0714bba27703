"""What nft matches look at beside addresses, ports and states: header fields, routing, times; and the names of their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from wardkeep.packets.dimensions import NO_MSS, ROUTE_TYPES, Values

# Protocol and field of a header -> dimension.
FIELDS: Final[Mapping[tuple[str, str], str]] = {
    ("ip", "ttl"): "ttl",
    ("ip", "dscp"): "dscp4",
    ("ip", "ecn"): "ecn4",
    ("ip", "length"): "length4",
    ("ip", "id"): "ip_id",
    ("ip", "hdrlength"): "header_words",
    ("ip6", "hoplimit"): "hops",
    ("ip6", "dscp"): "dscp6",
    ("ip6", "ecn"): "ecn6",
    ("ip6", "length"): "length6",
    ("ip6", "flowlabel"): "flow_label",
    ("tcp", "window"): "tcp_window",
    ("tcp", "sequence"): "tcp_sequence",
    ("tcp", "ackseq"): "tcp_acknowledged",
    ("tcp", "urgptr"): "tcp_urgent",
    ("tcp", "doff"): "tcp_offset",
    ("udp", "length"): "udp_length",
}
METAS: Final = {"pkttype": "packet_type", "length": "length", "hour": "hour", "day": "day"}
# Result and flags of `fib` -> dimension. Other flags of a mark or an out interface are none: rules change what they ask.
FIB: Final[Mapping[tuple[str, frozenset[str]], str]] = {
    ("type", frozenset({"daddr"})): "dst_type",
    ("type", frozenset({"daddr", "iif"})): "dst_type_here",
    ("type", frozenset({"saddr"})): "src_type",
    ("type", frozenset({"saddr", "iif"})): "src_type_here",
    ("oif", frozenset({"saddr"})): "src_route",
    ("oif", frozenset({"saddr", "iif"})): "src_route_here",
    ("oif", frozenset({"saddr", "iif", "mark"})): "src_route_marked",
}
ROUTING: Final = frozenset(FIB.values())
FORWARDED: Final = {"ttl": "ttl_forwarded", "hops": "hops_forwarded"}
ARRIVED: Final = frozenset({"prerouting", "input", "output"})
LATER: Final = frozenset({"forward", "postrouting"})
# Header fields of Ethernet that are asked of packets that came over Ethernet.
ETHER_TYPES: Final = {"ip": 4, "ip6": 6, 0x0800: 4, 0x86DD: 6}

_DSCP = {
    **{f"cs{n}": 8 * n for n in range(8)},
    **{f"af{c}{d}": 8 * c + 2 * d for c in range(1, 5) for d in range(1, 4)},
    "be": 0,
    "df": 0,
    "ef": 46,
    "va": 44,
    "voice-admit": 44,
    "lephb": 1,
}
_ECN = {"not-ect": 0, "ect1": 1, "ect0": 2, "ce": 3}
_ROUTES = {name: number for number, name in enumerate(ROUTE_TYPES)}
NAMES: Final[Mapping[str, Mapping[str, int]]] = {
    "dscp4": _DSCP,
    "dscp6": _DSCP,
    "ecn4": _ECN,
    "ecn6": _ECN,
    "packet_type": {"host": 0, "unicast": 0, "broadcast": 1, "multicast": 2, "other": 3},
    "dst_type": _ROUTES,
    "dst_type_here": _ROUTES,
    "src_type": _ROUTES,
    "src_type_here": _ROUTES,
    "direction": {"original": 0, "reply": 1},
    "day": {
        name: n
        for n, name in enumerate(
            ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
        )
    },
}


def named(dimension: str, value: str) -> int | None:
    """A word of nft as the dimension's number; None if it is none of its words. Hours are `HH:MM` or `HH:MM:SS`."""
    if dimension == "hour":
        parts = value.split(":")
        if len(parts) not in (2, 3) or not all(p.isdigit() for p in parts):
            return None
        return sum(int(p) * unit for p, unit in zip(parts, (3600, 60, 1), strict=False))
    return NAMES.get(dimension, {}).get(value)


def of_routes(value: Any) -> Values | None:
    """The right side of `fib ... oif` where it asks no more than whether there is a route (`missing`, `exists`, 0)."""
    if value is True:
        return ((1, 1),)
    return ((0, 0),) if value is False or value in (0, "0") else None


def of_option(value: Any) -> Values | None:
    """`tcp option maxseg exists`: any size; `missing` is the absence of the dimension, which no value can say."""
    return ((0, NO_MSS - 1),) if value is True else None
