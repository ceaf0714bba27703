"""Properties that nft rules ask about beside addresses and ports, what changes them on the way, and statements that wait."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.rulesets.packet_fates import fate, unknowns
from tests.rulesets.test_read_nft import nft

from wardkeep.packets.audit import analyse

ACCEPTS = [
    # (rule, packets it accepts, packets it leaves to the policy)
    ("fib daddr type local accept", [{"dst_type": 2}], [{"dst_type": 1}]),
    ("fib daddr . iif type != { local, broadcast } accept", [{"dst_type_here": 5}], [{"dst_type_here": 2}]),
    ("fib saddr . iif oif missing accept", [{}], [{"src_route_here": 1}]),
    ("fib saddr oif exists accept", [{"src_route": 1}], [{"src_route": 0}]),
    ("fib saddr . iif oif 0 accept", [{}], [{"src_route_here": 1}]),
    ("ip ttl < 5 accept", [{"ttl": 4}], [{"ttl": 5}, {"family": 6}]),
    ("ip ttl != 5 accept", [{"ttl": 4}], [{"ttl": 5}, {"family": 6, "hops": 4}]),
    ("ip6 hoplimit 255 accept", [{"family": 6, "hops": 255}], [{"family": 6, "hops": 254}, {"ttl": 255}]),
    ("ip dscp { cs1, ef } accept", [{"dscp4": 8}, {"dscp4": 46}], [{"dscp4": 10}]),
    ("ip6 dscp != af21 accept", [{"family": 6}], [{"family": 6, "dscp6": 18}, {}]),
    ("ip length 40-60 accept", [{"length4": 60}], [{"length4": 61}]),
    ("meta length > 100 accept", [{"length": 101}], [{"length": 100}]),
    ("meta pkttype { broadcast, multicast } accept", [{"packet_type": 2}], [{}]),
    ("tcp window 0 accept", [{}], [{"tcp_window": 1}, {"proto": 17}]),
    ("tcp option maxseg size 1-500 accept", [{"mss": 500}], [{"mss": 501}, {}]),
    ("tcp option maxseg size != 500 accept", [{"mss": 501}], [{"mss": 500}, {}]),
    ("socket transparent 1 accept", [{"transparent": 1}], [{"transparent": 0}, {}]),
    ("ct direction reply accept", [{"direction": 1}], [{}, {"direction": 1, "state": 4}]),
    ("ether type ip accept", [{"ethernet": 1}], [{"ethernet": 1, "family": 6}, {}]),
    ("ether daddr ff:ff:ff:ff:ff:ff accept", [{"ethernet": 1, "to_mac": 2**48 - 1}], [{"ethernet": 1}]),
    ("meta hour 09:00-17:00 accept", [{"hour": 9 * 3600}], [{"hour": 17 * 3600 + 1}]),
    ("meta day { Sunday, Friday } accept", [{}, {"day": 5}], [{"day": 1}]),
]


@pytest.mark.parametrize(("rule", "accepted", "left"), ACCEPTS, ids=[a[0] for a in ACCEPTS])
def test_a_property_is_asked_as_the_kernel_does(
    tmp_path: Path, rule: str, accepted: list[dict[str, int | str]], left: list[dict[str, int | str]]
) -> None:
    program = nft(tmp_path, rule)
    assert [fate(program, **p) for p in accepted] == ["accept"] * len(accepted)
    assert [fate(program, **p) for p in left] == ["drop"] * len(left)
    assert unknowns(program) == []


def test_a_waiting_statement_before_nothing_that_decides_leaves_no_doubt(tmp_path: Path) -> None:
    sets = "set seen { type ipv4_addr; flags dynamic; size 100; }"
    rules = ("limit rate 5/minute log", "add @seen { ip saddr } counter", "ct count over 5 log continue")
    assert unknowns(nft(tmp_path, *rules, before=sets)) == []
    decided = (
        "limit rate 5/minute meta mark set 5",
        "add @seen { ip saddr } drop",
        "limit rate 1/second jump next",
    )
    before = sets + "\nchain next { }"
    assert len(unknowns(nft(tmp_path, *decided, before=before))) == 3


def test_the_time_to_live_is_another_number_behind_routing(tmp_path: Path) -> None:
    """A packet of 5 is dropped on arrival; what forwards sees as 5 came as 6. One chain called from both says nothing sure."""
    head = "chain f { type filter hook forward priority 0; policy accept; ip ttl 5 drop; %s }"
    early = "chain p { type filter hook prerouting priority 0; policy accept; ip ttl 5 drop; %s }"
    apart = nft(tmp_path, "accept", before=head % "" + "\n" + early % "")
    told = {a.rule: a.verdict for a in analyse(apart).rules}
    assert [v for r, v in told.items() if " f " in r or " p " in r] == ["live", "live"]
    assert unknowns(apart) == []
    shared = "chain low { ip ttl 6 drop; }\n"
    both = nft(tmp_path, "accept", before=shared + head % "jump low;" + "\n" + early % "jump low;")
    assert unknowns(both) == ["ip ttl 6"]


def test_what_routing_said_is_not_known_behind_dnat(tmp_path: Path) -> None:
    """Before it `local` was dropped; behind it a rewritten packet may be local again, another one is not."""
    nat = (
        "chain n { type nat hook prerouting priority -100; policy accept; tcp dport 80 dnat ip to 10.0.0.1; }"
    )
    first = "chain p { type filter hook prerouting priority -200; policy accept; fib daddr type local drop; }"
    program = nft(tmp_path, "fib daddr type local accept", before=f"{nat}\n{first}")
    assert fate(program, dport=22, dst_type=1) == "drop"
    verdicts = [a.verdict for a in analyse(program).rules]
    assert verdicts == ["live", "live", "live"]
    assert [a.verdict for a in analyse(nft(tmp_path, "fib daddr type local accept", before=first)).rules] == [
        "live",
        "dead",
    ]


def test_a_field_is_set_on_packets_that_have_it(tmp_path: Path) -> None:
    program = nft(tmp_path, "ip dscp set cs1 accept", policy="drop")
    assert fate(program) == "accept"
    assert fate(program, family=6) == "drop"
    assert fate(nft(tmp_path, "ip dscp set cs1", "ip dscp cs1 accept")) == "accept"


def test_a_route_back_by_mark_is_known_where_no_rule_sets_marks(tmp_path: Path) -> None:
    rule = "fib saddr . mark . iif oif missing accept"
    assert unknowns(nft(tmp_path, rule)) == []
    assert fate(nft(tmp_path, rule), src_route_marked=1) == "drop"
    assert len(unknowns(nft(tmp_path, "meta mark set 5", rule))) == 1


def test_a_map_of_drawn_numbers_and_an_empty_one(tmp_path: Path) -> None:
    chain = "chain n { type nat hook prerouting priority -100; policy accept; dnat ip to numgen inc mod 2 map { 0 : 10.0.0.1%s }; }"
    assert unknowns(nft(tmp_path, "accept", before=chain % ", 1 : 10.0.0.2")) == []
    assert len(unknowns(nft(tmp_path, "accept", before=chain % ""))) == 1


def test_objects_by_map_and_statements_that_nft_has_no_json_for_are_read(tmp_path: Path) -> None:
    before = "counter c1 { }\nmap seen { type ipv4_addr : mark; flags dynamic; size 10; }\nlimit slow { rate 5/second; }"
    rules = (
        'counter name ip saddr map { 192.0.2.1 : "c1" } accept',
        'limit name ip saddr map { 192.0.2.1 : "slow" } accept',
        "update @seen { ip saddr : 0x5 } accept",
        "meta l4proto tcp jump { tcp dport 22 accept; }",
    )
    program = nft(tmp_path, *rules[:1], before=before)
    assert (fate(program, src4="192.0.2.1"), fate(program)) == ("accept", "drop")
    assert [fate(nft(tmp_path, rule, before=before), src4="192.0.2.1") for rule in rules[1:]] == [
        "accept drop"
    ] * 3
