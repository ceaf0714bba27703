"""What the packages ufw and firewalld really make (tests/rulesets/recorded): all of it is read, and the answers are those of their settings."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from wardkeep.rulesets.audit.answers import answer
from wardkeep.rulesets.audit.audit import audit
from wardkeep.rulesets.audit.questions import Names, ask
from wardkeep.rulesets.files import RuleSet, load

RECORDED = Path(__file__).parent / "recorded"
UFW = ("ufw-0.36.2.v4", "ufw-0.36.2.v6")
NFTABLES = ("firewalld-1.3.3-nftables.json",)
IPTABLES = tuple(f"firewalld-1.3.3-iptables.{end}" for end in ("v4", "v6", "ipset"))


def read(names: tuple[str, ...]) -> RuleSet:
    (found,) = load([RECORDED / name for name in names])
    return found


@pytest.mark.parametrize(
    ("names", "rules", "exactly", "unmodelled"),
    [
        (UFW, 200, 148, {"limit": 21, "hl": 22, "rt": 3, "recent": 4, "--dst-type": 2}),
        (NFTABLES, 206, 205, {"limit": 1}),
        (IPTABLES, 485, 482, {"limit": 2, "rpfilter": 1}),
    ],
    ids=["ufw", "firewalld on nftables", "firewalld on iptables"],
)
def test_every_rule_is_read_and_what_hangs_on_more_than_the_packet_is_named(
    names: tuple[str, ...], rules: int, exactly: int, unmodelled: dict[str, int]
) -> None:
    found = audit(read(names))
    hanging = {match.rule for match in found.unknown_matches}
    assert (len(found.rules), len(found.rules) - len(hanging)) == (rules, exactly)
    words = [match.text.removeprefix("-m ").split()[0] for match in found.unknown_matches]
    assert Counter(words) == unmodelled
    assert not any(verdict.verdict == "undecided" for verdict in found.rules)


SAME = {
    "443/tcp from anywhere": "yes",
    "8443/tcp from anywhere": "yes",
    "5432/tcp from 192.0.2.3": "yes",
    "3306/tcp from anywhere": "no",
}


@pytest.mark.parametrize(
    ("names", "more"),
    [
        (
            UFW,
            {
                "22/tcp from anywhere": "undecided",
                "5684/udp from anywhere": "yes",
                "8085/tcp from anywhere": "yes",
                "5432/tcp from anywhere": "partly",  # from one network of IPv6
                "5432/tcp from 2001:db8:1::7": "partly",  # with a routing header it may be dropped
                "53/udp from anywhere in eth1": "no",
                "25/tcp to 8.8.8.8 outgoing out eth0": "no",
                "443/tcp from 198.51.100.7": "yes",  # ufw puts a denial behind the allowances before it
                "9999/tcp from 198.51.100.7": "no",
                "443/tcp from anywhere to 10.9.0.3 in eth0 out wg0 through": "yes",
                "443/tcp from anywhere to 10.9.0.3 in eth1 out wg0 through": "no",
            },
        ),
        (
            NFTABLES,
            {
                "60500/udp from anywhere in eth0": "yes",
                "5432/tcp from anywhere in eth0": "no",
                "5432/tcp from anywhere in eth1": "yes",
                "9100/tcp from 203.0.113.9 in eth1": "yes",
                "9100/tcp from anywhere in eth1": "no",
                "3306/tcp from 10.9.0.9": "yes",
                "443/tcp from 198.51.100.7 in eth0": "no",
                "8081/tcp from anywhere in eth0": "no",
            },
        ),
        (
            IPTABLES,
            {
                "60500/udp from anywhere in eth0": "yes",
                "5432/tcp from anywhere in eth0": "no",
                "9100/tcp from 203.0.113.9 in eth1": "yes",
                "9100/tcp from anywhere in eth1": "no",
                "3306/tcp from 10.9.0.9": "yes",
                "443/tcp from 198.51.100.7 in eth0": "no",
                "8081/tcp from anywhere in eth0": "no",
            },
        ),
    ],
    ids=["ufw", "firewalld on nftables", "firewalld on iptables"],
)
def test_the_answers_are_those_of_the_settings(names: tuple[str, ...], more: dict[str, str]) -> None:
    asked = {**SAME, **more}
    told = answer(read(names), [ask(text, Names()) for text in asked])
    assert {one.question: one.word for one in told} == asked


@pytest.mark.parametrize("names", [NFTABLES, IPTABLES], ids=["nftables", "iptables"])
def test_a_packet_that_nothing_translated_has_no_translated_status(names: tuple[str, ...]) -> None:
    """firewalld accepts `ct status dnat`: by that alone no stranger gets in on any port."""
    found = audit(read(names))
    told = [one.what for one in found.findings if one.kind == "permissive"]
    assert not any("to this host" in what for what in told), told
    # What was forwarded by a rule comes through by it.
    (forwarded,) = answer(read(names), [ask("2222/tcp from anywhere in eth0", Names())])
    assert forwarded.word == "yes"
