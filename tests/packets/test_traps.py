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
    Branches,
    Entry,
    Goto,
    Jump,
    Match,
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
    whole = Program(
        (chain("in", (ports, DROP), (tcp_at_all, ACCEPT), entry=input_()),), conntrack=False, fragments=True
    )
    answer = one(whole, "in/2")
    assert answer.verdict == "live"
    assert answer.witness
    assert answer.witness.packet["fragment"] == 1
    # Where connections are tracked packets are put together before.
    assert one(Program(whole.chains, conntrack=True, fragments=True), "in/2").verdict == "dead"
    # nftables reads some port out of them, unless a rule asks for fragments.
    assert one(Program(whole.chains), "in/2").verdict == "dead"
    raw = Entry("prerouting", (4,), -450, "accept")
    early = Program(
        (chain("early", (ports, DROP), (tcp_at_all, ACCEPT), entry=raw),), conntrack=True, fragments=True
    )
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
