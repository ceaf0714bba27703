"""The semantics that make analysers lie, one test each: what changes packets, and what cannot be known."""

from __future__ import annotations

from tests.packets.test_reference import ACCEPT, DROP, RETURN, chain, input_, tcp
from tests.packets.test_traps import SSH_QUESTION, asks, one, verdicts

from wardkeep.packets.audit import analyse
from wardkeep.packets.dimensions import (
    ANY,
    Bits,
    Row,
    states,
)
from wardkeep.packets.program import (
    Assign,
    Effect,
    Entry,
    Goto,
    Jump,
    Match,
    Nat,
    Program,
    Unknown,
    Verdict,
)
from wardkeep.packets.questions import Question, reaches


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
    # Also where it stands in a chain that the packet is sent through: `update @set` may fail, and then nothing happens.
    via = chain("via", (limited, Effect("update @seen")), (ACCEPT,))
    for lead in (Jump("via"), Goto("via")):
        sent = Program((chain("in", (tcp(22), lead), entry=input_(policy="drop")), via))
        answer = reaches(sent, SSH_QUESTION)
        assert answer.whole
        assert answer.allowed
        assert answer.allowed.certain


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
