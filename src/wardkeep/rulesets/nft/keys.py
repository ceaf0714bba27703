"""What the left side of an nft match looks at, and how its values are written: names and numbers into packet dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import Any, Final, TypeAlias

from wardkeep.packets.dimensions import ANY, DIMENSIONS, STATES, STATUS, TCP_FLAGS, Row, Values
from wardkeep.rulesets import names
from wardkeep.rulesets.nft import properties
from wardkeep.rulesets.spans import masked

Expr: TypeAlias = Mapping[str, Any]
WITH_HEADERS: Final = frozenset(
    {0, 43, 44, 51, 60, 135, 139, 140}
)  # values of nexthdr that are extension headers


class NotModelled(Exception):
    """An expression outside of the engine's dimensions; the text says which."""


@dataclass(frozen=True, slots=True)
class Key:
    """One thing a match looks at: a dimension of the packet, within `implied` (what nft tests first and leaves unsaid).

    `mask` is set for `X & mask`. `exact` is False where a packet outside of the dimension may still match.
    """

    dimension: str
    implied: Row
    mask: int | None = None
    exact: bool = True


V4: Final[Row] = {"family": ((4, 4),)}
V6: Final[Row] = {"family": ((6, 6),)}


def _of(number: int) -> Row:
    return {"proto": ((number, number),)}


PAYLOADS: Final[Mapping[tuple[str, str], Key]] = {
    ("ip", "saddr"): Key("src4", V4),
    ("ip", "daddr"): Key("dst4", V4),
    ("ip6", "saddr"): Key("src6", V6),
    ("ip6", "daddr"): Key("dst6", V6),
    ("ip", "protocol"): Key("proto", V4),
    ("ip6", "nexthdr"): Key("proto", {**V6, "extension": ((0, 0),)}, exact=False),
    ("th", "sport"): Key("sport", {}, exact=False),
    ("th", "dport"): Key("dport", {}, exact=False),
    ("tcp", "flags"): Key("tcp_flags", _of(6)),
    ("icmp", "type"): Key("icmp_type", {**V4, **_of(1)}),
    ("icmp", "code"): Key("icmp_code", {**V4, **_of(1)}),
    ("icmpv6", "type"): Key("icmp6_type", {**V6, **_of(58)}),
    ("icmpv6", "code"): Key("icmp6_code", {**V6, **_of(58)}),
    ("ether", "saddr"): Key("mac", {}),
    ("ether", "daddr"): Key("to_mac", {"ethernet": ((1, 1),)}),
    ("ether", "type"): Key("family", {"ethernet": ((1, 1),)}),
    **{
        field: Key(name, {n: v for n, v in DIMENSIONS[name].needs.items() if n != "fragment"})
        for field, name in properties.FIELDS.items()
    },
    **{
        (name, side): Key(side, _of(number))
        for name, number in (("tcp", 6), ("udp", 17), ("dccp", 33), ("sctp", 132), ("udplite", 136))
        for side in ("sport", "dport")
    },
}
METAS: Final = {
    "nfproto": "family",
    "protocol": "family",
    "l4proto": "proto",
    "iif": "in",
    "iifname": "in",
    "oif": "out",
    "oifname": "out",
    "mark": "mark",
    "skuid": "user",
    "skgid": "group",
    **properties.METAS,
}
CONNECTION: Final = {"state": "state", "status": "status", "mark": "ctmark", "direction": "direction"}
NFPROTO: Final = {"ipv4": 4, "ipv6": 6, "ip": 4, "ip6": 6, 2: 4, 10: 6}


def key_of(left: Any) -> Key:
    """Raises NotModelled."""
    if not isinstance(left, dict) or len(left) != 1:
        raise NotModelled(str(left))
    ((what, body),) = left.items()
    if what == "&" and isinstance(body, list) and len(body) == 2:
        inner = key_of(body[0])
        if inner.mask is not None or inner.dimension in ("in", "out", "family", "state", "proto"):
            raise NotModelled("a mask")
        return Key(inner.dimension, inner.implied, bits_of(inner.dimension, body[1]), inner.exact)
    if what == "payload" and isinstance(body, dict) and (body.get("protocol"), body.get("field")) in PAYLOADS:
        return PAYLOADS[body["protocol"], body["field"]]
    if what == "meta" and isinstance(body, dict) and body.get("key") in METAS:
        return Key(METAS[body["key"]], {})
    if what == "ct" and isinstance(body, dict) and "dir" not in body and body.get("key") in CONNECTION:
        return Key(CONNECTION[body["key"]], {})
    asked = (body.get("result", ""), frozenset(body.get("flags", ()))) if what == "fib" else ("", frozenset())
    if found := properties.FIB.get(asked):
        return Key(found, {})
    if what == "tcp option" and body == {"name": "maxseg", "field": "size"}:
        return Key("mss", {})
    if what == "socket" and body == {"key": "transparent"}:
        return Key("transparent", {})
    raise NotModelled(str(what))


def implied_by(left: Any) -> Row:
    """What must hold for a match that is not modelled to be looked at all: `ip ttl` is asked of IPv4 only."""
    if isinstance(left, dict) and len(left) == 1:
        ((what, body),) = left.items()
        if what == "&" and isinstance(body, list) and body:
            return implied_by(body[0])
        protocol = body.get("protocol") if isinstance(body, dict) and what == "payload" else None
        if what == "tcp option":
            protocol = "tcp"
        if protocol in ("ip", "igmp") or what == "ip option":
            return V4
        if protocol == "ip6" or what == "exthdr":
            return V6
        if protocol in ("tcp", "udp", "sctp", "dccp", "udplite"):
            return _of(names.PROTOCOLS[str(protocol)])
    return {}


def within(key: Key, family: str, hooks: frozenset[str]) -> Key:
    """The key as it is meant in a chain of that family that packets enter by these hooks. Raises NotModelled."""
    name = key.dimension
    routed = family in ("ip", "ip6", "inet") and hooks <= properties.ARRIVED | properties.LATER
    if not routed and (name in properties.ROUTING or "ethernet" in key.implied):
        raise NotModelled("outside of IP")
    if name in properties.FORWARDED and not hooks <= properties.ARRIVED:
        # Routing lowers it by one: behind, it is another number.
        if not hooks <= properties.LATER:
            raise NotModelled("asked before and behind routing")
        return replace(key, dimension=properties.FORWARDED[name])
    return key


def value_of(dimension: str, value: Any) -> Values:
    """One element of a right-hand side, without masks and sets. Raises NotModelled."""
    if value == "*":
        return ANY[dimension]
    if isinstance(value, dict):
        if "elem" in value:
            return value_of(dimension, value["elem"]["val"])
        if "prefix" in value:
            return (_prefix(dimension, value["prefix"]),)
        if "range" in value:
            low, high = (number_of(dimension, end) for end in value["range"])
            if dimension == "hour" and low > high:
                raise NotModelled("hours over midnight")
            return ((low, high),)
        if "|" in value:
            number = bits_of(dimension, value)
            if dimension == "state":
                # `ct state != established,related` compares with the value of two bits: none that a packet could have.
                return ()
            return ((number, number),)
        raise NotModelled(next(iter(value), "nothing"))
    if dimension in ("src_route", "src_route_here", "src_route_marked"):
        if (routes := properties.of_routes(value)) is None:
            raise NotModelled("a route by a certain interface")
        return routes
    if dimension in ("in", "out"):
        if not isinstance(value, str):
            raise NotModelled("the index of an interface that is gone")
        return (value,)
    if isinstance(value, list):
        number = bits_of(dimension, value)
        return ((number, number),)
    if isinstance(value, str) and dimension in ("src4", "dst4", "src6", "dst6") and "/" in value:
        net = ip_network(value, strict=False)
        return ((int(net.network_address), int(net.broadcast_address)),)
    number = number_of(dimension, value)
    return ((number, number),)


def _prefix(dimension: str, body: Expr) -> tuple[int, int]:
    start, length = number_of(dimension, body["addr"]), int(body["len"])
    width = DIMENSIONS[dimension].highest.bit_length()
    size = 1 << (width - length)
    return start // size * size, start // size * size + size - 1


def number_of(dimension: str, value: Any) -> int:
    """A literal as the dimension's number. Raises NotModelled."""
    if isinstance(value, bool):
        raise NotModelled(str(value))
    if dimension == "family":
        if value in NFPROTO:
            return NFPROTO[value]
        raise NotModelled(f"the protocol {value}")
    if isinstance(value, int):
        return value
    if not isinstance(value, str):
        raise NotModelled(str(value))
    found = _named(dimension, value)
    if found is None and value.isdigit():
        found = int(value)
    if found is None:
        raise NotModelled(f"{dimension} {value}")
    return found


def _named(dimension: str, value: str) -> int | None:
    match dimension:
        case "src4" | "dst4" | "src6" | "dst6":
            try:
                address = ip_address(value)
            except ValueError:
                return None
            return int(address) if (address.version == 4) == dimension.endswith("4") else None
        case "proto":
            return names.protocol(value)
        case "sport" | "dport":
            return names.port(value)
        case "state":
            return STATES.index(value) if value in STATES else None
        case "mac" | "to_mac":
            return int(value.replace(":", ""), 16)
        case "user" | "group":
            return 0 if value == "root" else None
    if dimension in properties.NAMES or dimension == "hour":
        return properties.named(dimension, value)
    tables: Mapping[str, Mapping[str, int]] = {
        "status": STATUS,
        "tcp_flags": TCP_FLAGS,
        "icmp_code": names.ICMP_CODES,
        "icmp6_code": names.ICMP6_CODES,
        "icmp_type": _TYPES,
        "icmp6_type": _TYPES6,
    }
    return tables.get(dimension, {}).get(value)


_TYPES = {name: kind for name, (kind, low, high) in names.ICMP.items() if (low, high) == (0, 255)}
_TYPES6 = {name: kind for name, (kind, low, high) in names.ICMP6.items() if (low, high) == (0, 255)}


def bits_of(dimension: str, value: Any) -> int:
    """`syn`, `["syn", "ack"]`, `{"|": [...]}` or a number, as one number of bits. Raises NotModelled."""
    if isinstance(value, list):
        found = 0
        for one in value:
            found |= bits_of(dimension, one)
        return found
    if isinstance(value, dict) and "|" in value:
        return bits_of(dimension, value["|"])
    if dimension == "state" and isinstance(value, str):
        return 1 << number_of(dimension, value)
    return number_of(dimension, value)


def under_mask(dimension: str, mask: int, value: int) -> Values:
    """The values x with x & mask == value, in a dimension of ranges. Raises NotModelled if they are too many spans."""
    found = masked(mask, value, DIMENSIONS[dimension].highest)
    if found is None:
        raise NotModelled("a mask with many holes")
    return found
