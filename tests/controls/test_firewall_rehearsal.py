"""The drill's rehearsal in the kernel: a packet for each rule is counted by it, any edit by hand is told, and a trial goes back."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator

import pytest
from netns_pair import Pair, joined, missing
from test_firewall_drift import random_policy

from wardkeep.controls.firewall import Policy, own_table
from wardkeep.controls.firewall.rehearsing import MOST, REFUSED, one_each, packets_of, unconfirmed
from wardkeep.core.changes import NOT_TRIED

POLICY = Policy(
    allow=(
        "22/tcp from office limit 5/minute",
        "443/tcp",
        "443/tcp from 192.0.2.0/24",
        "53/udp from 2001:db8::/64",
        "546/udp from fe80::/10",
    ),
    trusted=("10.9.0.0/24", "wg0"),
    deny=("any from 198.51.100.0/24",),
    zones={"office": ("192.0.2.0/24", "2001:db8:1::/48")},
)
CHAIN = f"{own_table.TABLE} {own_table.chain_of(POLICY.permit)}"


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    if why := missing():
        pytest.skip(why)
    with joined() as made:
        yield made


def rehearse(pair: Pair, script: str) -> tuple[int, str]:
    command = ["ip", "netns", "exec", pair.host, "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stderr == ""
    return done.returncode, done.stdout.strip()


def test_a_packet_for_each_rule_is_counted_by_it_and_nothing_is_left_behind(pair: Pair) -> None:
    pair.nft("flush ruleset\n" + own_table.ruleset(POLICY.permit))
    before = pair.run("nft", "list", "ruleset"), pair.run("ip", "link")
    packets = packets_of(POLICY.permit)
    assert {one.counter for one in packets} == {
        "nothing",
        "open_tcp_22_5_minute_some",
        "open_tcp_443",
        "open_tcp_443_some",
        "open_udp_53_some",
        "open_udp_546_some",
        REFUSED,
    }
    script, says = one_each(packets)
    assert rehearse(pair, script) == (0, says)
    assert (pair.run("nft", "list", "ruleset"), pair.run("ip", "link")) == before


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (f"insert rule {CHAIN} tcp dport 443 drop", "should be by open_tcp_443, entered"),
        (f"insert rule {CHAIN} udp dport 9 accept", "entered; should be by refused, out"),
        (f"insert rule {CHAIN} ip saddr 198.51.100.0/24 accept", "entered; should be by nothing, out"),
        (f"flush chain {own_table.TABLE} input", "out; should be by"),
        (f"flush chain {own_table.TABLE} note_udp", "should be by open_udp_53_some, entered"),
    ],
)
def test_an_edit_by_hand_is_told_by_the_packet_that_fares_otherwise(pair: Pair, edit: str, told: str) -> None:
    pair.nft("flush ruleset\n" + own_table.ruleset(POLICY.permit) + edit + "\n")
    status, said = rehearse(pair, one_each(packets_of(POLICY.permit))[0])
    assert status == 1
    assert told in said


@pytest.mark.parametrize("seed", range(2))
def test_any_policy_can_be_rehearsed(pair: Pair, seed: int) -> None:
    rnd = random.Random(seed)
    for _ in range(4):
        policy = random_policy(rnd)
        packets = packets_of(policy.permit)
        pair.nft("flush ruleset\n" + own_table.ruleset(policy.permit))
        script, says = one_each(packets)
        assert rehearse(pair, script) == (0, says), policy


def test_a_trial_that_nobody_confirms_goes_back_and_one_that_does_not_is_told(pair: Pair) -> None:
    pair.nft("flush ruleset\n" + own_table.ruleset(POLICY.permit))
    opened = next(one for one in packets_of(POLICY.permit) if one.counter == "open_tcp_443")
    script, says = unconfirmed(opened)
    status, said = rehearse(pair, script)
    assert (status, said.startswith(says)) == (0, True), said
    # A switch that the kernel does not throw.
    endless = script.replace("ipv4 timeout 2s, ipv6 timeout 2s", "ipv4 timeout 1h, ipv6 timeout 1h")
    assert endless != script
    assert rehearse(pair, endless) == (1, "it did not go back in 10 s")


def test_many_rules_are_sampled_and_a_missing_tool_is_not_tried(pair: Pair) -> None:
    many = Policy(allow=tuple(f"{port}/tcp" for port in range(1000, 1400, 2)))
    assert len(packets_of(many.permit)) == MOST
    script = one_each(packets_of(POLICY.permit))[0].replace("for tool in ip ", "for tool in no-such-tool ")
    assert rehearse(pair, script) == (NOT_TRIED, "no-such-tool is missing")
