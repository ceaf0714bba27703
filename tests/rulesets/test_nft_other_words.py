"""Matches in other words: versions, kinds of interfaces, flags as numbers, IPv6 extension headers; each counted by the kernel."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import IPv6Address
from pathlib import Path
from types import SimpleNamespace

import pytest
from bench.firewall_kernel import MAC, Host, frame, host
from tests.controls.netns_pair import missing
from tests.rulesets.packet_fates import fate, unknowns
from tests.rulesets.test_read_nft import nft

from wardkeep.packets.audit import analyse
from wardkeep.packets.program import Program
from wardkeep.packets.reference import ways
from wardkeep.rulesets.audit.model import worded
from wardkeep.rulesets.files import Source, rule_sets

TRIES = 5
SOURCE, HOME = IPv6Address("2001:db8::9"), IPv6Address("2001:db8::1")
RULES = [
    "ip version 4", "ip version != 4", "ip version 6", "ip6 version 6", "meta protocol 0x88e5", "meta protocol != vlan",
    "meta iiftype loopback", "meta iiftype != loopback", "meta oiftype != loopback", "iif > 0", "iif != 0", "oif 0",
    "tcp flags & (fin | syn | rst | psh | ack | urg) < fin", "tcp flags & (fin | syn) > fin", "tcp flags <= syn",
    "exthdr hbh exists", "exthdr hbh missing", "exthdr dst exists", "exthdr frag exists", "exthdr frag missing",
    "exthdr rt exists", "exthdr mh exists", "rt type 0", "rt type != 0", "rt type { 0, 4 }", "rt type 1-4",
]  # fmt: skip
# name → (first header, what the dimensions say, the headers)
HEADERS = {
    "plain": (6, {}, b""),
    "hop by hop": (0, {"hop_by_hop": 1}, bytes([6, 0, 1, 4, 0, 0, 0, 0])),
    "destination": (60, {"destination_options": 1}, bytes([6, 0, 1, 4, 0, 0, 0, 0])),
    "routing 0": (43, {"routing_type": 0}, bytes([6, 0, 0, 0, 0, 0, 0, 0])),
    "routing 4": (43, {"routing_type": 4}, bytes([6, 0, 4, 0, 0, 0, 0, 0])),
    "whole fragment": (44, {"frag_header": 1}, bytes([6, 0, 0, 0, 0, 0, 0, 7])),
    # Of UDP: the kernel takes bytes of its data for flags of TCP (packets/README.md).
    "later fragment": (44, {"fragment": 1, "proto": 17}, bytes([17, 0, 0, 0x10, 0, 0, 0, 8])),
}


@pytest.fixture(scope="module")
def pair() -> Iterator[Host]:
    if why := missing():
        pytest.skip(why)
    with host() as made:
        made.run(made.filtering, "sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=0")
        yield made


def over4(flags: int) -> tuple[dict[str, int | str], bytes]:
    packet: dict[str, int | str] = {
        "family": 4, "route": "input", "in": "eth0", "out": "", "proto": 6, "sport": 4000, "dport": 9, "state": 4,
        "src4": 0xC0000209, "dst4": 0xC0000202, "tcp_flags": flags,
    }  # fmt: skip
    return packet, frame(SimpleNamespace(packet=packet))  # type: ignore[arg-type]


def over6(name: str) -> tuple[dict[str, int | str], bytes]:
    first, more, headers = HEADERS[name]
    packet: dict[str, int | str] = {
        "family": 6, "route": "input", "in": "eth0", "out": "", "proto": 6, "sport": 4000, "dport": 9, "state": 4,
        "src6": int(SOURCE), "dst6": int(HOME), "tcp_flags": 2, "extension": int(bool(headers)),
        **({} if "routing_type" in more else {"routing_type": 256}), **more,
    }  # fmt: skip
    tcp = struct.pack("!HHIIBBHHH", 4000, 9, 1, 0, 0x50, 2, 1024, 0, 0)
    head = struct.pack("!IHBB", 6 << 28, len(headers + tcp), first, 64) + SOURCE.packed + HOME.packed
    return packet, MAC + bytes.fromhex("020000000001") + b"\x86\xdd" + head + headers + tcp


def test_the_kernel_counts_what_is_foretold(pair: Host) -> None:
    told = [over4(flags) for flags in (0, 1, 2, 3, 16, 18, 41, 63, 128)] + [over6(name) for name in HEADERS]
    body = "\n".join(f"    {rule} counter" for rule in RULES)
    text = (
        f"table inet t {{\n  chain c {{\n    type filter hook prerouting priority -500;\n{body}\n  }}\n}}\n"
    )

    def listed() -> Program:
        listing = pair.run(pair.filtering, "nft", "-j", "list", "ruleset").decode()
        return rule_sets([Source(Path("listing"), "nft", listing)])[0].program

    for _ in range(TRIES):  # a frame may be lost on a busy machine
        pair.run(pair.filtering, "nft", "-f", "-", stdin=f"flush ruleset\n{text}".encode())
        program = listed()
        assert unknowns(program) == []
        expected = {rule.id: 0 for chain in program.chains for rule in chain.rules}
        for packet, _ in told:
            (way,) = ways(program, packet)
            for rule_id in way.matched:
                expected[rule_id] += 1
        pair.send(data for _, data in told)
        counted = {rule.id: rule.packets for chain in listed().chains for rule in chain.rules}
        if counted == expected:
            break
    named = {rule.id: text for chain in program.chains for rule, text in zip(chain.rules, RULES, strict=True)}
    wrong = {named[i]: (expected[i], counted[i]) for i in expected if expected[i] != counted[i]}
    assert not wrong
    assert sum(expected.values()) > 100


# A chain of an inet table → the families whose packets it lets through. The policy is accept.
FAMILIES = [
    ("reject with icmp type port-unreachable", {6}),
    ("reject with icmpv6 type admin-prohibited", {4}),
    ("reject with icmpx type port-unreachable", set()),
    ("meta l4proto tcp reject with tcp reset", set()),
    ("tcp dport 9 reject with icmp type host-prohibited", {6}),
]


@pytest.mark.parametrize(("rule", "through"), FAMILIES, ids=[rule for rule, _ in FAMILIES])
def test_a_reject_in_words_of_one_family_leaves_the_other_alone(
    pair: Host, tmp_path: Path, rule: str, through: set[int]
) -> None:
    (told, four), (other, six) = over4(2), over6("plain")
    program = nft(tmp_path, rule, policy="accept")
    assert {int(p["family"]) for p in (told, other) if fate(program, **p) == "accept"} == through
    judge = "chain last { type filter hook input priority 9; ip version 4 counter; ip6 version 6 counter; }"
    pair.run(
        pair.filtering, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0", "net.ipv4.conf.eth0.rp_filter=0"
    )
    pair.run(pair.filtering, "ip", "address", "replace", f"{HOME}/64", "dev", "eth0", "nodad")
    chain = f"chain input {{ type filter hook input priority 0; {rule}; }}"
    counted: set[int] = set()
    for _ in range(TRIES):  # a frame may be lost on a busy machine
        pair.run(
            pair.filtering,
            "nft",
            "-f",
            "-",
            stdin=f"flush ruleset\ntable inet t {{ {chain}\n{judge}\n}}".encode(),
        )
        pair.send([four, six])
        listing = pair.run(pair.filtering, "nft", "-j", "list", "ruleset").decode()
        (last,) = (
            c for c in rule_sets([Source(Path("l"), "nft", listing)])[0].program.chains if "last" in c.id
        )
        counted = {family for family, one in zip((4, 6), last.rules, strict=True) if one.packets}
        if counted == through:
            break
    assert counted == through


def test_a_translation_of_one_family_leaves_the_others_rules_to_it(tmp_path: Path) -> None:
    nat = "type nat hook prerouting priority -100; tcp dport 80 dnat ip to 192.0.2.7; tcp dport 80 dnat ip6 to 2001:db8::7"
    program = nft(
        tmp_path,
        "ip daddr 192.0.2.7 accept",
        "ip6 daddr 2001:db8::7 accept",
        before=f"chain nat {{ {nat}; }}",
    )
    assert [fate(program, dport=80, src4="192.0.2.9"), fate(program, dport=80, src6="2001:db8::9")] == [
        "accept"
    ] * 2
    assert fate(program, dport=81, src6="2001:db8::9", dst6="2001:db8::8") == "drop"
    verdicts = {a.rule: a.verdict for a in analyse(program).rules}
    assert set(verdicts.values()) == {"live"}


def test_what_comes_over_the_loopback_is_what_the_kernel_calls_so(tmp_path: Path) -> None:
    program = nft(tmp_path, "meta iiftype loopback accept")
    assert [fate(program, **{"in": name}) for name in ("lo", "eth0", "")] == ["accept", "drop", "drop"]
    assert unknowns(nft(tmp_path, "meta iiftype ether accept")) == ["meta iiftype ether"]
    assert unknowns(nft(tmp_path, "meta iifgroup 0 accept")) != []


def test_a_packet_handed_over_by_the_last_statement_shows_only_to_who_asks_for_its_socket(
    tmp_path: Path,
) -> None:
    def handed(end: str, *rules: str) -> list[str]:
        hand = f"type filter hook prerouting priority mangle; meta l4proto tcp meta mark set 1 tproxy to :1080 {end}"
        return unknowns(nft(tmp_path, *rules, before=f"chain hand {{\n{hand}\n}}"))

    assert handed("") == []
    assert len(handed("accept")) == 1
    assert len(handed("", "socket transparent 1 accept")) == 1
    assert len(handed("", "meta skuid 0 accept")) == 1


def test_a_witness_names_kinds_of_packets_and_routes_by_their_own_words() -> None:
    told = worded({"family": 4, "proto": 6, "packet_type": 1, "dst_type": 2})
    assert told is not None
    assert (told["packet_type"], told["dst_type"]) == (1, "local")
