"""nft's rule sets: text that nft itself lists as JSON in a namespace of its own, then what it means for packets."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.rulesets.packet_fates import fate, read, unknowns

from wardkeep.core.errors import BadInput, NotUnderstood, Unavailable
from wardkeep.packets.audit import analyse
from wardkeep.packets.program import Program
from wardkeep.rulesets.files import load
from wardkeep.rulesets.nft.loading import links_in, read_listing


def load_or_skip(path: Path) -> Program:
    """The file's program. Who may not make a namespace gets a clear refusal instead, and the test is skipped."""
    try:
        return load([path])[0].program
    except Unavailable as e:
        if os.geteuid() == 0:
            raise
        pytest.skip(f"reading nft text: {e}")


def nft(tmp_path: Path, *rules: str, policy: str = "drop", before: str = "", after: str = "") -> Program:
    """The program of an inet table whose input chain has the rules; `before` stands in the table, `after` behind it."""
    body = "\n    ".join(rules)
    chain = f"  chain input {{\n    type filter hook input priority 0; policy {policy};\n    {body}\n  }}"
    path = tmp_path / "rules.nft"
    path.write_text(f"table inet t {{\n{before}\n{chain}\n}}\n{after}\n")
    return load_or_skip(path)


ACCEPTS = [
    # (rule, packets it accepts, packets it leaves to the policy)
    ("tcp flags syn accept", [{"tcp_flags": 2}, {"tcp_flags": 18}], [{"tcp_flags": 16}]),
    ("tcp flags == syn accept", [{"tcp_flags": 2}], [{"tcp_flags": 18}]),
    ("tcp flags { syn, ack } accept", [{"tcp_flags": 2}, {"tcp_flags": 16}], [{"tcp_flags": 18}]),
    (
        "tcp flags & (fin|syn|rst|ack) == syn accept",
        [{"tcp_flags": 2}, {"tcp_flags": 10}],
        [{"tcp_flags": 18}],
    ),
    ("tcp flags & (syn|ack) == 0 accept", [{"tcp_flags": 1}], [{"tcp_flags": 18}, {"tcp_flags": 2}]),
    ("tcp flags != syn accept", [{"tcp_flags": 18}], [{"tcp_flags": 2}, {"proto": 17}]),
    ("ct state established,related accept", [{"state": 1}, {"state": 2}], [{}, {"state": 4}]),
    ("ct state { established, new } accept", [{"state": 1}, {}], [{"state": 2}]),
    ("ct state != new accept", [{"state": 4}], [{}]),
    ("ct state untracked accept", [{"state": 4}], [{}]),
    ("ct status dnat accept", [{"status": 32}, {"status": 48}], [{"status": 16}]),
    ("ct status & (dnat|snat) == dnat accept", [{"status": 40}], [{"status": 48}]),
    ("ip saddr 192.0.2.0/24 accept", [{"src4": "192.0.2.1"}], [{"src4": "192.0.3.1"}, {"family": 6}]),
    ("ip saddr != 192.0.2.0/24 accept", [{"src4": "192.0.3.1"}], [{"src4": "192.0.2.1"}, {"family": 6}]),
    (
        "ip saddr != { 192.0.2.1, 192.0.2.8-192.0.2.9 } accept",
        [{"src4": "192.0.2.7"}],
        [{"src4": "192.0.2.8"}],
    ),
    ("ip6 daddr fe80::/10 accept", [{"dst6": "fe80::1"}], [{"dst6": "2001:db8::1"}, {}]),
    ("ip saddr & 0.0.255.255 == 0.0.2.1 accept", [], []),
    ("tcp dport { 22, 8000-8010 } accept", [{}, {"dport": 8005}], [{"dport": 23}, {"proto": 17}]),
    ("tcp dport != 22 accept", [{"dport": 23}], [{}, {"proto": 17, "dport": 23}]),
    ("tcp dport >= 1024 accept", [{"dport": 1024}], [{"dport": 1023}]),
    ("udp dport 53 accept", [{"proto": 17, "dport": 53}], [{"dport": 53}]),
    ("meta l4proto { tcp, udp } th dport 22 accept", [{}, {"proto": 17}], [{"proto": 132}, {"dport": 23}]),
    ("meta l4proto != tcp accept", [{"proto": 17}], [{}]),
    ('iifname "eth*" accept', [{"in": "eth0"}, {"in": "eth"}], [{"in": "wlan0"}]),
    ('iifname != "lo" accept', [{"in": "eth0"}], [{"in": "lo"}]),
    ("iif lo accept", [{"in": "lo"}], [{"in": "lo0"}]),
    ('iifname { "eth0", "wg0" } accept', [{"in": "wg0"}], [{"in": "eth1"}]),
    ("meta nfproto ipv6 accept", [{"family": 6}], [{}]),
    ("meta mark & 0xf0 == 0x10 accept", [{"mark": 0x1F}], [{"mark": 0x2F}]),
    ("meta mark 0x1-0x5 accept", [{"mark": 5}], [{"mark": 6}]),
    ("ct mark & 0xff != 0 accept", [{"ctmark": 256 + 1}], [{"ctmark": 256}]),
    ("icmp type echo-request accept", [{"proto": 1, "icmp_type": 8}], [{"proto": 1, "icmp_type": 0}, {}]),
    (
        "icmp type destination-unreachable icmp code frag-needed accept",
        [{"proto": 1, "icmp_type": 3, "icmp_code": 4}],
        [{"proto": 1, "icmp_type": 3, "icmp_code": 3}],
    ),
    (
        "icmpv6 type { nd-neighbor-solicit, 1-4 } accept",
        [{"family": 6, "proto": 58, "icmp6_type": 135}, {"family": 6, "proto": 58, "icmp6_type": 2}],
        [{"family": 6, "proto": 58, "icmp6_type": 128}, {"proto": 58}],
    ),
    ("ether saddr 00:11:22:33:44:55 accept", [{"mac": 0x001122334455}], [{"mac": 5}]),
    ("ip6 nexthdr tcp accept", [{"family": 6}], [{"family": 6, "extension": 1}, {}]),
    (
        "ip6 nexthdr != tcp accept",
        [{"family": 6, "extension": 1}, {"family": 6, "proto": 17}],
        [{"family": 6}, {}],
    ),
    ("ip protocol tcp accept", [{}], [{"family": 6}, {"proto": 17}]),
    (
        "ip saddr . tcp dport { 192.0.2.0/24 . 22, 10.0.0.1 . 80-90 } accept",
        [{"src4": "192.0.2.7"}, {"src4": "10.0.0.1", "dport": 85}],
        [{"src4": "10.0.0.1"}, {"src4": "192.0.2.7", "dport": 85}],
    ),
    (
        "ip daddr . meta l4proto . th dport vmap { 10.0.0.1 . tcp . 22 : accept, 10.0.0.0/8 . udp . 53 : accept }",
        [{"dst4": "10.0.0.1"}, {"dst4": "10.9.9.9", "proto": 17, "dport": 53}],
        [{"dst4": "10.0.0.2"}],
    ),
    ("tcp dport vmap { 1-30 : accept, 80 : drop }", [{}], [{"dport": 80}, {"dport": 81}]),
    (
        "ct state vmap { established : accept, invalid : drop, related : accept }",
        [{"state": 1}],
        [{"state": 0}, {}],
    ),
    ("meta skuid != 0 accept", [{"user": 5}], [{"user": 0}, {}]),
    # Without the flag's own operator this compares with the value of both bits, which no packet has.
    ("ct state != established,related accept", [{"state": 1}, {}], []),
    ("ip saddr { 10.0.0.0/8, * } accept", [{"src4": "10.0.0.1"}, {}], [{"family": 6}]),
    (
        "meta l4proto . ip daddr . tcp dport { tcp . 10.0.0.1 . 80, udp . 10.0.0.1 . 81 } accept",
        [{"dst4": "10.0.0.1", "dport": 80}],
        [{"dst4": "10.0.0.1", "dport": 81, "proto": 17}, {"dst4": "10.0.0.1", "dport": 81}],
    ),
]


@pytest.mark.parametrize(("rule", "accepted", "left"), ACCEPTS, ids=[a[0] for a in ACCEPTS])
def test_a_match_means_what_the_kernel_does(
    tmp_path: Path, rule: str, accepted: list[dict[str, int | str]], left: list[dict[str, int | str]]
) -> None:
    program = nft(tmp_path, rule)
    assert [fate(program, **p) for p in accepted] == ["accept"] * len(accepted)
    assert [fate(program, **p) for p in left] == ["drop"] * len(left)
    assert bool(unknowns(program)) == (
        not accepted
    )  # the one with a mask of too many holes is said to be unknown


UNMODELLED = [
    "limit rate 5/second accept",
    "limit rate over 5/second accept",
    "ct count over 5 accept",
    "ct original ip saddr 192.0.2.1 accept",
    "fib daddr . mark type local accept",
    "fib saddr . iif oif lo accept",
    "fib daddr oif lo accept",
    "tcp option sack-perm exists accept",
    "ether type 0x88cc accept",
    "numgen random mod 2 0 accept",
    "th dport 22 accept",
    "add @seen { ip saddr } accept",
    "ip saddr @seen accept",
    "ip saddr != @seen accept",
]


@pytest.mark.parametrize("rule", UNMODELLED)
def test_a_match_that_is_not_modelled_is_unknown_and_opens_and_closes_nothing(
    tmp_path: Path, rule: str
) -> None:
    program = nft(tmp_path, rule, before="set seen { type ipv4_addr; flags dynamic,timeout; timeout 1h; }")
    assert len(unknowns(program)) == 1
    # `th dport` is only in doubt where the protocol has no ports.
    doubtful: dict[str, int | str] = {"proto": 50} if "th dport" in rule else {"ethernet": 1}
    assert fate(program, **doubtful) == "accept drop"


def test_a_verdict_map_falls_through_unless_it_has_a_default(tmp_path: Path) -> None:
    falls = nft(tmp_path, "tcp dport vmap { 80 : drop }", "tcp dport 22 accept")
    assert [fate(falls, dport=p) for p in (22, 80)] == ["accept", "drop"]
    default = nft(tmp_path, "tcp dport vmap { 80 : accept, * : drop }", "accept")
    assert [fate(default, **p) for p in ({"dport": 80}, {}, {"proto": 17})] == ["accept", "drop", "accept"]


def test_named_sets_and_maps_are_looked_up(tmp_path: Path) -> None:
    sets = """
  set admins { type ipv4_addr; flags interval; elements = { 192.0.2.0/24, 198.51.100.7 } }
  set links { type ifname; elements = { "eth0" } }
  map ways { type inet_service : verdict; elements = { 22 : accept, 80 : drop } }
"""
    program = nft(tmp_path, "ip saddr @admins iifname @links tcp dport vmap @ways", before=sets)
    assert fate(program, src4="192.0.2.1") == "accept"
    assert fate(program, src4="203.0.113.1") == "drop"
    assert not unknowns(program)


def test_a_set_that_rules_write_into_may_hold_anything(tmp_path: Path) -> None:
    # nft 1.0.6 loses the flag `dynamic` in its JSON: the rule that writes betrays the set.
    sets = "set seen { type ipv4_addr; flags dynamic; size 65535; }"
    program = nft(tmp_path, "ip saddr @seen accept", "tcp dport 9 add @seen { ip saddr }", before=sets)
    assert fate(program) == "accept drop"


def test_an_element_of_a_timed_set_may_expire_and_hides_and_opens_nothing(tmp_path: Path) -> None:
    """What it holds now is no promise, neither that it stays nor that nothing is added; its words stay in the report."""
    timed = "  set banned {\n    type ipv4_addr\n    flags timeout\n    elements = { 192.0.2.1 timeout 1h, 192.0.2.2 }\n  }"
    program = nft(
        tmp_path,
        "ip saddr @banned drop",
        "ip saddr 192.0.2.1 accept",
        "ip saddr @banned accept",
        before=timed,
    )
    assert unknowns(program) == ["ip saddr @banned", "ip saddr @banned"]
    assert fate(program, src4="192.0.2.1") == "accept drop"
    assert fate(program, src4="192.0.2.2") == "accept drop"
    assert fate(program, src4="198.51.100.1") == "accept drop"  # somebody may have put it in since
    assert fate(program, family=6) == "drop"  # no IPv6 packet is in a set of IPv4
    assert [answer.verdict for answer in analyse(program, removable=False).rules] == ["live"] * 3


def test_goto_in_a_base_chain_ends_in_its_policy(tmp_path: Path) -> None:
    chains = "chain one {\n ip saddr 10.0.0.0/8 accept\n }"
    program = nft(tmp_path, "goto one", "tcp dport 22 accept", before=chains)
    assert [fate(program, src4=a) for a in ("10.0.0.1", "192.0.2.1")] == ["accept", "drop"]
    jumps = nft(tmp_path, "jump one", "tcp dport 22 accept", before=chains)
    assert fate(jumps, src4="192.0.2.1") == "accept"


def test_accept_in_one_table_and_drop_in_a_later_one(tmp_path: Path) -> None:
    later = "table ip late {\n chain input {\n type filter hook input priority 10;\n tcp dport 22 drop\n }\n}"
    program = nft(tmp_path, "accept", after=later)
    assert [fate(program), fate(program, family=6), fate(program, dport=23)] == ["drop", "accept", "accept"]


def test_a_mark_set_and_then_matched(tmp_path: Path) -> None:
    pre = 'chain pre {\n type filter hook prerouting priority -150;\n iifname "eth0" meta mark set meta mark & 0xffffff00 | 0x5\n }'
    program = nft(tmp_path, "meta mark & 0xff == 0x5 accept", before=pre)
    assert [fate(program, mark=m) for m in (0, 0x107)] == ["accept", "accept"]
    assert fate(program, **{"in": "eth1", "mark": 0x107}) == "drop"


def test_a_dormant_table_sees_no_packet(tmp_path: Path) -> None:
    asleep = "table inet asleep {\n flags dormant;\n chain input {\n type filter hook input priority -5; policy drop;\n }\n}"
    program = nft(tmp_path, "accept", after=asleep)
    assert fate(program) == "accept"
    assert program.notes == ("the table inet asleep is dormant: no packet enters it",)


def test_notrack_and_nat_before_input(tmp_path: Path) -> None:
    before = """
  chain raw {\n type filter hook prerouting priority -300;\n udp dport 53 notrack\n }
  chain nat {\n type nat hook prerouting priority -100;\n tcp dport 80 redirect to :8080\n }
"""
    program = nft(tmp_path, "ct state untracked accept", "tcp dport 8080 accept", before=before)
    assert fate(program, proto=17, dport=53) == "accept"
    assert [fate(program, dport=p) for p in (80, 8080, 22)] == ["accept", "accept", "drop"]


def test_families_that_are_not_ip_are_said(tmp_path: Path) -> None:
    other = "table arp a {\n chain input {\n type filter hook input priority 0;\n arp operation request drop\n }\n}"
    program = nft(tmp_path, "accept", after=other)
    assert program.notes == ("tables of the family arp are followed apart from those of IP",)
    assert {c.entry.layer for c in program.chains if c.entry} == {"ip", "arp"}


def test_rules_have_nfts_own_words_and_handles(tmp_path: Path) -> None:
    program = nft(tmp_path, 'tcp dport 22 counter packets 7 bytes 99 accept comment "ops"')
    (rule,) = program.chains[0].rules
    assert rule.text == 'tcp dport 22 counter packets 7 bytes 99 accept comment "ops"'
    assert (rule.id, rule.comment, rule.packets) == ("inet t input 2", "ops", 7)


def test_interfaces_named_by_index_are_made_for_the_load(tmp_path: Path) -> None:
    program = nft(tmp_path, "iif eth7 accept", "iif { lo, eth8 } oif != eth9 accept")
    assert [fate(program, **{"in": name}) for name in ("eth7", "eth8", "eth0")] == [
        "accept",
        "accept",
        "drop",
    ]
    assert links_in('iifname "no"\niif "a"\noif != b0\ndevices = { c, d }\niif { e, "f" }') == {
        "a",
        "b0",
        "c",
        "d",
        "e",
        "f",
    }


def test_what_nft_refuses_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        nft(tmp_path, "tcp dprot 22 accept")
    assert str(caught.value).startswith(f"{tmp_path}/rules.nft: nft refuses it: 5:")
    assert "\n" not in str(caught.value)


def test_loading_leaves_no_trace_on_this_machine(tmp_path: Path) -> None:
    before = subprocess.run(["nft", "list", "tables"], capture_output=True, check=True).stdout
    nft(tmp_path, "tcp dport 22 accept")
    assert subprocess.run(["nft", "list", "tables"], capture_output=True, check=True).stdout == before


def whole(*objects: dict[str, object]) -> str:
    head = {"metainfo": {"version": "1.0.6", "json_schema_version": 1}}
    table = {"table": {"family": "inet", "name": "t", "handle": 1}}
    chain = {
        "family": "inet",
        "table": "t",
        "name": "input",
        "type": "filter",
        "hook": "input",
        "prio": 0,
        "policy": "drop",
    }
    return json.dumps({"nftables": [head, table, {"chain": chain}, *objects]})


def rule(*expr: dict[str, object]) -> dict[str, object]:
    return {"rule": {"family": "inet", "table": "t", "chain": "input", "handle": 4, "expr": list(expr)}}


def test_json_without_text_is_worded_as_nft_would() -> None:
    match = {
        "match": {
            "op": "==",
            "left": {"payload": {"protocol": "tcp", "field": "dport"}},
            "right": {"set": [22, 80]},
        }
    }
    program = read(whole(rule(match, {"limit": {"rate": 5, "per": "second"}}, {"accept": None})))
    assert program.chains[0].rules[0].text == "tcp dport { 22, 80 } limit rate 5/second accept"


def test_a_table_whose_flags_are_garbled_may_be_asleep() -> None:
    text = whole(rule({"accept": None})).replace('"handle": 1}', '"handle": 1, "flags": "\\u0003x"}')
    assert fate(read(text)) == "accept"
    closed = text.replace(json.dumps({"accept": None}), json.dumps({"drop": None}))
    assert fate(read(closed)) == "accept drop"


def test_a_statement_nobody_knows_may_do_anything() -> None:
    program = read(whole(rule({"teleport": {"to": "mars"}})))
    assert fate(program) == "accept drop"
    assert len(unknowns(program)) == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (whole()[:-30], "file1: is no whole JSON: it breaks off at line 1"),
        (whole().replace('schema_version": 1', 'schema_version": 2'), "file1: JSON schema version 2"),
        (whole({"mystery": {}}), "file1: an object of the unknown kind `mystery`"),
        (
            whole(rule()).replace('"chain": "input", "handle"', '"chain": "gone", "handle"'),
            "file1: rules of the chain inet t gone",
        ),
        (
            whole(rule({"jump": {"target": "gone"}})),
            "file1: rule inet t input 4: jumps to inet t gone, which does not exist",
        ),
    ],
)
def test_faulty_json_is_one_clear_line(text: str, told: str) -> None:
    with pytest.raises((BadInput, NotUnderstood)) as caught:
        read(text)
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)


def test_tables_that_only_iptables_can_print_come_from_its_dump() -> None:
    text = (
        whole(rule({"accept": None}))
        .replace('"inet"', '"ip"')
        .replace('"t"', '"filter"')
        .replace('"input"', '"INPUT"')
    )
    dark = text.replace(
        json.dumps({"accept": None}), json.dumps({"xt": {"type": "match", "name": "multiport"}})
    )
    dump = "# Generated by iptables-save\n*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp -m multiport --dports 22 -j ACCEPT\nCOMMIT\n"
    assert unknowns(read(dark)) == ["the iptables match `multiport`, which nft does not print"]
    for order in ((dark, dump), (dump, dark)):
        program = read(*order)
        assert (fate(program), fate(program, dport=23), unknowns(program)) == ("accept", "drop", [])
    with pytest.raises(BadInput, match="the table ip filter is also in another file"):
        read(text, dump)


def test_a_listing_is_read_for_words_and_flags() -> None:
    listing = 'table ip d { # handle 1\n\tflags dormant\n\n\tchain x { # handle 1\n\t\ttype filter hook input priority 0;\n\t\tiif "lo" drop # handle 2\n\t}\n}\n'
    assert read_listing(listing) == ({"ip d x 2": 'iif "lo" drop'}, {("ip", "d"): ("dormant",)})
