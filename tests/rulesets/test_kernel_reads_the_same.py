"""The kernel as the judge of the readers: random rules of many kinds are loaded, listed, read back, and 1,000 packets at the corners of their
values are sent. Each rule's counter must be what the reading foretells, packet by packet."""

from __future__ import annotations

import random
import re
from ipaddress import IPv4Address
from pathlib import Path
from types import SimpleNamespace

import pytest
from bench.firewall_kernel import Host, frame, host
from tests.controls.netns_pair import missing

from wardkeep.packets.program import Program
from wardkeep.packets.reference import ways
from wardkeep.rulesets.files import Source, kind_of, rule_sets

PACKETS = 1_000
RULES = 80
TRIES = 5  # a frame may be lost on a busy machine; then all are sent again
NETS = ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3", "192.168.0.0/16", "172.16.5.0/28")
PORTS = (22, 80, 443, 1024, 5432)
FLAGS = ("syn", "ack", "fin", "rst")


class Kinds:
    """Random rules in the words of one tool."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def net(self) -> str:
        return self.rng.choice(NETS)

    def ports(self) -> tuple[int, int]:
        low = self.rng.choice(PORTS)
        return low, low + self.rng.choice((0, 0, 3, 900))

    def act(self, names: tuple[str, ...]) -> str:
        """Mostly the last one, which lets packets come to the rules behind."""
        return self.rng.choice((*names, *names[-1:] * 60))

    def nft(self) -> str:
        rng, words = self.rng, []
        no = rng.choice(("", "", "!= "))
        kind = rng.randrange(9)
        low, high = self.ports()
        span = f"{low}-{high}" if high > low else str(low)
        if rng.random() < 0.6:
            words.append(f"ip {rng.choice(('saddr', 'daddr'))} {rng.choice(('', '!= '))}{self.net()}")
        if kind == 0:
            words.append(f"{rng.choice(('tcp', 'udp'))} {rng.choice(('sport', 'dport'))} {no}{span}")
        elif kind == 1:
            words.append(f"{rng.choice(('tcp', 'udp'))} dport {no}{{ {span}, {rng.randint(2000, 2010)} }}")
        elif kind == 2:
            words.append(f"tcp flags {rng.choice(('', '== ', '!= '))}{rng.choice(FLAGS)}")
        elif kind == 3:
            mask = rng.sample(FLAGS, 2)
            words.append(f"tcp flags & ({'|'.join(mask)}) {rng.choice(('==', '!='))} {mask[0]}")
        elif kind == 4:
            words.append(f"icmp type {no}{{ echo-request, {rng.choice(('echo-reply', 'time-exceeded'))} }}")
        elif kind == 5:
            words.append(f"meta l4proto {no}{rng.choice(('tcp', 'udp', 'icmp'))}")
        elif kind == 6:
            words.append(
                f"ip saddr . tcp dport {{ {self.net()} . {span}, 203.0.113.7 . {rng.choice(PORTS)} }}"
            )
        elif kind == 7:
            words.append(f"meta l4proto {{ tcp, udp }} th dport {no}{span}")
        else:
            words.append(f"tcp dport {rng.choice(('>=', '<', '>', '<='))} {low}")
        return f"{' '.join(words)} counter {self.act(('accept', 'drop', 'return', 'continue'))}"

    def iptables(self) -> str:
        rng, words = self.rng, []
        no = rng.choice(("", "", "! "))
        low, high = self.ports()
        span = f"{low}:{high}" if high > low else str(low)
        if rng.random() < 0.6:
            words.append(f"{rng.choice(('', '! '))}{rng.choice(('-s', '-d'))} {self.net()}")
        kind = rng.randrange(8)
        protocol = rng.choice(("tcp", "udp"))
        if kind == 0:
            words.append(f"-p {protocol} -m {protocol} {no}{rng.choice(('--sport', '--dport'))} {span}")
        elif kind == 1:
            words.append(
                f"-p {protocol} -m multiport {no}{rng.choice(('--dports', '--ports'))} {span},{rng.randint(2000, 2010)}"
            )
        elif kind == 2:
            words.append(
                f"-p tcp -m tcp {no}--tcp-flags SYN,ACK,FIN {rng.choice(('SYN', 'ACK', 'SYN,ACK', 'NONE'))}"
            )
        elif kind == 3:
            words.append(f"-p tcp -m tcp {no}--syn")
        elif kind == 4:
            words.append(f"-p icmp -m icmp {no}--icmp-type {rng.choice(('8', '0', '3/1', 'any'))}")
        elif kind == 5:
            words.append(f"{no}-p {rng.choice(('tcp', 'udp', 'icmp', '47'))}")
        elif kind == 6:
            words.append(f"-m iprange {no}{rng.choice(('--src-range', '--dst-range'))} 10.1.2.3-10.1.9.9")
        else:
            words.append(f"{no}-i {rng.choice(('eth0', 'eth+', 'wlan0'))}")
        return f"-A PREROUTING {' '.join(words)} -j {self.act(('ACCEPT', 'DROP', 'RETURN', 'next'))}"

    def packet(self) -> dict[str, int | str]:
        rng = self.rng
        protocol = rng.choice((6, 6, 6, 17, 17, 1, 47))
        packet: dict[str, int | str] = {
            "proto": protocol,
            "in": "eth0",
            "family": 4,
            "route": "input",
            "state": 3,
        }
        for name in ("src4", "dst4"):
            net = self.net()
            base = int(IPv4Address(net.partition("/")[0]))
            packet[name] = max(1, base + rng.choice((-1, 0, 1, 5, 255, 256, 65536, 2**24)))
        if rng.random() < 0.1:
            packet["src4"] = int(IPv4Address("203.0.113.7"))
        if protocol in (6, 17):
            for name in ("sport", "dport"):
                packet[name] = max(0, sum(self.ports()[:1]) + rng.choice((-1, 0, 1, 3, 4, 900, 901)))
        if protocol == 6:
            packet["tcp_flags"] = rng.choice((0, 1, 2, 4, 16, 17, 18, 20))
        if protocol == 1:
            packet["icmp_type"], packet["icmp_code"] = rng.choice(((8, 0), (0, 0), (3, 1), (3, 3), (11, 0)))
        return packet


@pytest.fixture(scope="module")
def pair() -> object:
    if why := missing():
        pytest.skip(why)
    with host() as made:
        yield made


def read(text: str) -> Program:
    return rule_sets([Source(Path("listing"), kind_of(text, "listing"), text)])[0].program


def foretold(program: Program, packets: list[dict[str, int | str]]) -> dict[str, int]:
    counts = {rule.id: 0 for chain in program.chains for rule in chain.rules}
    for packet in packets:
        (way,) = ways(program, packet)
        for rule in way.matched:
            counts[rule] += 1
    return counts


def listing(pair: Host, tool: str) -> Program:
    command = ("nft", "-j", "list", "ruleset") if tool == "nft" else ("iptables-save", "-c", "-t", "raw")
    return read(pair.run(pair.filtering, *command).decode())


def load(pair: Host, tool: str, rules: list[str]) -> None:
    if tool == "nft":
        body = "\n".join(f"    {rule}" for rule in rules)
        text = f"table ip t {{\n  chain c {{\n    type filter hook prerouting priority raw; policy accept;\n{body}\n  }}\n}}\n"
        pair.run(pair.filtering, "nft", "-f", "-", stdin=f"flush ruleset\n{text}".encode())
    else:
        chains = ":PREROUTING ACCEPT [0:0]\n:next - [0:0]\n"
        text = "*raw\n" + chains + "\n".join(rules) + "\nCOMMIT\n"
        pair.run(pair.filtering, "iptables-restore", stdin=text.encode())


@pytest.mark.parametrize(("tool", "seed"), [("nft", 3), ("nft", 4), ("iptables", 3), ("iptables", 4)])
def test_every_counter_is_as_foretold(pair: Host, tool: str, seed: int) -> None:
    kinds = Kinds(seed)
    rules = [getattr(kinds, tool)() for _ in range(RULES)]
    packets = [kinds.packet() for _ in range(PACKETS)]
    frames = [frame(SimpleNamespace(packet=p)) for p in packets]  # type: ignore[arg-type]
    for _ in range(TRIES):
        load(pair, tool, rules)
        program = listing(pair, tool)
        expected = foretold(program, packets)
        pair.send(frames)
        counted = {r.id: r.packets for c in listing(pair, tool).chains for r in c.rules}
        if counted == expected:
            break
        lost = sum(expected.values()) > sum(n or 0 for n in counted.values())
        wrong = {i: (expected[i], counted[i]) for i in expected if expected[i] != counted[i]}
        assert lost, wrong  # counted too much: no lost frame explains that
    assert counted == expected, wrong
    assert sum(1 for n in expected.values() if n) > RULES // 2
    assert re.fullmatch(r"ip (?:t c|raw PREROUTING) \d+", next(iter(expected)))
