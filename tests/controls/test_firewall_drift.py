"""What the kernel has in our own table, held against the policy rule by rule: nothing for any policy, something for any edit."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from netns_pair import Pair, joined, missing
from recorded_rows import ANSWERS, told

from wardkeep.controls.firewall import Policy, own_scripts, own_table
from wardkeep.controls.firewall.declared_program import declared_program, drift, kernel_program
from wardkeep.controls.firewall.packet_change import change_in_packets, packet_difference
from wardkeep.core.facts import Answer
from wardkeep.facts.nftables import Nftables
from wardkeep.packets.program import faults


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    if why := missing():
        pytest.skip(why)
    with joined() as made:
        yield made


def drifted(pair: Pair, policy: Policy) -> str:
    said = pair.run("nft", "-j", "list", "ruleset")
    kernel = kernel_program(Nftables.parse(Answer("nftables", 0, said.encode())))
    assert kernel is not None
    assert not faults(kernel)
    return str(drift(declared_program(policy.permit), kernel))


def random_policy(rnd: random.Random) -> Policy:
    ports = ["22/tcp", "443/tcp", "8000-8010/tcp", "53/udp", "any", "ssh, https", "0-1023/udp", "5000/sctp"]
    sources = [
        "",
        " from 192.0.2.1, 192.0.2.2",
        " from 192.0.2.0/25, 192.0.2.128/25, 10.0.0.0/8, 10.1.0.0/16",
        " from 2001:db8::/64, 198.51.100.7",
        " from 0.0.0.0/0",
        " from 2001:db8::1, 2001:db8::2, ::/1",
        " from office",
    ]
    limits = ["", "", " limit 10/minute", " limit 3/second", " limit 1000/hour"]

    def some(n: int, limited: bool) -> tuple[str, ...]:
        return tuple(
            rnd.choice(ports) + rnd.choice(sources) + (rnd.choice(limits) if limited else "")
            for _ in range(n)
        )

    return Policy(
        allow=some(rnd.randint(0, 6), True),
        deny=some(rnd.randint(0, 2), False),
        trusted=tuple(rnd.sample(("wg0", "eth1", "10.9.0.0/24", "fd00::/8", "office"), rnd.randint(0, 3))),
        zones={"office": ("203.0.113.0/24", "2001:db8:1::/48")},
    )


@pytest.mark.parametrize("seed", range(4))
def test_what_was_loaded_is_what_was_declared(pair: Pair, seed: int) -> None:
    rnd = random.Random(seed)
    for _ in range(12):
        policy = random_policy(rnd)
        assert not faults(declared_program(policy.permit))
        pair.nft("flush ruleset\n" + own_table.ruleset(policy.permit))
        assert drifted(pair, policy) == "", policy
        other = random_policy(rnd)
        pair.nft(own_table.ruleset(other.permit))
        pair.run("sh", "-c", own_scripts.tidy_script(other.permit))
        assert drifted(pair, other) == "", (policy, other)
        if other.permit != policy.permit:
            assert drifted(pair, policy) != "" or own_table.rule_lines(policy.permit) == own_table.rule_lines(
                other.permit
            )


POLICY = Policy(allow=("22/tcp", "443/tcp from 192.0.2.0/24"))
CHAIN = f"{own_table.TABLE} {own_table.chain_of(POLICY.permit)}"


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (f"insert rule {CHAIN} tcp dport 2222 accept", "added: `tcp dport 2222 accept`"),
        (f"add rule {own_table.TABLE} note_tcp drop", "added: `drop`"),
        (
            f"insert rule {own_table.TABLE} input tcp dport 2222 accept",
            "missing: `one rule that goes to the policy's rules`",
        ),
        (f"flush chain {CHAIN}", 'missing: `iifname "lo" accept`'),
        (
            f"chain {own_table.TABLE} input {{ policy accept; }}",
            "a base chain of another place or policy (accept)",
        ),
        (
            f"add chain {own_table.TABLE} more {{ type filter hook input priority 0; }}",
            "the base chain inet wardkeep more",
        ),
        (f"add chain {own_table.TABLE} bystander", ""),
        (f"add element {own_table.TABLE} banned4 {{ 192.0.2.7 timeout 1h }}", ""),
    ],
)
def test_an_edit_by_hand_is_told(pair: Pair, edit: str, words: str) -> None:
    pair.nft("flush ruleset\n" + own_table.ruleset(POLICY.permit))
    pair.nft(edit + "\n")
    found = drifted(pair, POLICY)
    assert (words in found) if words else found == ""


def test_a_rule_taken_out_is_told(pair: Pair) -> None:
    text = own_table.ruleset(POLICY.permit).replace(
        '\t\ttcp dport 22 counter name "open_tcp_22" accept\n', ""
    )
    pair.nft("flush ruleset\n" + text)
    assert drifted(pair, POLICY) == 'missing: `tcp dport 22 counter name "open_tcp_22" accept`'


def test_a_trial_is_not_the_declared_state_and_a_host_without_our_table_drifts_from_nothing() -> None:
    key, never, kept = (
        "table_as_declared table",
        "boot_firewall-debian12-open",
        "boot_firewall-debian12-closed",
    )
    assert told("firewall", "nftables-debian12-closed", kept)[key].startswith(
        "pass: `inet wardkeep` is as declared"
    )
    assert (
        told("firewall", "nftables-debian12-open", never)[key]
        == "pass: Wardkeep keeps no table `inet wardkeep` here"
    )
    assert told("firewall", "nftables-debian12-on-trial", never)[key].startswith(
        "fail: `inet wardkeep` is not as declared"
    )
    # Somebody reads the policy again tomorrow: what it opened until today is drift then.
    other = {"allow": ("22/tcp", "546/udp from fe80::/10", "443/tcp from 192.0.2.7 until 2026-11-22")}
    assert "missing" in told("firewall", "nftables-debian12-closed", kept, policy=other)[key]


def test_a_table_that_somebody_deleted_is_missed() -> None:
    found = told("firewall", "nftables-debian12-open", "boot_firewall-debian12-closed")[
        "table_as_declared table"
    ]
    assert found.startswith("fail: `inet wardkeep` is gone from the kernel")


def test_a_change_is_told_as_packets() -> None:
    closed = Policy(allow=("22/tcp", "443/tcp from 192.0.2.0/24"))
    wider = Policy(allow=("22/tcp from 192.0.2.0/24 limit 5/minute", "443/tcp"))
    one, other = declared_program(closed.permit), declared_program(wider.permit)
    assert packet_difference(one, one).equal
    assert packet_difference(one, declared_program(closed.permit)).equal
    told = packet_difference(one, other)
    assert told.complete
    kinds = {(c.opens, c.witness.as_dict()["destination_port"]) for c in told.cases}
    assert kinds == {(False, 22), (True, 443)}
    opened = packet_difference(None, one)
    assert opened.complete
    assert not any(case.opens for case in opened.cases)


def test_the_plan_says_whose_packets_change() -> None:
    open_host = (ANSWERS / "nftables-debian12-open.txt").read_bytes()
    rules = Nftables.parse(Answer("nftables", 0, open_host))
    text, packets = change_in_packets(rules, Policy().permit)
    assert text.startswith("It closes tcp from ")
    assert text.endswith("more kinds of packets and opens nothing")
    first = packets[0]
    assert (first.opens, first.before, first.after) == (False, ("accept",), ("drop",))
    assert first.packet.startswith("IPv4 tcp ")
    assert first.new_rule == 'counter name "refused" drop'
    kept = Nftables.parse(Answer("nftables", 0, (ANSWERS / "nftables-debian12-closed.txt").read_bytes()))
    assert change_in_packets(kept, Policy().permit) == ("No packet's fate changes", ())
    assert change_in_packets(kept, Policy(allow=("22/tcp", "443/tcp")).permit)[0].count("opens tcp from") == 1
