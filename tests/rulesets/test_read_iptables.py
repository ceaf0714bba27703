"""iptables-save text: what each match means for packets, by the plain evaluator; what is not modelled stays as unknown."""

from __future__ import annotations

import pytest
from tests.rulesets.packet_fates import fate, filter_table, read, unknowns

from wardkeep.core.errors import BadInput
from wardkeep.packets.dimensions import Values
from wardkeep.packets.program import Unknown
from wardkeep.packets.ranks import rows_of
from wardkeep.rulesets.iptables.reader import read_iptables

ACCEPTS = [
    # (rule, packets it accepts, packets it leaves to the policy)
    ("-s 192.0.2.0/24 -j ACCEPT", [{"src4": "192.0.2.9"}], [{"src4": "192.0.3.0"}]),
    ("! -s 192.0.2.0/24 -j ACCEPT", [{"src4": "192.0.3.0"}], [{"src4": "192.0.2.9"}]),
    ("-s ! 192.0.2.0/24 -j ACCEPT", [{"src4": "192.0.3.0"}], [{"src4": "192.0.2.9"}]),
    ("-d 10.7.0.1/255.255.0.255 -j ACCEPT", [{"dst4": "10.7.7.1"}], [{"dst4": "10.7.7.2"}]),
    ("-i eth+ -j ACCEPT", [{"in": "eth0"}, {"in": "eth"}], [{"in": "wlan0"}]),
    ("! -i lo -j ACCEPT", [{"in": "eth0"}], [{"in": "lo"}]),
    ("-p tcp -m tcp --dport 1:22 -j ACCEPT", [{}, {"dport": 1}], [{"dport": 23}, {"proto": 17}]),
    ("-p tcp -m tcp --dport :22 -j ACCEPT", [{"dport": 0}], [{"dport": 23}]),
    ("-p tcp -m tcp ! --dport 22 -j ACCEPT", [{"dport": 23}], [{}, {"proto": 17, "dport": 23}]),
    ("-p tcp --dport ssh -j ACCEPT", [{}], [{"dport": 23}]),
    ("-p tcp -m tcp --dport 25:20 -j ACCEPT", [], [{}, {"dport": 25}, {"dport": 20}]),
    ("-p tcp -m multiport --dports 22,80:90 -j ACCEPT", [{}, {"dport": 85}], [{"dport": 91}]),
    ("-p tcp -m multiport ! --dports 22,80:90 -j ACCEPT", [{"dport": 91}], [{}, {"dport": 85}]),
    ("-p tcp -m multiport --ports 40000 -j ACCEPT", [{}, {"sport": 1, "dport": 40000}], [{"sport": 1}]),
    ("-p tcp -m multiport ! --ports 40000 -j ACCEPT", [{"sport": 1}], [{}, {"sport": 1, "dport": 40000}]),
    (
        "-m iprange --src-range 192.0.2.5-192.0.2.7 -j ACCEPT",
        [{"src4": "192.0.2.6"}],
        [{"src4": "192.0.2.8"}],
    ),
    (
        "-m iprange ! --dst-range 192.0.2.5-192.0.2.7 -j ACCEPT",
        [{"dst4": "192.0.2.8"}],
        [{"dst4": "192.0.2.6"}],
    ),
    ("-m mac --mac-source 00:11:22:33:44:55 -j ACCEPT", [{"mac": 0x001122334455}], [{"mac": 1}]),
    (
        "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        [{"state": 1}, {"state": 2}],
        [{}, {"state": 4}],
    ),
    ("-m state ! --state NEW -j ACCEPT", [{"state": 0}, {"state": 4}], [{}]),
    ("-m conntrack --ctstate DNAT -j ACCEPT", [{"status": 32}], [{"status": 16}, {}]),
    (
        "-m conntrack --ctstate NEW,DNAT -j ACCEPT",
        [{}, {"state": 1, "status": 40}],
        [{"state": 1, "status": 8}],
    ),
    (
        "-m conntrack --ctstatus SEEN_REPLY,ASSURED -j ACCEPT",
        [{"state": 1, "status": 2}, {"state": 1, "status": 12}],
        [{"state": 1, "status": 8}, {"state": 0}, {"state": 4}],
    ),
    (
        "-m conntrack ! --ctstatus ASSURED -j ACCEPT",
        [{}, {"state": 1, "status": 10}],
        [{"state": 1, "status": 14}, {"state": 0}, {"state": 4}],
    ),
    # A packet without a connection passes where the state is tested, too (xt_conntrack.c); NONE names no bit.
    (
        "-m conntrack --ctstate UNTRACKED,ESTABLISHED --ctstatus ASSURED -j ACCEPT",
        [{"state": 4}, {"state": 1, "status": 4}],
        [{"state": 1, "status": 2}, {"state": 0}, {"status": 4}],
    ),
    ("-m conntrack --ctstatus NONE -j ACCEPT", [], [{}, {"state": 1, "status": 4}, {"state": 0}]),
    ("-m conntrack ! --ctstatus NONE -j ACCEPT", [{}, {"state": 2}], [{"state": 0}, {"state": 4}]),
    ("-m conntrack --ctstate NEW --ctproto 6 -j ACCEPT", [{}], [{"proto": 17}, {"state": 1}]),
    ("-m conntrack --ctstate NEW --ctorigdstport 22 -j ACCEPT", [{}], [{"dport": 23}]),
    (
        "-p icmp -m icmp --icmp-type 8 -j ACCEPT",
        [{"proto": 1, "icmp_type": 8}],
        [{"proto": 1, "icmp_type": 0}, {}],
    ),
    (
        "-p icmp -m icmp ! --icmp-type 8 -j ACCEPT",
        [{"proto": 1, "icmp_type": 0}],
        [{"proto": 1, "icmp_type": 8}, {}],
    ),
    (
        "-p icmp -m icmp --icmp-type port-unreachable -j ACCEPT",
        [{"proto": 1, "icmp_type": 3, "icmp_code": 3}],
        [{"proto": 1, "icmp_type": 3, "icmp_code": 1}],
    ),
    ("-p icmp -m icmp --icmp-type any -j ACCEPT", [{"proto": 1, "icmp_type": 77}], [{}]),
    ("-p tcp -m tcp --syn -j ACCEPT", [{"tcp_flags": 2}, {"tcp_flags": 10}], [{"tcp_flags": 18}]),
    ("-p tcp -m tcp ! --syn -j ACCEPT", [{"tcp_flags": 18}], [{"tcp_flags": 2}]),
    (
        "-p tcp -m tcp --tcp-flags ALL NONE -j ACCEPT",
        [{"tcp_flags": 0}, {"tcp_flags": 64}],
        [{"tcp_flags": 1}],
    ),
    ("-m mark --mark 0x10/0xf0 -j ACCEPT", [{"mark": 0x1F}], [{"mark": 0x2F}]),
    ("-m connmark ! --mark 0x1 -j ACCEPT", [{"ctmark": 2}], [{"ctmark": 1}]),
    ("-m addrtype --dst-type MULTICAST -j ACCEPT", [{"dst4": "224.0.0.251"}], [{"dst4": "223.0.0.1"}]),
    (
        "-m addrtype --dst-type LOCAL -j ACCEPT",
        [{"dst4": "192.0.2.2"}],
        [{"dst4": "224.0.0.1"}, {"dst4": "255.255.255.255"}],
    ),
    ("-p 50 -j ACCEPT", [{"proto": 50}], [{}]),
    ("! -p udp -j ACCEPT", [{}], [{"proto": 17}]),
    ("-f -j ACCEPT", [], [{}]),
    ('-m comment --comment "say \\"-j DROP\\" twice" -j ACCEPT', [{}], []),
]


@pytest.mark.parametrize(("rule", "accepted", "left"), ACCEPTS, ids=[a[0] for a in ACCEPTS])
def test_a_match_means_what_the_kernel_does(
    rule: str, accepted: list[dict[str, int | str]], left: list[dict[str, int | str]]
) -> None:
    program = read(filter_table(rule))
    assert not unknowns(program)
    assert [fate(program, **p) for p in accepted] == ["accept"] * len(accepted)
    assert [fate(program, **p) for p in left] == ["drop"] * len(left)


@pytest.mark.parametrize(
    ("words", "family", "types"),
    [
        ("--dst-type LOCAL", 4, ((2, 2),)),
        ("! --dst-type LOCAL", 4, ((2, 2),)),
        ("--dst-type LOCAL,BROADCAST", 4, ((2, 3),)),
        ("--dst-type UNICAST", 4, ((1, 1),)),
        ("--dst-type LOCAL", 6, ((2, 2),)),
        ("--dst-type UNICAST", 6, None),
        ("--dst-type LOCAL,ANYCAST", 6, None),
        ("--dst-type THROW", 4, None),
        ("--src-type LOCAL", 4, None),
        ("--dst-type LOCAL --limit-iface-in", 4, None),
    ],
)
def test_what_routing_says_is_a_property_of_packets_that_nothing_has_translated(
    words: str, family: int, types: Values | None
) -> None:
    """Before the nat table is done; later routing is asked about another address."""
    head = "# Generated by ip6tables-save v1.8.9\n" if family == 6 else ""

    def asked(table: str, chain: str) -> list[Values]:
        built_in = ":PREROUTING ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:OWN - [0:0]\n"
        jump = f"-A {chain} -j OWN\n"
        text = f"{head}*{table}\n{built_in}{jump}-A OWN -m addrtype {words} -j RETURN\nCOMMIT\n"
        chains, _ = read_iptables(text, "dump", {})
        parts = [part for one in chains for rule in one.rules for part in rule.body]
        return [row["dst_type"] for part in parts for row in rows_of(part) if "dst_type" in row]

    expected = [] if types is None else [types]
    assert asked("nat", "PREROUTING") == asked("mangle", "OUTPUT") == expected
    assert asked("mangle", "FORWARD") == asked("filter", "OUTPUT") == []


@pytest.mark.parametrize("negation", ["", "! "])
def test_a_later_fragment_meets_no_test_of_a_port_negated_or_not(negation: str) -> None:
    text = filter_table(f"-p tcp -m tcp {negation}--dport 22 -j ACCEPT")
    assert "state" not in text  # nothing here tracks connections, so fragments arrive as they are
    assert fate(text, fragment=1) == "drop"
    assert fate(filter_table("-p tcp -f -j ACCEPT"), fragment=1) == "accept"


UNMODELLED = [
    "-s 10.0.0.1/255.0.0.255 -j ACCEPT",
    "-m limit --limit 3/min -j ACCEPT",
    "-m recent --rcheck --seconds 60 --name x --rsource -j ACCEPT",
    "-m hashlimit --hashlimit-above 5/sec --hashlimit-name x -j ACCEPT",
    '-m string --string "a -j DROP b" --algo bm -j ACCEPT',
    "-m u32 --u32 0x0>>0x16&0x3c@0x4=0x29 -j ACCEPT",
    "-m physdev --physdev-in eth1 --physdev-is-bridged -j ACCEPT",
    "-m addrtype --src-type LOCAL -j ACCEPT",
    "-m owner --uid-owner postgres -j ACCEPT",
    "-m set --match-set absent src -j ACCEPT",
    "-m notyetinvented --level 5 --really -j ACCEPT",
    "-m socket -j ACCEPT",
    "-m ttl --ttl-eq 255 -j ACCEPT",
    "-m time --timestart 08:00 --timestop 18:00 -j ACCEPT",
    "-p tcp --dprot 22 -j ACCEPT",
    "-j NOTYETINVENTED --to 5",
]


@pytest.mark.parametrize("rule", UNMODELLED)
def test_a_match_that_is_not_modelled_is_unknown_and_opens_and_closes_nothing(rule: str) -> None:
    program = read(filter_table(rule, policy="DROP"))
    assert len(unknowns(program)) == 1
    assert fate(program) == "accept drop"


def test_a_known_match_beside_an_unknown_one_still_counts() -> None:
    program = read(filter_table("-m recent --rcheck --name x -p tcp -m tcp --dport 22 -j ACCEPT"))
    assert unknowns(program) == ["-m recent --rcheck --name x"]
    assert (fate(program), fate(program, dport=23)) == ("accept drop", "drop")


def test_the_original_tuple_of_a_reply_may_be_anything() -> None:
    program = read(filter_table("-m conntrack --ctorigsrc 192.0.2.1 -j ACCEPT"))
    assert fate(program, src4="192.0.2.1") == "accept"
    assert fate(program, src4="192.0.2.2") == "drop"
    assert fate(program, src4="192.0.2.2", state=1) == "accept drop"
    assert fate(program, src4="192.0.2.1", state=4) == "drop"  # no connection, no tuple


def test_a_translated_destination_is_not_the_original_one() -> None:
    nat = "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.9:22\nCOMMIT\n"
    program = read(filter_table("-m conntrack --ctstate NEW --ctorigdstport 22 -j ACCEPT") + nat)
    assert fate(program) == "accept"
    assert fate(program, status=32) == "accept drop"


def test_jump_goto_and_return() -> None:
    rules = (
        "-A INPUT -j one",
        "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
        "-A one -s 10.0.0.0/8 -j RETURN",
    )
    jumped = (*rules, "-A one -s 192.0.2.0/24 -j DROP")
    program = read(filter_table(*jumped, chains="one"))
    assert [fate(program, src4=a) for a in ("10.1.1.1", "192.0.2.1", "8.8.8.8")] == [
        "accept",
        "drop",
        "accept",
    ]
    gone = read(filter_table("-A INPUT -g one", *rules[1:], chains="one"))
    assert fate(gone, src4="10.1.1.1") == "drop"


def test_return_under_an_unknown_match_may_come_back_or_not() -> None:
    rules = (
        "-A INPUT -j one",
        "-A INPUT -j ACCEPT",
        "-A one -m limit --limit 1/sec -j RETURN",
        "-A one -p tcp -m tcp --dport 22 -j DROP",
    )
    assert fate(filter_table(*rules, chains="one")) == "accept drop"
    assert fate(filter_table(*rules, chains="one"), dport=23) == "accept"


def test_a_mark_set_earlier_is_matched_later() -> None:
    mangle = "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i eth0 -j MARK --set-xmark 0x2/0xf\nCOMMIT\n"
    program = read(mangle + filter_table("-m mark --mark 0x2/0xf -j ACCEPT"))
    assert fate(program, mark=0x31) == "accept"
    assert fate(program, **{"in": "eth1", "mark": 0x31}) == "drop"


def test_a_packet_taken_out_of_tracking_is_untracked() -> None:
    raw = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i eth0 -j CT --notrack\nCOMMIT\n"
    program = read(raw + filter_table("-m conntrack --ctstate UNTRACKED -j ACCEPT"))
    assert (fate(program), fate(program, **{"in": "eth1"})) == ("accept", "drop")


def test_destinations_are_rewritten_before_the_filter_sees_them() -> None:
    nat = "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080\nCOMMIT\n"
    program = read(nat + filter_table("-p tcp -m tcp --dport 8080 -j ACCEPT"))
    assert (fate(program, dport=80), fate(program)) == ("accept", "drop")


def test_ipset_save_beside_the_dump() -> None:
    sets = (
        "create nets hash:net family inet hashsize 1024 maxelem 65536\nadd nets 192.0.2.0/24\nadd nets 192.0.2.9 nomatch\n"
        "create pairs hash:ip,port family inet\nadd pairs 192.0.2.1,tcp:22\nadd pairs 192.0.2.2,udp:53\n"
        "create all list:set size 8\nadd all nets\n"
        "create six hash:ip family inet6\nadd six 2001:db8::1\n"
    )
    program = read(filter_table("-m set --match-set pairs src,dst -j ACCEPT"), sets)
    assert [fate(program, src4=a) for a in ("192.0.2.1", "192.0.2.2")] == ["accept", "drop"]
    negated = read(filter_table("-m set ! --match-set pairs src,dst -j ACCEPT"), sets)
    assert [fate(negated, src4=a) for a in ("192.0.2.1", "192.0.2.2")] == ["drop", "accept"]
    # A set that has a port in it holds no packet without one: the negation is true there.
    assert fate(negated, src4="192.0.2.1", proto=1) == "accept"
    assert fate(read(filter_table("-m set --match-set six src -j ACCEPT"), sets)) == "drop"
    held = read(
        filter_table("-m set --match-set nets src -j ACCEPT"),
        sets.replace("add nets 192.0.2.9 nomatch\n", ""),
    )
    assert fate(held, src4="192.0.2.9") == "accept"
    listed = read(
        filter_table("-m set --match-set all src -j ACCEPT"), sets.replace("add nets 192.0.2.9 nomatch\n", "")
    )
    assert fate(listed, src4="192.0.2.77") == "accept"
    holed = read(filter_table("-m set --match-set nets src -j ACCEPT"), sets)
    assert [fate(holed, src4=a) for a in ("192.0.2.8", "192.0.2.9")] == ["accept", "drop"]


def test_both_families_of_one_host() -> None:
    four = filter_table("-p tcp -m tcp --dport 22 -j DROP", "-j ACCEPT")
    six = filter_table(
        "-p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT", head="# Generated by ip6tables-save v1.8.9"
    )
    program = read(four, six)
    assert (fate(program), fate(program, dport=80)) == ("drop", "accept")
    assert fate(program, family=6, proto=58, icmp6_type=135) == "accept"
    assert fate(program, family=6) == "drop"
    assert [c.entry.families for c in read(four + six).chains if c.entry][:4:3] == [
        (4,),
        (6,),
    ]  # in one file, by headers


def test_counters_comments_and_lines_are_kept() -> None:
    text = filter_table('[12:800] -A INPUT -s 10.0.0.1/32 -m comment --comment "ops: jump host" -j ACCEPT')
    text = text.replace("-A INPUT [", "[")
    (rule,) = read(text).chains[0].rules
    assert (rule.packets, rule.octets, rule.comment, rule.line) == (12, 800, "ops: jump host", 6)
    assert rule.text == '-A INPUT -s 10.0.0.1/32 -m comment --comment "ops: jump host" -j ACCEPT'


WRONG = [
    (
        filter_table("-j ACCEPT").replace("COMMIT\n", ""),
        "file1: the table filter does not end with COMMIT: the dump is cut off",
    ),
    (filter_table("-A NOWHERE -j ACCEPT"), "file1:6: the chain NOWHERE is not declared before this rule"),
    (filter_table("-s 300.1.1.1/32 -j ACCEPT"), "file1:6: `300.1.1.1/32` is no IPv4 address or network"),
    (filter_table("-p tcp -m tcp --dport 70000 -j ACCEPT"), "file1:6: `70000` is no port or range of ports"),
    (filter_table("-p tcp --dport"), "file1:6: `--dport` lacks its value"),
    (
        filter_table('-m comment --comment "half -j ACCEPT'),
        'file1:6: `-A INPUT -m comment --comment "half -j ACCEPT` has an open',
    ),
    (filter_table("-g nowhere"), "file1:6: goes to the chain nowhere, which is not declared"),
    (
        filter_table("-A INPUT -j ACCEPT", "garbage").replace("-A INPUT garbage", "garbage"),
        "file1:7: `garbage` is nothing",
    ),
    (
        filter_table("-j ACCEPT") + filter_table("-j DROP"),
        "file1:9: the table filter stands twice (first on line 2)",
    ),
    (filter_table("-A INPUT -j a", "-A a -j b", "-A b -j a", chains="a b"), "file1: chain ip filter"),
]


@pytest.mark.parametrize(("text", "told"), WRONG, ids=[w[1][:50] for w in WRONG])
def test_a_faulty_dump_is_one_clear_line(text: str, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        read(text)
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)


def test_every_cut_of_a_dump_is_refused() -> None:
    text = filter_table("-p tcp -m tcp --dport 22 -j ACCEPT", "-j REJECT --reject-with icmp-port-unreachable")
    for length in range(len(text.rstrip())):
        with pytest.raises(BadInput):
            read(text[:length])


def test_the_words_of_an_unknown_match_are_shown_as_written() -> None:
    rule = read(filter_table("-m ttl ! --ttl-eq 255 -j DROP")).chains[0].rules[0]
    assert rule.body[0] == Unknown("-m ttl ! --ttl-eq 255")
