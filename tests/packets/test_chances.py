"""What hangs on conditions that are not modelled: against every answer of every such condition, for every packet, tried one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.packets.every_answer import LIMIT, SETS, deciding, made
from tests.packets.test_audit_against_reference import small_enough
from tests.packets.test_reference import ACCEPT, DROP, RETURN, chain, input_, tcp

from wardkeep.packets import chances as engine
from wardkeep.packets.chances import Chance, chances
from wardkeep.packets.leaf import Budget
from wardkeep.packets.program import (
    Assign,
    Chain,
    Effect,
    Entry,
    Jump,
    Match,
    Nat,
    Part,
    Program,
    Unknown,
    Verdict,
)
from wardkeep.packets.ranks import rank
from wardkeep.packets.twofold import Twofold
from wardkeep.packets.worlds import worlds

FROM_LAN = Match(({"src4": ((0x0A000000, 0x0AFFFFFF),)},))


def compared(seeds: range, marks: bool = False) -> dict[str, int]:
    """How often the engine told each word, all of them held against every answer."""
    counts: dict[str, int] = {}
    for seed in seeds:
        program = made(seed, marks)
        packets = small_enough(program, rank([program]))
        if packets is None or len(packets) > 100:
            continue
        truth = deciding(program, packets)
        if truth is None:
            continue
        vague = marks or {n for n, r in rank([program]).items() if r.vague}
        for rule, told in chances(program).items():
            changes = truth.get(rule, set())
            counts[told.decides] = counts.get(told.decides, 0) + 1
            if "fate" in changes:
                assert told.decides in ("fate", "undecided", "effect" if marks else ""), (seed, rule, told)
            elif not vague:
                assert told.decides != "fate", (seed, rule, told)
            if told.decides == "nothing":
                assert not changes, (seed, rule, told)
            assert told.decides != "undecided" or vague, (seed, rule, told)
    return counts


def test_every_answer_of_every_condition_of_random_programs() -> None:
    counts = compared(range(500))
    assert min(counts["nothing"], counts["fate"]) > 30, counts
    assert min(counts["log"], counts["effect"]) > 2, counts


def test_every_answer_where_marks_are_set_and_asked() -> None:
    counts = compared(range(150), marks=True)
    assert min(counts["nothing"], counts["fate"], counts["effect"]) > 3, counts


class May(Twofold):
    """The mistake of taking what may follow for what does: a condition on the way that is not modelled is taken to hold."""

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self.flat = replace(self.flat, certain=self.flat.certain | True)


class Equal(Twofold):
    """The mistake of comparing, rule by rule, what may become of packets: the same is possible, and not the same happens."""

    def _ways(self, near: Any, covers: Any, entry: int, budget: Budget) -> Any:
        out = super()._ways(near, covers, entry, budget)
        at = int(self.flat.target[entry])
        taken = {int(self.does[entry])} if at == len(self.flat) else self.ends(near, covers, at)
        if taken | self.ends(near, covers, entry + 1) == self.ends(near, covers, entry + 1):
            out.level = min(out.level, 2)
        return out

    def ends(self, near: Any, covers: Any, start: int) -> set[int]:
        places, out = {start}, set()
        for n, whole in zip(near.tolist(), covers.tolist(), strict=True):
            if behind := {p for p in places if p <= n}:
                out |= {int(self.does[n])} - {0}
                places = (places - behind) | {int(self.flat.target[n])}
                if not (self.flat.certain[n] and whole):
                    places.add(n + 1)
        return out


@pytest.mark.parametrize("mistaken", [May, Equal])
def test_a_bolder_proof_is_found_out(mistaken: type[Twofold], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "Twofold", mistaken)
    with pytest.raises(AssertionError):
        compared(range(1000))


def told(*chains: Chain) -> list[str]:
    """What the conditions of all rules that have some decide, in order."""
    return [c.decides for c in chances(Program(chains)).values()]


def about(rule: str, *chains: Chain) -> Chance:
    return chances(Program(chains))[rule]


def one(*bodies: tuple[Part, ...], policy: str = "drop", name: str = "in", priority: int = 0) -> Chain:
    return chain(name, *bodies, entry=input_(priority, policy))


def test_a_limited_accept_before_a_policy_that_accepts() -> None:
    found = about("in/1", one((tcp(22), LIMIT, ACCEPT), policy="accept"))
    assert (found.decides, found.instead, found.matters) == ("nothing", ("policy of in",), False)
    found = about("in/1", one((tcp(22), LIMIT, ACCEPT)))
    assert (found.decides, found.instead, found.matters) == ("fate", (), True)
    assert found.witness
    assert found.witness.packet["dport"] == 22
    several = one((tcp(22), LIMIT, ACCEPT), (FROM_LAN, ACCEPT), (tcp(22), ACCEPT))
    assert about("in/1", several).instead == ("in/2", "in/3")
    assert told(one((tcp(22), LIMIT, ACCEPT), (FROM_LAN, ACCEPT))) == ["fate"]


def test_the_same_possible_fates_are_not_the_same_fate() -> None:
    other = Unknown("limit rate 5/second")
    assert told(one((LIMIT, DROP), (other, ACCEPT))) == ["fate", "fate"]
    # Both together decide nothing: each is changed while the other is left as it is.
    assert told(one((LIMIT, ACCEPT), (other, ACCEPT), policy="accept")) == ["nothing", "nothing"]


def test_an_accept_ends_only_its_base_chain() -> None:
    later = one((tcp(22), DROP), policy="accept", name="later", priority=10)
    limited = (tcp(22), LIMIT, ACCEPT)
    assert told(one(limited), later) == ["nothing"]  # dropped by its policy, or by what comes later
    assert told(one(limited, policy="accept"), one(policy="drop", name="later", priority=10)) == ["nothing"]
    assert told(one(limited), one(policy="accept", name="later", priority=10)) == ["fate"]
    asked = one((SETS, DROP), policy="accept", name="later", priority=10)
    # Whatever the set says later, it says of both ways, which have met before it is asked.
    assert told(one(limited, policy="accept"), asked) == ["nothing", "fate"]


def test_what_others_may_notice_is_not_nothing() -> None:
    marked = Assign("mark", xor=1)
    open_: dict[str, Any] = {"policy": "accept"}
    assert told(one((LIMIT, ACCEPT), (marked,), **open_)) == ["effect"]
    assert told(one((LIMIT, marked, ACCEPT), **open_)) == ["effect"]
    assert told(one((marked, LIMIT, ACCEPT), **open_)) == ["nothing"]
    assert told(one((LIMIT, ACCEPT), (Effect("update @seen { ip saddr }"),), **open_)) == ["effect"]
    assert told(one((LIMIT, ACCEPT), (Effect('log prefix "more"'), ACCEPT), **open_)) == ["log"]
    assert told(one((LIMIT, Effect("log"), ACCEPT), **open_)) == ["log"]
    assert told(one((Effect("log"), LIMIT, ACCEPT), (Effect("counter", harmless=True),), **open_)) == [
        "nothing"
    ]
    assert told(one((LIMIT, ACCEPT), (Verdict("queue"),), **open_)) == ["fate"]
    assert told(one((Unknown("tproxy to :1080"), ACCEPT), **open_)) == ["effect"]
    assert told(one((marked, Unknown("tproxy to :1080"), ACCEPT), **open_)) == ["effect"]
    assert told(one((Unknown("-m somenew"), ACCEPT), **open_)) == ["effect"]
    assert told(one((Unknown("meter m { ip saddr }"), Effect("update @seen"), DROP))) == ["effect"]
    assert told(one((Unknown("meter m { ip saddr }"), DROP))) == ["nothing"]
    assert told(one((Effect("update @seen"), LIMIT, DROP))) == ["nothing"]
    assert told(one((marked, LIMIT, Effect("update @seen"), Match(()), DROP))) == ["effect"]
    translated = chain(
        "nat", (LIMIT, ACCEPT), (Nat("masquerade", {"src4": ((5, 5),)}),),
        entry=Entry("postrouting", (4,), 100, "accept", kind="nat"),
    )  # fmt: skip
    assert told(translated) == ["effect"]


def test_another_limit_on_the_way_counts_who_asks_it() -> None:
    first = (tcp(22), LIMIT, ACCEPT)
    slow = Unknown("limit rate 5/second")
    # The second limit is asked by packets to port 22 that exceed the first, and decides about those to port 80.
    assert told(one(first, (slow, tcp(80), DROP), policy="accept")) == ["effect", "fate"]
    assert told(one(first, (tcp(80), slow, DROP), policy="accept")) == ["nothing", "fate"]
    assert told(one(first, (slow, tcp(80), ACCEPT), policy="accept")) == ["nothing", "nothing"]
    assert told(one(first, (slow, tcp(80), Effect("log"), ACCEPT), policy="accept")) == ["log", "log"]
    named = Unknown('limit name "shared"')
    assert told(one(first, (named, tcp(80), ACCEPT), policy="accept"))[0] == "effect"
    assert told(one(first, (SETS, tcp(80), DROP), policy="accept")) == ["nothing", "fate"]


def test_answers_to_the_sender_differ() -> None:
    refused, closed = Verdict("reject", "with tcp reset"), Verdict("reject", "with icmp host-unreachable")
    assert told(one((LIMIT, refused), (closed,))) == ["fate"]
    assert told(one((LIMIT, refused), (refused,))) == ["nothing"]
    assert told(one((LIMIT, refused))) == ["fate"]


def test_who_nobody_comes_to_decides_nothing() -> None:
    assert told(one((ACCEPT,), (LIMIT, DROP))) == ["nothing"]
    assert told(one((SETS, ACCEPT), (LIMIT, DROP))) == ["fate", "nothing"]
    assert told(one((SETS, ACCEPT), (LIMIT, DROP), policy="accept")) == ["fate", "fate"]
    assert told(one(), chain("idle", (LIMIT, DROP))) == ["nothing"]
    side = chain("side", (LIMIT, RETURN), (DROP,))
    assert told(one((tcp(22), Jump("side"))), side) == ["nothing"]
    assert told(one((tcp(22), Jump("side")), policy="accept"), side) == ["fate"]
    assert told(one((LIMIT, Jump("side"))), chain("side", (tcp(22), DROP))) == ["nothing"]
    assert told(one((LIMIT, Jump("side"))), chain("side", (tcp(22), ACCEPT))) == ["fate"]


def test_what_it_may_match_counts_not_what_it_asks() -> None:
    narrow = Unknown("ip saddr @some", may=({"src4": ((10, 20),)},), must=({"src4": ((12, 13),)},))
    assert told(one((narrow, ACCEPT), (Match(({"src4": ((9, 30),)},)), ACCEPT))) == ["nothing"]
    found = about("in/1", one((narrow, ACCEPT), (Match(({"src4": ((11, 30),)},)), ACCEPT)))
    assert found.decides == "fate"
    assert found.witness
    assert found.witness.packet["src4"] == 10
    assert told(one((narrow, ACCEPT), (Match(({"src4": ((10, 11), (14, 20))},)), ACCEPT))) == ["nothing"]


def test_lists_that_are_made_already_serve_where_nothing_is_noticed_within_a_rule() -> None:
    for limited in (
        (tcp(22), LIMIT, ACCEPT),
        (LIMIT, tcp(22), ACCEPT),
        (tcp(22), LIMIT, Effect("log"), DROP),
    ):
        program = Program((one(limited, (LIMIT, tcp(80), DROP), policy="accept"),))
        assert chances(program, unfolded=list(worlds(program))) == chances(program)


def test_where_the_work_does_not_suffice_it_is_told() -> None:
    limited = Program((one((tcp(22), LIMIT, ACCEPT), policy="accept"),))
    assert chances(limited, work=1)["in/1"].decides == "undecided"
    assert chances(limited, work=1)["in/1"].matters
    assert chances(Program((one((tcp(22), ACCEPT)),)), work=1) == {}
