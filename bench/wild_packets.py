"""Packets at the ends of what a rule set asks for, as frames, with every property the kernel will see on them."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from wardkeep.packets.dimensions import NO_MSS, NO_SOCKET
from wardkeep.packets.program import Branches, Match, Program, Unknown

LOCAL4, LOCAL6 = int(IPv4Address("192.0.2.2")), int(IPv6Address("2001:db8:2::2"))
FAR4, FAR6 = int(IPv4Address("198.51.100.10")), int(IPv6Address("2001:db8:9::10"))
FILTER_MAC, SENDER_MAC = bytes.fromhex("020000000002"), bytes.fromhex("020000000001")
VALID = {2, 34, 16, 48}  # flags with which the kernel lets a TCP connection begin; PSH, ECN and CWR apart
# A redirect (137) as short as these frames is invalid to the kernel.
NEW_ICMP, NEW_ICMP6, UNTRACKED6 = {8, 13, 15, 17}, {128, 139}, {130, 131, 132, 133, 134, 135, 136, 143}
UNREACHED = (0, 127)  # first octets that routing lets nothing come from, beside 224 and more


@dataclass(frozen=True)
class Shot:
    """A packet's number in its family, what it is, and over which interface it comes."""

    number: int
    packet: dict[str, int | str]


class Corners:
    """Random packets whose values lie at the ends of the ranges of a program, and one beyond."""

    def __init__(self, program: Program, seed: int, links: Sequence[str], home: str) -> None:
        """`links`: the interfaces to send over; `home`: the one that has the host's addresses."""
        self.rng, self.links, self.home = random.Random(seed), links, home
        values: dict[str, set[int]] = {}
        for chain in program.chains:
            for rule in chain.rules:
                for part in rule.body:
                    rows = (
                        part.rows
                        if isinstance(part, Match)
                        else part.may
                        if isinstance(part, Unknown)
                        else ()
                    )
                    if isinstance(part, Branches):
                        rows = tuple(row for row, _ in part.branches)
                    for row in rows:
                        for name, held in row.items():
                            for low, high in (v for v in held if isinstance(v, tuple)):
                                values.setdefault(name, set()).update((low - 1, low, high, high + 1))
        self.values = {name: sorted(held) for name, held in values.items()}

    def one(self, name: str, low: int, high: int, otherwise: int | None = None) -> int:
        """A value at some end, mostly; or the value one packet usually has."""
        held = self.values.get(name, ())
        for _ in range(4):
            if held and self.rng.random() < 0.8 and low <= (value := self.rng.choice(held)) <= high:
                return value
        return self.rng.randint(low, high) if otherwise is None else otherwise

    def packet(self, number: int, out: str) -> Shot | None:
        """The packet of that number (1 to 65,535); `out` is where the default route leads. None: routing would not have it."""
        rng = self.rng
        family = rng.choice((4, 4, 6))
        bits = 32 if family == 4 else 128
        here = rng.random() < 0.6
        local, far = (LOCAL4, FAR4) if family == 4 else (LOCAL6, FAR6)
        source = self.one(f"src{family}", 1, 2**bits - 1)
        target = local if here else self.one(f"dst{family}", 1, 2**bits - 1, far)
        if not (_routed(family, source) and _routed(family, target)) or local in (
            source,
            target if not here else 0,
        ):
            return None
        packet: dict[str, int | str] = {
            "family": family, "route": "input" if here else "forward", "in": rng.choice(self.links),
            "out": "" if here else out, f"src{family}": source, f"dst{family}": target,
            "proto": rng.choice((6, 6, 6, 17, 17, 1 if family == 4 else 58)), "mac": 0x020000000001,
            "to_mac": 0x020000000002, "ethernet": 1, "state": 3, "mss": NO_MSS, "transparent": NO_SOCKET,
            "dst_type": 2 if here else 1, "src_type": 1, "src_type_here": 1, "src_route": 1, "hour": _now()[0],
            "day": _now()[1], "header_words": 5, "tcp_offset": 5, "tcp_window": 1024, "tcp_sequence": 1, "udp_length": 24,
        }  # fmt: skip
        packet["dst_type_here"] = 2 if here and packet["in"] == self.home else 1
        packet["src_route_marked"] = packet["src_route_here"] = int(packet["in"] == out)
        protocol = packet["proto"]
        if protocol in (6, 17):
            packet["sport"], packet["dport"] = 20_000 + number % 40_000, self.one("dport", 1, 65535)
        if protocol == 17:
            packet["sport"] = self.one("sport", 1, 65535, 20_000 + number % 40_000)
        if protocol == 6:
            flags = packet["tcp_flags"] = rng.choice(
                (2, 2, 2, 16, 18, 4, 1, 0, 41, 24, self.one("tcp_flags", 0, 63, 2))
            )
            packet["state"] = 3 if flags & 0b110111 in VALID else 0
        if protocol == 1:
            kind = packet["icmp_type"] = self.one("icmp_type", 0, 255, 8)
            packet["icmp_code"] = self.one("icmp_code", 0, 255, 0)
            packet["state"] = 3 if kind in NEW_ICMP else 0
        if protocol == 58:
            kind = packet["icmp6_type"] = self.one("icmp6_type", 0, 255, 128)
            packet["icmp6_code"] = self.one("icmp6_code", 0, 255, 0)
            packet["state"] = 4 if kind in UNTRACKED6 else 3 if kind in NEW_ICMP6 else 0
        size = {6: 20, 17: 24}.get(int(protocol), 16)
        hops = self.one("ttl" if family == 4 else "hops", 2, 255, 64)
        packet["dscp4" if family == 4 else "dscp6"] = self.one(f"dscp{family}", 0, 63, 0)
        if family == 4:
            packet |= {
                "ttl": hops,
                "ttl_forwarded": hops - 1,
                "length4": 20 + size,
                "length": 20 + size,
                "ip_id": number,
            }
        else:
            packet |= {
                "hops": hops,
                "hops_forwarded": hops - 1,
                "length6": size,
                "length": 40 + size,
                "flow_label": number,
            }
        return Shot(number, packet)


def _now() -> tuple[int, int]:
    now = time.localtime()
    return now.tm_hour * 3600 + now.tm_min * 60 + now.tm_sec, (now.tm_wday + 1) % 7


def _routed(family: int, address: int) -> bool:
    if family == 4:
        return address >> 24 not in UNREACHED and address >> 24 < 224 and address != LOCAL4
    # Global unicast alone: no group, no loopback, nothing of one link.
    return 0x2000 << 112 <= address < 0x4000 << 112


def frame_of(shot: Shot) -> bytes:
    """The packet as an Ethernet frame; sums of layer 4 are left out, as conntrack is told not to look."""
    packet = shot.packet
    protocol, family = int(packet["proto"]), packet["family"]
    ports = struct.pack("!HH", int(packet.get("sport", 0)), int(packet.get("dport", 0)))
    if protocol == 6:
        payload = ports + struct.pack("!IIBBHHH", 1, 0, 0x50, int(packet["tcp_flags"]), 1024, 0, 0)
    elif protocol == 17:
        payload = ports + struct.pack("!HH", 24, 0) + b"\0" * 16
    else:
        head = "icmp" if protocol == 1 else "icmp6"
        kind, code = int(packet[f"{head}_type"]), int(packet[f"{head}_code"])
        payload = struct.pack("!BBHHH", kind, code, 0, shot.number, 1) + b"\0" * 8
    if family == 6:
        word = 6 << 28 | int(packet["dscp6"]) << 22 | shot.number
        ends = int(packet["src6"]).to_bytes(16, "big") + int(packet["dst6"]).to_bytes(16, "big")
        head6 = struct.pack("!IHBB", word, len(payload), protocol, int(packet["hops"])) + ends
        return FILTER_MAC + SENDER_MAC + b"\x86\xdd" + head6 + payload
    head4 = struct.pack(
        "!BBHHHBBH4s4s", 0x45, int(packet["dscp4"]) << 2, 20 + len(payload), shot.number, 0, int(packet["ttl"]),
        protocol, 0, int(packet["src4"]).to_bytes(4, "big"), int(packet["dst4"]).to_bytes(4, "big"),
    )  # fmt: skip
    total = sum(struct.unpack("!10H", head4))
    total = (total & 0xFFFF) + (total >> 16)
    total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return (
        FILTER_MAC + SENDER_MAC + b"\x08\x00" + head4[:10] + struct.pack("!H", total) + head4[12:] + payload
    )
