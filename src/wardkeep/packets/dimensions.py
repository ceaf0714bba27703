"""What a packet is to a packet filter: the dimensions, their values, and which need which.

A packet is one value in every dimension. Its family and its route (one of ROUTES: what routing decides) are its kind: they
cut the space into worlds that never mix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Shape: TypeAlias = Literal["range", "bits", "name"]


@dataclass(frozen=True, slots=True)
class Bits:
    """Values v with `v & mask == value`: `tcp flags & (fin | syn) == syn`, `mark 0x10/0xf0`. Only in dimensions of bits."""

    mask: int
    value: int


@dataclass(frozen=True, slots=True)
class AnyBit:
    """Values v with `v & mask != 0`: what `tcp flags syn` and `ct status dnat` mean. Only in dimensions of bits."""

    mask: int


# A set of values is a union: (lowest, highest) both included; tests of bits; for interfaces names, "eth*" for every name
# that begins so ("*" for every name at all), "" for no interface (the in-interface of a packet made here, ...).
# (5, 3) is a reversed range: it holds nothing, and rules that can only match through it are reported as impossible.
Values: TypeAlias = tuple["tuple[int, int] | Bits | AnyBit | str", ...]
Row: TypeAlias = Mapping[
    str, Values
]  # one box: every dimension named must hold; those not named may be anything


@dataclass(frozen=True, slots=True)
class Dimension:
    """`highest` is the highest value; the lowest is 0. `needs` must hold for the dimension to exist on a packet at all."""

    name: str
    shape: Shape
    highest: int
    needs: Row
    title: str


STATES: Final = ("invalid", "established", "related", "new", "untracked")
# Bits of `ct status`, linux/netfilter/nf_conntrack_common.h.
STATUS: Final = {
    "expected": 1,
    "seen-reply": 2,
    "assured": 4,
    "confirmed": 8,
    "snat": 16,
    "dnat": 32,
    "dying": 512,
}
TCP_FLAGS: Final = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128}
# What routing says of an address (`fib daddr type`), linux/rtnetlink.h.
ROUTE_TYPES: Final = ("unspec", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit")  # fmt: skip
NO_MSS: Final = 65536  # a TCP header without the option: every test of it fails
NO_ROUTING: Final = 256  # no IPv6 routing header: every test of its type fails
NO_SOCKET: Final = 2  # no local socket: every test of its transparency fails
NO_USER: Final = 2**32  # no local socket behind the packet: every test of the user fails
# Protocols whose first four bytes are the two ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
PORT_PROTOCOLS: Final[Values] = ((6, 6), (17, 17), (33, 33), (132, 132), (136, 136))
FAMILIES: Final = (4, 6, 0)  # 0: not IP at all (bridge, netdev and arp chains only)
ROUTES: Final = ("input", "forward", "output")  # to this host, through it, from it

_V4: Row = {"family": ((4, 4),)}
_V6: Row = {"family": ((6, 6),)}
_PORTS: Row = {"proto": PORT_PROTOCOLS, "fragment": ((0, 0),)}
_TRACKED: Row = {"state": ((1, 3),)}
_TCP: Row = {"proto": ((6, 6),), "fragment": ((0, 0),)}
# Numbers in headers, and what else a packet has that the dimensions above do not decide: name, highest, needs, title.
_PROPERTIES: tuple[tuple[str, int, Row, str], ...] = (
    ("ttl", 255, _V4, "IPv4 time to live on arrival"),
    ("ttl_forwarded", 255, _V4, "the same behind routing, one lower; tests of the two are followed apart"),
    ("hops", 255, _V6, "IPv6 hop limit on arrival"),
    ("hops_forwarded", 255, _V6, "the same behind routing"),
    ("dscp4", 63, _V4, "IPv4 DSCP"),
    ("dscp6", 63, _V6, "IPv6 DSCP"),
    ("ecn4", 3, _V4, "IPv4 ECN"),
    ("ecn6", 3, _V6, "IPv6 ECN"),
    ("length4", 65535, _V4, "IPv4 total length"),
    ("length6", 65535, _V6, "IPv6 payload length"),
    ("header_words", 15, _V4, "IPv4 header length in words of 4 bytes"),
    ("ip_id", 65535, _V4, "IPv4 identification"),
    ("flow_label", 2**20 - 1, _V6, "IPv6 flow label"),
    ("length", 2**32 - 1, {}, "length of the packet as the kernel holds it"),
    ("packet_type", 7, {}, "0 to this host, 1 broadcast, 2 multicast, 3 to another host"),
    ("tcp_window", 65535, _TCP, "TCP window"),
    ("tcp_sequence", 2**32 - 1, _TCP, "TCP sequence number"),
    ("tcp_acknowledged", 2**32 - 1, _TCP, "TCP acknowledgement number"),
    ("tcp_urgent", 65535, _TCP, "TCP urgent pointer"),
    ("tcp_offset", 15, _TCP, "TCP header length in words of 4 bytes"),
    ("udp_length", 65535, {"proto": ((17, 17),), "fragment": ((0, 0),)}, "UDP length"),
    ("mss", NO_MSS, {**_TCP, "mss": ((0, NO_MSS - 1),)}, "the segment size a TCP option offers, or NO_MSS"),
    ("dst_type", 15, {}, "what routing says of the destination, index in ROUTE_TYPES"),
    ("dst_type_here", 15, {}, "the same, asked of the in interface alone"),
    ("src_type", 15, {}, "what routing says of the source"),
    ("src_type_here", 15, {}, "the same, asked of the in interface alone"),
    ("src_route", 1, {}, "1: there is a route back to the source"),
    ("src_route_here", 1, {}, "1: there is one by the in interface"),
    ("src_route_marked", 1, {}, "1: there is one by it for the packet's mark"),
    ("direction", 1, _TRACKED, "ct direction: 0 as the connection was begun, 1 answers"),
    ("transparent", NO_SOCKET, {"transparent": ((0, 1),)}, "whether the local socket is transparent, or NO_SOCKET"),
    ("to_mac", 2**48 - 1, {}, "destination hardware address"),
    ("ethernet", 1, {}, "1: it came in over Ethernet"),
    ("hour", 86399, {}, "second of the day"),
    ("day", 6, {}, "day of the week, 0 Sunday"),
    ("hop_by_hop", 1, _V6, "1: it has an IPv6 hop-by-hop header"),
    ("destination_options", 1, _V6, "1: an IPv6 destination options header"),
    ("mobility", 1, _V6, "1: an IPv6 mobility header"),
    ("frag_header", 1, _V6, "1: an IPv6 fragment header, of a packet that is no later fragment"),
    ("routing_type", NO_ROUTING, {**_V6, "routing_type": ((0, 255),)}, "type of the IPv6 routing header, or NO_ROUTING"),
)  # fmt: skip
DIMENSIONS: Final[Mapping[str, Dimension]] = {
    d.name: d
    for d in (
        Dimension("family", "range", 6, {}, "4, 6 or 0 (not IP)"),
        Dimension("in", "name", 0, {}, "in interface; names are exact, at most 15 bytes"),
        Dimension("out", "name", 0, {}, "out interface"),
        Dimension("src4", "range", 2**32 - 1, _V4, "IPv4 source"),
        Dimension("dst4", "range", 2**32 - 1, _V4, "IPv4 destination"),
        Dimension("src6", "range", 2**128 - 1, _V6, "IPv6 source"),
        Dimension("dst6", "range", 2**128 - 1, _V6, "IPv6 destination"),
        Dimension("proto", "range", 255, {}, "layer 4 protocol, behind all extension headers"),
        Dimension("sport", "range", 65535, _PORTS, "source port of PORT_PROTOCOLS; not on later fragments"),
        Dimension("dport", "range", 65535, _PORTS, "destination port, likewise"),
        Dimension("icmp_type", "range", 255, {"proto": ((1, 1),), "fragment": ((0, 0),)}, "ICMP type"),
        Dimension("icmp_code", "range", 255, {"proto": ((1, 1),), "fragment": ((0, 0),)}, "ICMP code"),
        Dimension("icmp6_type", "range", 255, {"proto": ((58, 58),), "fragment": ((0, 0),)}, "ICMPv6 type"),
        Dimension("icmp6_code", "range", 255, {"proto": ((58, 58),), "fragment": ((0, 0),)}, "ICMPv6 code"),
        Dimension("tcp_flags", "bits", 255, {"proto": ((6, 6),), "fragment": ((0, 0),)}, "bits of TCP_FLAGS"),
        Dimension("fragment", "range", 1, {}, "1: a fragment that is not the first, without layer 4 header"),
        Dimension("extension", "range", 1, _V6, "1: IPv6 extension headers before layer 4"),
        Dimension("state", "range", 4, {}, "ct state, index in STATES; one value per packet"),
        Dimension("status", "bits", 2**14 - 1, _TRACKED, "ct status, bits of STATUS; many at once"),
        Dimension("mark", "bits", 2**32 - 1, {}, "meta mark"),
        Dimension("ctmark", "bits", 2**32 - 1, _TRACKED, "ct mark"),
        Dimension("mac", "range", 2**48 - 1, {}, "source hardware address"),
        Dimension(
            "user", "range", NO_USER, {"user": ((0, NO_USER - 1),)}, "user id of the local socket, or NO_USER"
        ),
        Dimension("group", "range", NO_USER, {"group": ((0, NO_USER - 1),)}, "its group id, or NO_USER"),
        *(Dimension(name, "range", highest, needs, title) for name, highest, needs, title in _PROPERTIES),
    )
}
PROPERTIES: Final = tuple(name for name, *_ in _PROPERTIES)
# The value of a packet that has no such thing, of dimensions that need themselves.
ABSENT: Final[Mapping[str, int]] = {name: d.highest for name, d in DIMENSIONS.items() if name in d.needs}
# What NAT of the destination, or of the source, changes on a packet.
DESTINATION: Final = ("dst4", "dst6", "dport", "dst_type", "dst_type_here")
SOURCE: Final = (
    "src4",
    "src6",
    "sport",
    "src_type",
    "src_type_here",
    "src_route",
    "src_route_here",
    "src_route_marked",
)
# Values that read well in a witness, tried before the lowest of a class.
PLEASANT: Final[Mapping[str, tuple[int, ...]]] = {
    "src4": (0xC6336407, 0xCB007109, 0xC0000201, 0x08080808, 0x0A000001),
    "dst4": (0xC0000202, 0xC633640A, 0xCB00710B, 0x0A000002),
    "src6": (0x20010DB8 << 96 | 7, 0x2A00 << 112 | 9),
    "dst6": (0x20010DB8 << 96 | 0x10002, 0x2A00 << 112 | 0xB),
    "proto": (6, 17),
    "sport": (40000, 1024),
    "dport": (9,),
    "state": (3,),
    "mac": (0x020000000001,),
    "tcp_flags": (2,),
    "user": (2**32,),
    "group": (2**32,),
    "transparent": (2,),
    "mss": (1460, 65536),
    "routing_type": (256,),
    "ttl": (64,),
    "ttl_forwarded": (63,),
    "hops": (64,),
    "hops_forwarded": (63,),
    "length": (60,),
    "length4": (60,),
    "length6": (20,),
    "header_words": (5,),
    "tcp_offset": (5,),
    "udp_length": (28,),
    "tcp_window": (64240,),
    "dst_type": (2, 1),
    "dst_type_here": (2, 1),
    "src_type": (1,),
    "src_type_here": (1,),
    "src_route": (1,),
    "src_route_here": (1,),
    "src_route_marked": (1,),
    "ethernet": (1,),
    "hour": (43200,),
    "day": (1,),
    "icmp_type": (8,),
    "icmp6_type": (128,),
}
# What a reader may use for "any value" of a dimension.
ANY: Final[Mapping[str, Values]] = {
    name: ("*",) if d.shape == "name" else ((0, d.highest),) for name, d in DIMENSIONS.items()
}


def states(*names: str) -> Values:
    """The values of `state` for names of STATES: `states("established", "related")`."""
    return tuple((STATES.index(n), STATES.index(n)) for n in names)


def holds(values: Values, value: int | str) -> bool:
    """Whether one value is in a set of values."""
    for v in values:
        if isinstance(v, str):
            if value == v or (v.endswith("*") and isinstance(value, str) and value.startswith(v[:-1])):
                return True
        elif not isinstance(value, int):
            raise TypeError(f"{value!r} is a name, {v!r} a set of numbers")
        elif isinstance(v, tuple):
            if v[0] <= value <= v[1]:
                return True
        elif isinstance(v, Bits):
            if value & v.mask == v.value:
                return True
        elif value & v.mask:
            return True
    return False
