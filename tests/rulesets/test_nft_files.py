"""nft files as people write them (tests/rulesets/nft_files): how much is analysed exactly; the kernel's verdict on 1,000 packets."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from types import SimpleNamespace

import pytest
from bench.firewall_kernel import Host, frame, host
from tests.controls.netns_pair import missing

from wardkeep.packets.program import Branches, Match, Nat, Program, Unknown
from wardkeep.packets.reference import ways
from wardkeep.rulesets.files import Source, load, rule_sets

FILES = sorted((Path(__file__).parent / "nft_files").glob("*.nft"))
# The others judge elsewhere than in the input hook, or rewrite every packet before it.
INPUT = [path for path in FILES if path.stem not in ("bridge", "netdev", "balance")]
# File → (rules, those of which every match is modelled). `options` holds, one a line, what headers without a dimension decide.
COUNTED = {
    "balance": (15, 15), "bridge": (10, 3), "helpers": (29, 22), "netdev": (11, 7), "options": (56, 32),
    "proxy": (8, 6), "router": (22, 20), "server": (28, 22), "zones": (24, 24),
}  # fmt: skip
PACKETS = 1_000
HOST = int(IPv4Address("192.0.2.2"))
# Behind every other base chain of the hook: what comes here was accepted. Each packet has an IP identification of its own.
JUDGE = """
table ip judge {
	set accepted { typeof ip id; size 65535; flags dynamic; }
	chain last { type filter hook input priority 2147483647; policy accept; add @accepted { ip id }; }
}
"""


@pytest.fixture(scope="module")
def pair() -> Iterator[Host]:
    if why := missing():
        pytest.skip(why)
    with host() as made:
        for name in ("all", "default", "eth0"):
            made.run(made.filtering, "sysctl", "-qw", f"net.ipv4.conf.{name}.rp_filter=0")
        # The frames carry no sums of TCP, and without this the kernel calls their connections invalid.
        made.run(
            made.filtering,
            "nft",
            "add table ip t { chain c { type filter hook input priority 0; ct state new; }; }",
        )
        made.run(made.filtering, "sysctl", "-qw", "net.netfilter.nf_conntrack_checksum=0")
        for n, name in enumerate(("lan0", "lan1", "vpn0", "vpn1"), 1):
            made.run(made.filtering, "ip", "link", "add", name, "type", "veth", "peer", "name", f"peer{n}")
        made.run(made.filtering, "ip", "link", "set", "lo", "up")
        yield made


def exactly(program: Program) -> tuple[int, int]:
    """(rules, those of which every match is modelled)"""
    rules = [rule for chain in program.chains for rule in chain.rules]
    return len(rules), sum(not any(isinstance(part, Unknown) for part in rule.body) for rule in rules)


def test_every_rule_is_read_and_so_many_are_analysed_exactly() -> None:
    if why := missing():
        pytest.skip(why)
    assert {path.stem: exactly(load([path])[0].program) for path in FILES} == COUNTED


class Corners:
    """Packets at the corners of what the rules ask for."""

    def __init__(self, program: Program, seed: int) -> None:
        self.rng = random.Random(seed)
        self.values: dict[str, set[int]] = {"src4": {HOST + 7}, "dport": {22, 9}, "tcp_flags": {2, 16}}
        for chain in program.chains:
            for rule in chain.rules:
                for part in rule.body:
                    self._gather(part)

    def _gather(self, part: object) -> None:
        rows = part.rows if isinstance(part, Match) else ()
        if isinstance(part, Branches):
            rows = tuple(row for row, _ in part.branches)
        for row in rows:
            for name, values in row.items():
                spans = [v for v in values if isinstance(v, tuple) and isinstance(v[0], int)]
                for low, high in spans:
                    self.values.setdefault(name, set()).update((low - 1, low, high, high + 1))

    def one(self, name: str, low: int, high: int) -> int:
        held = sorted(v for v in self.values.get(name, ()) if low <= v <= high)
        return self.rng.choice(held) if held else self.rng.randint(low, high)

    def packet(self, number: int) -> dict[str, int | str]:
        """A first packet of a connection over TCP or UDP, to the host itself, from an address that can send one."""
        source = 0
        while not self._sends(source):
            source = self.rng.choice((self.one("src4", 1, 0xDFFFFFFF), self.rng.randint(1, 0xDFFFFFFF)))
        packet: dict[str, int | str] = {
            "family": 4, "route": "input", "in": "eth0", "state": 3, "src4": source, "dst4": HOST, "mac": 0x020000000001,
            "proto": self.rng.choice((6, 6, 17)), "status": 0, "mark": 0, "ctmark": 0,
        }  # fmt: skip
        packet["sport"] = 20_000 + number  # a connection of its own
        packet["dport"] = self.one("dport", 1, 65535)
        if packet["proto"] == 6:
            packet["tcp_flags"] = self.rng.choice(
                (2, 2, 16)
            )  # either begins one, for the kernel (nf_conntrack_tcp_loose)
        return packet

    @staticmethod
    def _sends(source: int) -> bool:
        """Whether the routing code lets such a packet come to the filter: no group, no loopback, not the host's own."""
        first = source >> 24
        return 0 < first < 224 and first != 127 and source != HOST and source & 0xFF not in (0, 255)


def numbered(packet: dict[str, int | str], number: int) -> bytes:
    """The frame of a packet, its IP identification the number and the header's sum with it."""
    made = bytearray(frame(SimpleNamespace(packet=packet)))  # type: ignore[arg-type]
    made[18:20], made[24:26] = number.to_bytes(2, "big"), b"\0\0"
    total = sum(int.from_bytes(made[n : n + 2], "big") for n in range(14, 34, 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    made[24:26] = (~total & 0xFFFF).to_bytes(2, "big")
    return bytes(made)


def accepted(pair: Host, frames: list[bytes]) -> set[int]:
    pair.send(frames)
    told = json.loads(pair.run(pair.filtering, "nft", "-j", "list", "set", "ip", "judge", "accepted"))
    (held,) = (item["set"].get("elem", ()) for item in told["nftables"] if "set" in item)
    return {int(e["elem"]["val"] if isinstance(e, dict) else e) for e in held}


@pytest.mark.parametrize("path", INPUT, ids=lambda path: path.stem)
def test_the_kernels_verdict_on_packets_at_the_corners_is_the_one_foretold(pair: Host, path: Path) -> None:
    pair.run(pair.filtering, "nft", "flush", "ruleset")
    pair.run(pair.filtering, "nft", "-I", str(path.parent), "-f", str(path))
    listing = pair.run(pair.filtering, "nft", "-j", "list", "ruleset").decode()
    program = rule_sets([Source(path, "nft", listing)])[0].program
    rewriting = {r.id for c in program.chains for r in c.rules if any(isinstance(p, Nat) for p in r.body)}
    corners = Corners(program, 5)
    packets, fates = {}, {}
    number = 0
    while len(packets) < PACKETS:
        number += 1
        assert number < 40_000, "the rules leave too few packets to judge"
        packet = corners.packet(number)
        found = ways(program, packet)
        if any(way.matched & rewriting for way in found):
            continue  # sent elsewhere before the hook that is judged
        packets[number], fates[number] = numbered(packet, number), {way.fate == "accept" for way in found}
    pair.run(pair.filtering, "nft", "-f", "-", stdin=JUDGE.encode())
    entered = accepted(pair, list(packets.values()))
    lost = [n for n in packets if n not in entered and False not in fates[n]]
    for _ in range(5):  # a frame may be lost on a busy machine
        if not lost:
            break
        entered |= accepted(pair, [packets[n] for n in lost])
        lost = [n for n in lost if n not in entered]
    wrong = [n for n in packets if (n in entered) not in fates[n]]
    assert wrong == [], f"{len(wrong)} of {len(packets)}"
    assert any(n in entered for n in packets)
    assert any(n not in entered for n in packets)
    # `options` decides nothing by what a packet's dimensions hold.
    assert path.stem == "options" or sum(len(fate) == 1 for fate in fates.values()) > PACKETS // 20
