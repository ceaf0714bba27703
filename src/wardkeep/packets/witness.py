"""A packet that shows something: ranks turned back into addresses, ports and names."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final
from weakref import WeakKeyDictionary

from wardkeep.packets.conditions import Columns
from wardkeep.packets.dimensions import (
    ABSENT,
    DIMENSIONS,
    PLEASANT,
    ROUTE_TYPES,
    STATES,
    STATUS,
    TCP_FLAGS,
    holds,
)
from wardkeep.packets.flat import Flat, Ints

PROTOCOLS: Final = {1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 33: "dccp", 47: "gre", 50: "esp", 51: "ah", 58: "icmpv6", 89: "ospf", 132: "sctp", 136: "udplite"}  # fmt: skip
_AT_REST: Final = {"state": 3}  # new; of other dimensions 0
_NEEDS: Final = tuple((name, tuple(d.needs.items())) for name, d in DIMENSIONS.items())
_ALWAYS: Final = (
    "src4",
    "dst4",
    "src6",
    "dst6",
    "proto",
    "sport",
    "dport",
    "tcp_flags",
    "icmp_type",
    "icmp6_type",
)


class Witness:
    """One packet as it arrives. `family` and `route` are its kind.

    `certain`: nothing on its way hung on a condition that could not be modelled, or on which value it was rewritten to.
    """

    __slots__ = ("_entry", "_flat", "_later", "_packet", "_point", "certain", "family", "route")

    def __init__(self, flat: Flat, point: Ints, entry: int | None = None, certain: bool = True) -> None:
        """The packet of a point in ranks. `entry`: the place it stands for; what was rewritten there is told as well."""
        self.family, self.route, self.certain = flat.family, flat.route, certain
        self._flat, self._point, self._entry = flat, point, entry
        self._packet: dict[str, int | str] | None = None
        self._later: dict[str, int | str] = {}

    @property
    def packet(self) -> Mapping[str, int | str]:
        """Dimension → value: every dimension that the packet has and a rule asks about; its addresses, protocol and ports in
        any case."""
        if self._packet is None:  # a hundred thousand witnesses are made, a few are read
            self._packet, self._later = _named(self._flat, self._point, self._entry)
        return self._packet

    @property
    def later(self) -> Mapping[str, int | str]:
        """Dimensions that rules rewrote before the place the witness stands for."""
        return self._later if self.packet else {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Witness) and self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        return hash((self.family, self.route))

    def __repr__(self) -> str:
        return f"Witness({self.text()})"

    def as_dict(self) -> dict[str, Any]:
        """The packet for programs: addresses and protocol as text, flags and status as lists of names."""
        out: dict[str, Any] = {
            "family": {4: "ipv4", 6: "ipv6"}.get(self.family, "other"),
            "route": self.route,
        }
        for name, value in self.packet.items():
            key, shown = _shown(name, value)
            out[key] = shown
        if self.later:
            out["rewritten"] = dict(_shown(name, value) for name, value in self.later.items())
        if not self.certain:
            out["certain"] = False
        return out

    def text(self) -> str:
        """One line: `IPv4 tcp 198.51.100.7:40000 → 192.0.2.2:22, in eth0, state new`."""
        told = self.as_dict()
        family = {"ipv4": "IPv4", "ipv6": "IPv6"}.get(told.pop("family"), "not IP")
        source, target = told.pop("source", "any"), told.pop("destination", "any")
        for key, end in (("source_port", "source"), ("destination_port", "destination")):
            if key in told:
                address = source if end == "source" else target
                address = f"[{address}]" if ":" in str(address) else address
                joined = f"{address}:{told.pop(key)}"
                source, target = (joined, target) if end == "source" else (source, joined)
        protocol = told.pop("protocol", "")
        protocol = f"protocol {protocol}" if str(protocol).isdigit() else protocol
        told.pop("certain", None)
        route = told.pop("route")
        head = f"{family} {protocol} {source} → {target}".replace("  ", " ")
        rest = [f"{k.replace('_', ' ')} {_plain(v)}" for k, v in told.items() if v not in ("", [], 0)]
        tail = "" if self.certain else " (perhaps: it hangs on a condition that is not modelled)"
        return ", ".join([head, *rest, route]) + tail


def _plain(value: object) -> str:
    if isinstance(value, list):
        return "+".join(map(str, value))
    if isinstance(value, dict):
        return " ".join(f"{k} {_plain(v)}" for k, v in value.items())
    return str(value)


def _shown(name: str, value: int | str) -> tuple[str, Any]:
    keys = {
        "src": "source",
        "dst": "destination",
        "sport": "source_port",
        "dport": "destination_port",
        "proto": "protocol",
    }
    if isinstance(value, str):
        return name, value
    if name in ("src4", "dst4"):
        return keys[name[:3]], str(IPv4Address(value))
    if name in ("src6", "dst6"):
        return keys[name[:3]], str(IPv6Address(value))
    if name == "proto":
        return "protocol", PROTOCOLS.get(value, str(value))
    if name == "state":
        return name, STATES[value]
    if name in ("tcp_flags", "status"):
        bits = TCP_FLAGS if name == "tcp_flags" else STATUS
        return name, [word for word, bit in bits.items() if value & bit]
    if name in ("dst_type", "dst_type_here", "src_type", "src_type_here") and value < len(ROUTE_TYPES):
        return name, ROUTE_TYPES[value]
    if name in ("mac", "to_mac"):
        return name, ":".join(f"{value:012x}"[n : n + 2] for n in range(0, 12, 2))
    return keys.get(name, name), value


class _Naming:
    """How points of one world's lists become packets: made once, since a report names a packet of every rule."""

    def __init__(self, flat: Flat) -> None:
        columns = list(enumerate(flat.columns.names))
        self.width, self.family = len(columns), flat.family
        self.own = [
            (column, name, flat.columns.ranks_of(name), dict[int, int | str]())
            for column, name in columns
            if "'" not in name
        ]
        self.rewritten = [
            (column, name.partition("'")[0], flat.columns.ranks_of(name))
            for column, name in columns
            if "'" in name
        ]
        absent = {"output": "in", "input": "out"}.get(flat.route)
        told = {name for _, name, _, _ in self.own}
        self.filled = [(name, PLEASANT[name][0]) for name in _ALWAYS if name not in told]
        told = (told | set(_ALWAYS)) - {absent}
        # What each needs of the packet, and of which values that is known already.
        self.needs = [
            (
                name,
                [(need, values, dict[int | str, bool]()) for need, values in needs if need != "family"],
                ABSENT.get(name),
            )
            for name, needs in _NEEDS
            if name in told and all(holds(v, flat.family) for need, v in needs if need == "family")
        ]
        self.absent = absent

    def named(
        self, flat: Flat, point: Ints, entry: int | None
    ) -> tuple[dict[str, int | str], dict[str, int | str]]:
        """The packet of a point, and what of it was rewritten on the way to an entry."""
        told: list[int] = point.tolist()
        packet: dict[str, int | str] = {}
        for column, name, ranks, known in self.own:
            rank = told[column]
            value = known.get(rank)
            if value is None:
                value = known[rank] = ranks.value(rank)
            packet[name] = value
        packet.update(self.filled)
        if self.absent:
            packet.pop(self.absent, None)
        kept: dict[str, int | str] = {}
        for name, needs, absent in self.needs:
            for need, values, seen in needs:
                have = packet.get(need)
                if have is None:
                    have = _AT_REST.get(need, 0)
                there = seen.get(have)
                if there is None:
                    there = seen[have] = holds(values, have)
                if not there:
                    break
            else:
                if packet[name] != absent:
                    kept[name] = packet[name]
        later = {
            name: ranks.value(told[column])
            for column, name, ranks in self.rewritten
            if entry is not None and (flat.lo[entry, column] > 0 or flat.hi[entry, column] < ranks.size - 1)
        }
        return kept, later


_NAMINGS: Final[WeakKeyDictionary[Columns, dict[tuple[int, str, int], _Naming]]] = WeakKeyDictionary()


def _named(flat: Flat, point: Ints, entry: int | None) -> tuple[dict[str, int | str], dict[str, int | str]]:
    """The packet of a point, and what of it was rewritten on the way to an entry."""
    known = _NAMINGS.get(flat.columns)
    if known is None:
        known = _NAMINGS[flat.columns] = {}
    kind = flat.family, flat.route, len(flat.columns.names)
    naming = known.get(kind)
    if naming is None:
        naming = known[kind] = _Naming(flat)
    return naming.named(flat, point, entry)
