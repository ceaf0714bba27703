"""The semantics that make analysers lie, one test each, on the engine."""

from __future__ import annotations

from tests.packets.test_reference import ACCEPT, DROP, RETURN, chain, input_, tcp

from wardkeep.packets.audit import RuleAnswer, analyse
from wardkeep.packets.dimensions import (
    ANY,
    PORT_PROTOCOLS,
    STATUS,
    TCP_FLAGS,
    AnyBit,
    Bits,
    Row,
    Values,
    states,
)
from wardkeep.packets.program import (
    Assign,
    Branches,
    Effect,
    Entry,
    Goto,
    Jump,
    Match,
    Nat,
    NoTrack,
    Part,
    Program,
    Unknown,
    Verdict,
)
from wardkeep.packets.questions import Question, reaches


def verdicts(*bodies: tuple[Part, ...], policy: str = "drop", program: Program | None = None) -> list[str]:
    told = analyse(program or Program((chain("in", *bodies, entry=input_(policy=policy)),)), removable=False)
    return [answer.verdict for answer in told.rules]


def one(program: Program, rule: str) -> RuleAnswer:
    return analyse(program).of(rule)


def asks(**row: Values) -> Match:
    return Match((row,))


def flags(*elements: Bits | AnyBit) -> Match:
    return asks(proto=((6, 6),), tcp_flags=elements)


SYN, ACK = TCP_FLAGS["syn"], TCP_FLAGS["ack"]
NET: Row = {"src4": ((0x0A000000, 0x0AFFFFFF),)}
SSH_QUESTION = Question(
    ({"proto": ((6, 6),), "dport": ((22, 22),), "state": states("new")},), ("input",), (4,)
)


def test_tcp_flags_syn_is_a_bit_test_and_equals_syn_a_value() -> None:
    bit, exact = flags(AnyBit(SYN)), flags(Bits(255, SYN))
    assert verdicts((bit, DROP), (exact, ACCEPT)) == ["live", "dead"]
    assert verdicts((exact, DROP), (bit, ACCEPT)) == ["live", "live"]
    both = flags(Bits(255, SYN), Bits(255, ACK))  # the set { syn, ack }: two exact values, not SYN|ACK
    assert verdicts((both, DROP), (flags(Bits(255, SYN | ACK)), ACCEPT)) == ["live", "live"]
    assert (
        verdicts((bit, DROP), (flags(Bits(SYN | ACK, 0)), DROP), (flags(AnyBit(ACK)), ACCEPT)) == ["live"] * 3
    )
    assert verdicts((bit, DROP), (flags(Bits(SYN, 0)), DROP), (flags(AnyBit(ACK)), ACCEPT)) == [
        "live",
        "live",
        "dead",
    ]


def test_ct_state_is_one_value_and_ct_status_many_bits() -> None:
    every = [(asks(state=states(s)), DROP) for s in ("invalid", "established", "related", "new", "untracked")]
    assert verdicts(*every, (ACCEPT,)) == ["live"] * 5 + ["dead"]
    snat, dnat = AnyBit(STATUS["snat"]), AnyBit(STATUS["dnat"])
    both = asks(status=(Bits(STATUS["snat"] | STATUS["dnat"], STATUS["snat"] | STATUS["dnat"]),))
    assert (
        verdicts((both, ACCEPT), (asks(status=(snat,)), DROP), (asks(status=(dnat,)), DROP)) == ["live"] * 3
    )
    assert verdicts((asks(status=(snat,)), DROP), (both, ACCEPT)) == ["live", "dead"]
    # A packet without a connection has no status: neither a test of it nor its negation holds.
    negated = Match(({"status": (snat,)},), negated=True)
    assert (
        verdicts((asks(status=(snat,)), DROP), (negated, DROP), (asks(state=states("untracked")), ACCEPT))
        == ["live"] * 3
    )
    assert (
        verdicts((asks(status=(snat,)), DROP), (negated, DROP), (asks(state=states("new")), ACCEPT))[2]
        == "dead"
    )


def test_notrack_makes_packets_untracked_for_later_chains() -> None:
    dns = asks(proto=((17, 17),), dport=((53, 53),))
    raw = chain("raw", (dns, NoTrack()), entry=Entry("prerouting", (4,), -300))
    new, untracked = (dns, asks(state=states("new")), DROP), (dns, asks(state=states("untracked")), ACCEPT)
    program = Program((raw, chain("in", new, untracked, entry=Entry("input", (4,), 0, "drop"))))
    assert verdicts(program=program) == ["live", "dead", "live"]
    late = Program((chain("raw", (dns, NoTrack()), entry=Entry("prerouting", (4,), -150)), program.chains[1]))
    assert verdicts(program=late) == ["live", "live", "live"]


def test_accept_in_one_base_chain_and_drop_in_a_later_one() -> None:
    first = chain("a", (tcp(22), ACCEPT), (tcp(22), DROP), entry=input_(-10))
    second = chain("b", (tcp(22), DROP), (tcp(22), ACCEPT), entry=input_(0, "accept"))
    program = Program((second, first))
    assert verdicts(program=program) == ["live", "dead", "live", "dead"]
    assert reaches(program, SSH_QUESTION).reach == "closed"
    assert one(program, "a/2").contradictory
    # A drop is final: nothing of a later chain is asked, whatever its family is called.
    dropped = Program((chain("a", (tcp(22), DROP), entry=input_(-10, "accept")), second))
    assert one(dropped, "b/1").cover == ("a/1",)


def test_iptables_nft_and_nft_on_the_same_hook_run_by_priority() -> None:
    ours = chain("inet filter input", (tcp(22), ACCEPT), entry=input_(0, "accept"))
    theirs = chain("ip filter INPUT", (tcp(22), DROP), entry=Entry("input", (4,), 0, "accept"))
    program = Program((theirs, ours))
    assert reaches(program, SSH_QUESTION).reach == "closed"
    six = Question(SSH_QUESTION.rows, ("input",), (6,))
    answer = reaches(program, six)
    assert answer.whole
    assert answer.allowed
    assert answer.allowed.family == 6


def test_goto_and_return_in_base_chains() -> None:
    side = chain("side", (tcp(80), ACCEPT), (RETURN,), (tcp(80), DROP))
    goes = chain("in", (Goto("side"),), (tcp(22), ACCEPT), entry=input_())
    assert verdicts(program=Program((goes, side))) == ["live", "dead", "live", "live", "dead"]
    jumps = chain("in", (Jump("side"),), (tcp(22), ACCEPT), entry=input_())
    assert verdicts(program=Program((jumps, side))) == ["live", "live", "live", "live", "dead"]
    assert verdicts((tcp(22), RETURN), (tcp(22), ACCEPT), policy="accept") == ["live", "dead"]
    # A goto chain's return goes back past the chain it was gone to from, to the last jump.
    outer = chain("in", (Jump("mid"),), (tcp(22), ACCEPT), entry=input_())
    mid = chain("mid", (Goto("leaf"),), (tcp(22), DROP))
    assert verdicts(program=Program((outer, mid, chain("leaf", (RETURN,))))) == [
        "live",
        "live",
        "live",
        "dead",
        "live",
    ]


def test_set_kinds() -> None:
    anonymous = asks(proto=((6, 6),), dport=((22, 22), (80, 80)))
    interval = asks(proto=((6, 6),), dport=((1, 100),))
    assert verdicts((interval, ACCEPT), (anonymous, ACCEPT)) == ["live", "dead"]
    concatenated = Match(
        (
            {**NET, "proto": ((6, 6),), "dport": ((22, 22),)},
            {"src4": ((1, 1),), "proto": ((17, 17),), "dport": ((53, 53),)},
        )
    )
    assert verdicts(
        (concatenated, ACCEPT), (asks(**NET), tcp(22), DROP), (asks(src4=((1, 1),)), tcp(53), DROP)
    ) == ["live", "dead", "live"]
    # Filled at run time, or with a timeout: it may hold anything, so it hides nothing and opens nothing.
    dynamic = Unknown("ip saddr @banned", may=({"src4": ANY["src4"]},))
    program = Program(
        (chain("in", (dynamic, DROP), (tcp(22), ACCEPT), entry=Entry("input", (4,), 0, "drop")),)
    )
    assert verdicts(program=program) == ["live", "live"]
    assert reaches(program, SSH_QUESTION).reach == "perhaps"


def test_a_union_of_sets_hides() -> None:
    halves = [(asks(src4=(span,)), DROP) for span in ((0, 2**31 - 1), (2**31, 2**32 - 1))]
    program = Program(
        (chain("in", *halves, (asks(**NET), ACCEPT), (asks(family=((4, 4),)), ACCEPT), entry=input_()),)
    )
    assert verdicts(program=program) == ["live", "live", "dead", "dead"]
    answer = one(program, "in/4")
    assert answer.cover == answer.hidden_by[:2] == ("in/1", "in/2")
    assert answer.contradictory
    assert one(program, "in/3").cover == ("in/1",)


def test_a_verdict_map_falls_through() -> None:
    vmap = Branches(
        (
            ({"proto": PORT_PROTOCOLS, "dport": ((22, 22),)}, ACCEPT),
            ({"dport": ((80, 80),)}, Jump("web")),
            ({"dport": ((443, 443),)}, Verdict("continue")),
        )
    )
    program = Program(
        (chain("in", (vmap,), (tcp(22), DROP), (tcp(80), DROP), (tcp(443), DROP), (tcp(25), DROP), entry=input_(policy="accept")),
         chain("web", (asks(**NET), DROP)))
    )  # fmt: skip
    assert verdicts(program=program) == ["live", "dead", "live", "live", "live", "live"]


def test_not_in_a_set() -> None:
    rows: tuple[Row, ...] = (NET, {"src4": ((0xC0A80000, 0xC0A8FFFF),)})
    outside = Match(rows, negated=True)
    assert verdicts(
        (outside, DROP), (asks(src4=((0x08080808, 0x08080808),)), ACCEPT), (asks(**NET), ACCEPT)
    ) == ["live", "dead", "live"]
    pairs = Match(({**NET, "dport": ((22, 22),)},), negated=True)
    # Not in the set of (network, tcp port): a packet without a port is in neither the set nor its complement.
    told = verdicts(
        (asks(proto=((6, 6),)), pairs, DROP),
        (asks(**NET), tcp(22), ACCEPT),
        (tcp(23), ACCEPT),
        (asks(proto=((1, 1),)), ACCEPT),
    )
    assert told == [
        "live",
        "live",
        "live",
        "live",
    ]  # in/3 lives for IPv6 only: the set asks for an IPv4 source
    told4 = analyse(
        Program(
            (
                chain(
                    "in",
                    (asks(proto=((6, 6),)), pairs, DROP),
                    (tcp(23), ACCEPT),
                    entry=Entry("input", (4,), 0, "drop"),
                ),
            ),
            conntrack=True,
        )
    )
    assert [a.verdict for a in told4.rules][1] == "dead"


def test_later_fragments_have_no_ports() -> None:
    ports = asks(proto=((6, 6),), dport=((0, 65535),))
    tcp_at_all = asks(proto=((6, 6),))
    whole = Program((chain("in", (ports, DROP), (tcp_at_all, ACCEPT), entry=input_()),), conntrack=False)
    answer = one(whole, "in/2")
    assert answer.verdict == "live"
    assert answer.witness
    assert answer.witness.packet["fragment"] == 1
    # Where connections are tracked packets are put together before.
    assert one(Program(whole.chains, conntrack=True), "in/2").verdict == "dead"
    raw = Entry("prerouting", (4,), -450, "accept")
    early = Program((chain("early", (ports, DROP), (tcp_at_all, ACCEPT), entry=raw),), conntrack=True)
    assert verdicts(program=early) == ["live", "live"]


def test_a_next_header_is_not_the_layer_4_protocol() -> None:
    next_header = asks(proto=((6, 6),), extension=((0, 0),))
    assert verdicts((next_header, DROP), (asks(family=((6, 6),)), tcp(22), ACCEPT)) == ["live", "live"]
    assert verdicts((asks(proto=((6, 6),)), DROP), (next_header, ACCEPT)) == ["live", "dead"]


def test_interface_names_and_wildcards() -> None:
    def named(*names: str) -> Match:
        return Match(({"in": names},))

    assert verdicts((named("eth*"), DROP), (named("eth0"), ACCEPT), (named("lo"), ACCEPT)) == [
        "live",
        "dead",
        "live",
    ]
    assert verdicts((named("eth0", "eth1"), DROP), (named("eth*"), ACCEPT)) == ["live", "live"]
    answer = analyse(
        Program((chain("in", (named("eth0", "eth1"), DROP), (named("eth*"), ACCEPT), entry=input_()),))
    ).rules[1]
    assert answer.witness
    assert str(answer.witness.packet["in"]).startswith("eth")
    assert answer.witness.packet["in"] not in ("eth0", "eth1")
    other = Match(({"in": ("eth0",)},), negated=True)
    assert verdicts((named("eth0"), DROP), (other, DROP), (ACCEPT,)) == ["live", "live", "dead"]
    # What arrives has an in interface, and no out interface in the input hook.
    assert verdicts((named(""), ACCEPT)) == ["dead"]
    assert verdicts((Match(({"out": ("eth0",)},)), ACCEPT)) == ["dead"]
    assert verdicts((named("*"), DROP), (ACCEPT,)) == ["live", "dead"]


def test_marks_that_are_set_are_matched_later() -> None:
    def marked(value: int, mask: int = 0xFFFFFFFF) -> Match:
        return Match(({"mark": (Bits(mask, value),)},))

    mangle = Entry("prerouting", (4,), -150)
    first = chain(
        "mangle",
        (tcp(22), Assign("mark", xor=7)),
        (tcp(80), Assign("mark", keep=0xFFFFFFF0, xor=3)),
        entry=mangle,
    )
    rules = (
        (marked(7), tcp(22), ACCEPT),
        (tcp(22), DROP),
        (marked(3, 15), tcp(80), ACCEPT),
        (tcp(80), DROP),
        (marked(3, 15), tcp(25), ACCEPT),
    )
    program = Program((first, chain("in", *rules, entry=Entry("input", (4,), 0, "drop"))))
    assert verdicts(program=program) == ["live", "live", "live", "dead", "live", "dead", "live"]
    assert one(program, "in/2").cover == ("in/1",)


def test_a_mark_copied_from_the_connection() -> None:
    restore = chain(
        "mangle",
        (Match(({"state": ((1, 3),)},)), Assign("mark", source="ctmark", keep=0xFFFFFFFF)),
        entry=Entry("prerouting", (4,), -150),
    )
    five = asks(ctmark=((5, 5),))
    program = Program(
        (
            restore,
            chain(
                "in",
                (five, DROP),
                (asks(mark=((5, 5),)), asks(state=states("new")), ACCEPT),
                entry=Entry("input", (4,), 0, "drop"),
            ),
        )
    )
    assert verdicts(program=program) == ["live", "live", "dead"]


def test_nat_changes_addresses_before_input_and_forward() -> None:
    inside, outside = 0x0A000005, 0xC6336401
    nat = chain("nat", (asks(dst4=((outside, outside),)), tcp(80), Nat("dnat", {"dst4": ((inside, inside),), "dport": ((8080, 8080),)})),
                entry=Entry("prerouting", (4,), -100, kind="nat"))  # fmt: skip
    new = asks(state=states("new"))
    rules = (
        (new, asks(dst4=((outside, outside),)), tcp(80), ACCEPT),
        (new, asks(dst4=((inside, inside),)), tcp(8080), ACCEPT),
    )
    program = Program((nat, chain("fwd", *rules, entry=Entry("forward", (4,), 0, "drop"))))
    assert verdicts(program=program) == ["live", "dead", "live"]
    asked: Row = {
        "dst4": ((outside, outside),),
        "proto": ((6, 6),),
        "dport": ((80, 80),),
        "state": states("new"),
    }
    answer = reaches(program, Question((asked,), ("forward",), (4,)))
    assert answer.whole
    # Packets of known connections are rewritten as their first packet was.
    replies = chain(
        "fwd",
        (asks(state=states("established")), asks(dst4=((1, 1),)), ACCEPT),
        entry=Entry("forward", (4,), 0, "drop"),
    )
    assert verdicts(program=Program((nat, replies))) == ["live", "live"]


def test_masquerading_is_not_known_and_proves_nothing() -> None:
    post = chain(
        "post",
        (Nat("masquerade", {"src4": ANY["src4"], "sport": ANY["sport"]}),),
        entry=Entry("postrouting", (4,), 100, kind="nat"),
    )
    last = chain(
        "last", (asks(src4=((1, 1),)), asks(state=states("new")), DROP), entry=Entry("postrouting", (4,), 200)
    )
    program = Program((post, last))
    answer = one(program, "last/1")
    assert answer.verdict == "live"
    assert answer.witness
    assert not answer.witness.certain
    assert reaches(program, Question(({"state": states("new")},), ("forward",), (4,))).reach == "perhaps"


def test_multiport_negation() -> None:
    outside = (asks(proto=((6, 6),)), Match(({"dport": ((22, 22), (80, 90))},), negated=True))
    assert verdicts((*outside, DROP), (tcp(85), ACCEPT), (tcp(91), ACCEPT)) == ["live", "live", "dead"]
    either = Match(({"dport": ((22, 22),)}, {"sport": ((22, 22),)}), negated=True)  # ! --ports 22
    assert verdicts(
        (asks(proto=((6, 6),)), either, DROP),
        (tcp(23), ACCEPT),
        (asks(proto=((6, 6),), sport=((5, 5),)), ACCEPT),
    ) == ["live", "live", "live"]


def test_return_under_an_unknown_condition() -> None:
    limited = Unknown("limit rate 5/second")
    side = chain("side", (limited, RETURN), (DROP,))
    program = Program((chain("in", (tcp(22), Jump("side")), (tcp(22), ACCEPT), entry=input_()), side))
    assert verdicts(program=program) == ["live"] * 4
    assert reaches(program, SSH_QUESTION).reach == "perhaps"
    # The rule after the jump is reached only by the lucky; a rule behind the certain drop in the chain is not.
    answer = one(program, "in/2")
    assert answer.witness
    assert not answer.witness.certain
    sure = chain("side", (limited, RETURN), (DROP,), (tcp(22), ACCEPT))
    assert one(Program((program.chains[0], sure)), "side/3").verdict == "dead"


def test_an_unknown_condition_never_hides_and_never_opens() -> None:
    limited = Unknown("limit")
    assert verdicts((limited, ACCEPT), (limited, ACCEPT), (tcp(22), ACCEPT)) == ["live"] * 3
    program = Program((chain("in", (limited, tcp(22), ACCEPT), entry=input_()),))
    answer = reaches(program, SSH_QUESTION)
    assert answer.reach == "perhaps"
    assert answer.allowed
    assert not answer.allowed.certain
    # Accepted either way is accepted.
    either = Program((chain("in", (limited, tcp(22), ACCEPT), (tcp(22), ACCEPT), entry=input_()),))
    assert reaches(either, SSH_QUESTION).whole


def test_reversed_ranges_and_impossible_combinations() -> None:
    told = analyse(
        Program(
            (chain("in", (asks(proto=((6, 6),), dport=((90, 80),)), ACCEPT),
                   (asks(proto=((1, 1),)), asks(dport=((80, 80),)), ACCEPT),
                   (Match(()), ACCEPT), entry=input_()),)
        )
    ).rules  # fmt: skip
    assert [a.verdict for a in told] == ["dead"] * 3
    assert told[0].why == "the range of dport is reversed"
    assert told[1].why == "no packet that comes to its place can match it"
    assert told[2].why == "it asks for membership in an empty set"


def test_dormant_tables_see_nothing_and_hide_nothing() -> None:
    asleep = chain("asleep", (DROP,), (Jump("side"),), entry=Entry("input", (4,), -10, "drop", dormant=True))
    program = Program((asleep, chain("side", (DROP,)), chain("in", (tcp(22), ACCEPT), entry=input_())))
    assert verdicts(program=program) == ["never-called"] * 3 + ["live"]
    assert reaches(program, SSH_QUESTION).whole


def test_a_rule_that_logs_is_not_called_removable() -> None:
    quiet, loud = (tcp(22), DROP), (tcp(23), Effect("log"), DROP)
    counted = (tcp(24), Effect("counter", harmless=True), DROP)
    told = analyse(Program((chain("in", quiet, loud, counted, entry=input_()),))).rules
    assert [a.verdict for a in told] == ["removable", "live", "removable"]


def test_reject_and_drop_are_not_the_same_fate() -> None:
    told = analyse(
        Program((chain("in", (tcp(22), Verdict("reject", "tcp reset")), (tcp(23), DROP), entry=input_()),))
    ).rules
    assert [a.verdict for a in told] == ["live", "removable"]


def test_users_are_asked_of_local_packets_only() -> None:
    anyone = asks(user=((0, 2**32 - 1),))
    program = Program((chain("out", (anyone, ACCEPT), (ACCEPT,), entry=Entry("output", (4,), 0, "drop")),))
    assert verdicts(program=program) == ["live", "live"]  # a packet without a socket has no user


def test_families_are_apart_in_one_table() -> None:
    four, six = asks(family=((4, 4),)), asks(family=((6, 6),))
    assert verdicts((four, DROP), (tcp(22), ACCEPT), (six, DROP), (ACCEPT,)) == [
        "live",
        "live",
        "live",
        "dead",
    ]
    answer = analyse(Program((chain("in", (four, DROP), (tcp(22), ACCEPT), entry=input_()),))).rules[1]
    assert answer.witness
    assert answer.witness.family == 6
