"""The kernel as the judge: rules with a counter each in a network namespace, one witness frame for each live rule.

Every frame must count at its own rule and nowhere else, and dead rules must stay at 0.
"""

from __future__ import annotations

import json
import struct
import subprocess
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, ip_network, summarize_address_range

from wardkeep.packets.audit import Analysis, analyse
from wardkeep.packets.program import Entry, Match, Program, Verdict
from wardkeep.packets.witness import Witness

SEND = """
import socket, struct, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("cable", 0))
data = sys.stdin.buffer
while head := data.read(2):
    s.send(data.read(struct.unpack("!H", head)[0]))
"""
MAC = bytes.fromhex("020000000002")
TRIES = 5


@dataclass
class Host:
    """A namespace with rules, and one that sends to it over a cable."""

    filtering: str
    sending: str

    def run(self, space: str, *command: str, stdin: bytes = b"") -> bytes:
        done = subprocess.run(
            ["ip", "netns", "exec", space, *command], input=stdin, capture_output=True, timeout=300
        )
        assert not done.returncode, done.stderr.decode()[-500:]
        return done.stdout

    def send(self, frames: Iterable[bytes]) -> None:
        data = b"".join(struct.pack("!H", len(frame)) + frame for frame in frames)
        self.run(self.sending, "python3", "-c", SEND, stdin=data)

    def counters(self) -> dict[str, int]:
        """Comment of a rule → packets counted."""
        told = json.loads(self.run(self.filtering, "nft", "-j", "list", "ruleset"))
        out = {}
        for item in told["nftables"]:
            if rule := item.get("rule"):
                out[rule["comment"]] = next(e["counter"]["packets"] for e in rule["expr"] if "counter" in e)
        return out


@contextmanager
def host() -> Iterator[Host]:
    """Both namespaces, gone afterwards."""
    word = uuid.uuid4().hex[:8]
    pair = Host(f"wkf{word}", f"wks{word}")
    try:
        for space in (pair.filtering, pair.sending):
            subprocess.run(["ip", "netns", "add", space], check=True, capture_output=True)
            for name in ("all", "default"):  # no talk of the kernel's own on the cable
                pair.run(space, "sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1")
        pair.run(
            pair.sending, "ip", "link", "add", "cable", "type", "veth", "peer", "name", "eth0",
            "address", MAC.hex(":"), "netns", pair.filtering,
        )  # fmt: skip
        pair.run(pair.sending, "ip", "link", "set", "cable", "up")
        pair.run(pair.filtering, "ip", "link", "set", "eth0", "up")
        pair.run(pair.filtering, "ip", "address", "add", "192.0.2.2/24", "dev", "eth0")
        yield pair
    finally:
        for space in (pair.filtering, pair.sending):
            subprocess.run(["ip", "netns", "del", space], capture_output=True)


def in_prerouting(program: Program) -> Program:
    """The program's one chain, where every frame that arrives comes by."""
    chain = program.chains[0]
    return Program((replace(chain, entry=Entry("prerouting", (4,), -300, "accept")),), program.name)


def as_nft(program: Program) -> str:
    """The text of a program made of one chain of one-row matches and verdicts, a counter and the id with each rule."""
    lines = ["table ip w {", "  chain c {", "    type filter hook prerouting priority raw; policy accept;"]
    for rule in program.chains[0].rules:
        words = []
        for part in rule.body:
            if isinstance(part, Match):
                row = dict(part.rows[0])
                protocol = row.pop("proto", None)
                words += [
                    f"ip {'saddr' if name == 'src4' else 'daddr'} {_span(values[0])}"
                    for name, values in row.items()
                    if name in ("src4", "dst4")
                ]
                if "dport" in row:
                    low, high = row["dport"][0]  # type: ignore[misc]
                    word = {6: "tcp", 17: "udp"}[protocol[0][0]]  # type: ignore[index]
                    words.append(f"{word} dport {low}-{high}" if high > low else f"{word} dport {low}")
                elif protocol:
                    words.append(f"meta l4proto {protocol[0][0]}")  # type: ignore[index]
            elif isinstance(part, Verdict):
                words += ["counter", part.kind]
        lines.append(f'    {" ".join(words)} comment "{rule.id}"')
    return "\n".join([*lines, "  }", "}", ""])


def _span(span: object) -> str:
    low, high = span  # type: ignore[misc]
    networks = list(summarize_address_range(IPv4Address(low), IPv4Address(high)))
    return str(ip_network(networks[0])) if len(networks) == 1 else f"{IPv4Address(low)}-{IPv4Address(high)}"


def frame(witness: Witness) -> bytes:
    """The witness as an Ethernet frame to the filtering namespace."""
    packet: Mapping[str, int | str] = witness.packet
    number = int(packet["proto"])
    fragment = int(packet.get("fragment", 0))
    ports = struct.pack("!HH", int(packet.get("sport", 40000)), int(packet.get("dport", 9)))
    if fragment or number not in (1, 6, 17, 33, 132, 136):
        payload = b"\0" * 32
    elif number == 6:
        payload = ports + struct.pack("!IIBBHHH", 1, 0, 0x50, int(packet.get("tcp_flags", 2)), 1024, 0, 0)
    elif number == 1:
        payload = bytes([int(packet.get("icmp_type", 8)), int(packet.get("icmp_code", 0))]) + b"\0" * 6
    else:
        payload = ports + struct.pack("!HH", 8 + 16, 0) + b"\0" * 16
    source, target = int(packet["src4"]).to_bytes(4, "big"), int(packet["dst4"]).to_bytes(4, "big")
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 64 if fragment else 0, 64, number, 0, source, target
    )
    words = struct.unpack("!10H", head)
    total = sum(words)
    total = (total & 0xFFFF) + (total >> 16)
    total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    head = head[:10] + struct.pack("!H", total) + head[12:]
    return MAC + bytes.fromhex("020000000001") + b"\x08\x00" + head + payload


@dataclass(frozen=True)
class Judged:
    """`live` and `dead` rules, and those whose counter is not what was foretold."""

    live: int
    dead: int
    mismatches: tuple[str, ...]


def judge(pair: Host, program: Program, told: Analysis | None = None) -> Judged:
    """Load, send, count. `program` is as `in_prerouting` makes it."""
    told = told or analyse(program, removable=False, explained=False)
    pair.run(pair.filtering, "nft", "-f", "-", stdin=as_nft(program).encode())
    try:
        waiting = {a.rule: frame(a.witness) for a in told.rules if a.witness is not None}
        live = len(waiting)
        for _ in range(TRIES):
            # A frame may be lost on a busy machine; one that counted is never sent again.
            pair.send(waiting.values())
            counted = pair.counters()
            waiting = {rule: data for rule, data in waiting.items() if not counted[rule]}
            if not waiting:
                break
        wrong = [
            answer.rule
            for answer in told.rules
            if counted[answer.rule] != (1 if answer.witness is not None else 0)
        ]
        return Judged(live, len(told.rules) - live, tuple(wrong))
    finally:
        pair.run(pair.filtering, "nft", "flush", "ruleset")
