"""Matches that say in other words what plain ones say, that are certain in the chains of IP, or that ask for an IPv6 extension header."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from wardkeep.packets.dimensions import Row, Values
from wardkeep.packets.program import Match, Part
from wardkeep.rulesets.nft.keys import NFPROTO, V4, V6, Expr, NotModelled, value_of

# `ip frag-off & 0x1fff != 0`, the usual way to say it: not the first fragment of several.
OFFSET: Final[Expr] = {"&": [{"payload": {"protocol": "ip", "field": "frag-off"}}, 0x1FFF]}
LATER_FRAGMENT: Final = ((OFFSET, "!=", 0), (OFFSET, ">", 0))
NO_IP: Final[Row] = {"family": ((0, 0),)}
VERSIONS: Final[Mapping[str, tuple[int, Row]]] = {"ip": (4, V4), "ip6": (6, V6)}
# The kernel has one interface of the type loopback in each network namespace, and calls it `lo`.
LOOPBACK: Final = frozenset({"loopback", 772})
SIDES: Final = {"iiftype": "in", "oiftype": "out", "iif": "in", "oif": "out"}
HEADERS: Final = {
    "hbh": "hop_by_hop",
    "dst": "destination_options",
    "frag": "frag_header",
    "mh": "mobility",
    "rt": "routing_type",
}
PRESENT: Final = {name: ((0, 255),) if name == "routing_type" else ((1, 1),) for name in HEADERS.values()}


def in_other_words(body: Expr, routed: bool) -> list[Part] | None:
    """The parts of such a match; None if it is none. `routed`: only packets that IP has taken come to its chain.

    Raises NotModelled for values that are not known.
    """
    left, op, right = body["left"], body["op"], body["right"]
    if (left, op, right) in LATER_FRAGMENT:
        return [Match(({"family": ((4, 4),), "fragment": ((1, 1),)},))]
    if not isinstance(left, dict) or len(left) != 1:
        return None
    ((what, key),) = left.items()
    if not isinstance(key, dict):
        return None
    if what == "payload" and key.get("field") == "version" and key.get("protocol") in VERSIONS and routed:
        return _version(str(key["protocol"]), op, right)
    if what == "meta" and key.get("key") == "protocol" and routed:
        return _protocol(op, right)
    if what == "meta" and key.get("key") in SIDES:
        return _interface(str(key["key"]), op, right)
    if what == "exthdr" and key.get("name") in HEADERS:
        return _header(key, op, right)
    return None


def _version(protocol: str, op: str, right: Any) -> list[Part]:
    """`ip version 4`: no packet of another version comes so far."""
    number, row = VERSIONS[protocol]
    if op not in ("==", "!=") or not isinstance(right, int):
        raise NotModelled("versions")
    return [Match((row if (right == number) == (op == "==") else NO_IP,))]


def _protocol(op: str, right: Any) -> list[Part] | None:
    """`meta protocol` of something else than IP (`arp`, `vlan`, 0x88e5): a chain of IP sees none such."""
    if (
        isinstance(right, int | str)
        and not isinstance(right, bool)
        and right not in NFPROTO
        and op in ("==", "!=")
    ):
        return [Match((NO_IP,), negated=op == "!=")]
    return None


def _interface(key: str, op: str, right: Any) -> list[Part] | None:
    """`iiftype loopback` is `iif lo`; the index 0 is no interface at all."""
    side = SIDES[key]
    if key.endswith("type"):
        if right not in LOOPBACK or op not in ("==", "!="):
            raise NotModelled("a type of interface")
        # Without an interface the kernel ends the rule, whatever is asked.
        rows: tuple[Row, ...] = ({side: ("lo",)},) if op == "==" else ({side: ("lo",)}, {side: ("",)})
        return [Match(rows, negated=op == "!=")]
    if right in (0, "0") and not isinstance(right, bool) and op in ("==", "!=", ">"):
        return [Match(({side: ("",)},), negated=op != "==")]
    return None


def _header(key: Expr, op: str, right: Any) -> list[Part] | None:
    """Whether a packet has an extension header, or one of a certain routing type (`rt type 0`).

    The kernel looks for it in every fragment; the header that tells a fragment is in each of them.
    """
    name = HEADERS[key["name"]]
    if "field" not in key and isinstance(right, bool):
        values: Values = PRESENT[name]
    elif name == "routing_type" and key.get("field") == "type" and op in ("==", "!="):
        told = right["set"] if isinstance(right, dict) and "set" in right else [right]
        if isinstance(told, str):
            raise NotModelled("a named set of types")
        values = tuple(span for one in told for span in value_of(name, one))
    else:
        return None
    rows = _rows(name, values)
    if right is False:
        return [Match((V6,)), Match(rows, negated=True)]
    return [Match(rows)] if op == "==" else [Match(_rows(name, PRESENT[name])), Match(rows, negated=True)]


def _rows(name: str, values: Values) -> tuple[Row, ...]:
    whole: Row = {**V6, "fragment": ((0, 0),), "extension": ((1, 1),), name: values}
    part: Row = {**V6, "fragment": ((1, 1),)}
    return (whole, part if name == "frag_header" else {**part, name: values})
