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
NO_USER: Final = 2**32  # no local socket behind the packet: every test of the user fails
# Protocols whose first four bytes are the two ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
PORT_PROTOCOLS: Final[Values] = ((6, 6), (17, 17), (33, 33), (132, 132), (136, 136))
FAMILIES: Final = (4, 6, 0)  # 0: not IP at all (bridge, netdev and arp chains only)
ROUTES: Final = ("input", "forward", "output")  # to this host, through it, from it

_V4: Row = {"family": ((4, 4),)}
_V6: Row = {"family": ((6, 6),)}
_PORTS: Row = {"proto": PORT_PROTOCOLS, "fragment": ((0, 0),)}
_TRACKED: Row = {"state": ((1, 3),)}
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
    )
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
