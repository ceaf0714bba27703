"""Questions about ports of this host that its rules send on to another, as Docker does for its containers."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from bench.firewall_nat import Dump, docker, marked
from packet_fates import number

from wardkeep.packets.reference import ways
from wardkeep.rulesets.audit.answers import Told, answer
from wardkeep.rulesets.audit.audit import audit
from wardkeep.rulesets.audit.questions import Names, ask
from wardkeep.rulesets.files import Source, kind_of, rule_sets
from wardkeep.rulesets.published import OWN, published, sends_on
from wardkeep.rulesets.reach import Reach
from wardkeep.rulesets.translation import noted

# As Docker writes them: one published port, of one container.
DOCKER = """*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 15432 -j DNAT --to-destination 172.17.0.2:5432
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A FORWARD -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 5432 -j ACCEPT
COMMIT
"""


@pytest.mark.parametrize("dump", [docker(ports=40, bridges=3), marked(services=12, marks=8, rules=60)])
def test_what_is_known_of_a_made_up_dump_is_answered_for_certain(dump: Dump) -> None:
    (rule_set,) = rule_sets([Source(Path("dump"), "iptables", dump.text)])
    reach = Reach(rule_set.program, [row for row, _ in dump.known])
    for row, let_through in dump.known:
        assert (reach.find(row, True).met is not None) == let_through, row
        assert (reach.find(row, False).met is not None) == (not let_through), row


def test_a_stranger_s_packet_to_this_host_is_to_an_address_of_its_own() -> None:
    """What routing calls local is dropped before the input chain: nothing is open, whatever that chain accepts."""
    text = "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m addrtype --dst-type LOCAL -j DROP\nCOMMIT\n"
    rest = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n"
    found = {one: audit(rule_sets([Source(Path("r"), "iptables", one)])[0]) for one in (rest, text + rest)}
    assert [any(f.kind == "unfiltered" for f in r.findings) for r in found.values()] == [True, False]


def told(rules: str, question: str) -> Told:
    (rule_set,) = rule_sets([Source(Path("rules"), kind_of(rules, "rules"), rules)])
    return answer(rule_set, [ask(question, Names())])[0]


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("15432/tcp from anywhere", "yes"),
        ("no 15432/tcp from anywhere", "does not hold"),
        ("no 15000-16000/tcp from anywhere", "does not hold"),
        ("5432/tcp from anywhere", "no"),
        ("15433/tcp from anywhere", "no"),
        ("15432/udp from anywhere", "no"),
        ("no 15432/tcp from anywhere in docker0", "holds"),
        ("22/tcp from anywhere", "yes"),
    ],
)
def test_a_published_port_is_one_of_this_host(question: str, word: str) -> None:
    assert told(DOCKER, question).word == word


def test_the_answer_names_packet_and_rule_and_that_it_goes_on() -> None:
    found = told(DOCKER, "15432/tcp from anywhere")
    assert "gets through to another host" in found.why
    assert found.rule == "ip filter FORWARD 1"
    assert found.accepted is not None
    assert (found.accepted["destination_port"], found.accepted["out_interface"]) == (15432, "docker0")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (("-A FORWARD -d 172.17.0.2/32", "-A FORWARD -d 172.17.0.3/32"), "no"),
        (("--dport 5432 -j ACCEPT", "--dport 5432 -m limit --limit 5/sec -j ACCEPT"), "undecided"),
        (("-A DOCKER ! -i docker0 -p tcp", "-A DOCKER -s 198.51.100.0/24 -p tcp"), "no"),
        (
            ("-m tcp --dport 15432 -j DNAT --to-destination 172.17.0.2:5432", "-j REDIRECT --to-ports 22"),
            "yes",
        ),
    ],
)
def test_only_what_the_rules_let_on_is_open(change: tuple[str, str], word: str) -> None:
    assert told(DOCKER.replace(*change), "15432/tcp from anywhere").word == word


def test_who_is_sent_on_and_who_is_not_are_told_apart() -> None:
    """Of one port some come by the forward hook, the others by the input hook: all of them, and not all of them."""
    partner = DOCKER.replace("! -i docker0 -p tcp", "-s 198.51.100.0/24 -p tcp").replace(
        "! -i docker0 -o docker0 ", ""
    )
    here = partner.replace(":INPUT DROP", ":INPUT ACCEPT")
    assert told(partner, "15432/tcp from 198.51.100.7 in eth0").word == "yes"
    assert told(partner, "15432/tcp from 198.51.100.0/23 in eth0").word == "partly"
    assert told(here, "15432/tcp from 198.51.100.0/23 in eth0").word == "yes"
    assert (
        told(
            here.replace("-d 172.17.0.2/32", "-d 172.17.0.3/32"), "15432/tcp from 198.51.100.0/23 in eth0"
        ).word
        == "partly"
    )


def test_rules_that_no_chain_filters_behind_are_named_by_nobody() -> None:
    nat = DOCKER[: DOCKER.index("*filter")]
    found = told(nat + "*filter\n:INPUT DROP [0:0]\nCOMMIT\n", "15432/tcp from anywhere")
    assert (found.word, found.rule) == ("yes", "")
    assert OWN not in found.why


def test_nothing_is_sent_on_where_no_rule_translates_on_the_way_in() -> None:
    for rules in (
        DOCKER[DOCKER.index("*filter") :],
        DOCKER.replace("DNAT --to-destination 172.17.0.2:5432", "REDIRECT --to-ports 22"),
        DOCKER.replace("-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n", ""),
    ):
        (rule_set,) = rule_sets([Source(Path("rules"), "iptables", rules)])
        assert not sends_on(rule_set.program)


def test_the_plain_evaluator_agrees_on_every_packet() -> None:
    """Packet by packet: what is let in by the program of those who are sent on, and what is turned away."""
    (rule_set,) = rule_sets([Source(Path("rules"), "iptables", DOCKER)])
    to_drop, to_accept = (noted(published(rule_set.program, others)) for others in ("drop", "accept"))
    for route, port, link, source in product(
        ("input", "forward"), (22, 15432, 5432), ("eth0", "docker0"), ("8.8.8.8", "172.17.0.2")
    ):
        packet = {
            "family": 4, "route": route, "in": link, "proto": 6, "src4": number(source), "dst4": number("192.0.2.1"), "sport": 40000,
            "dport": port, "state": 3, "tcp_flags": 2, "status": 0, "out": "docker0" if route == "forward" else "", "dst_type": 2,
        }  # fmt: skip
        sent_on = port == 15432 and link == "eth0"
        asked = sent_on == (route == "forward")
        let_in = asked and (sent_on or port == 22)
        assert {way.fate for way in ways(to_drop, packet)} == {"accept" if let_in else "drop"}
        turned_away = asked and not let_in
        assert {way.fate for way in ways(to_accept, packet)} == {"drop" if turned_away else "accept"}


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("9090/tcp from anywhere", "yes"),
        # To which of the map's targets a port is sent is not followed, but that it may be to one that is let in is.
        ("8080/tcp from anywhere", "undecided"),
        ("8081/tcp from anywhere", "no"),
        ("8080/udp from anywhere", "no"),
        ("22/tcp from anywhere", "yes"),
    ],
)
def test_ports_that_a_map_of_nftables_sends_on(question: str, word: str) -> None:
    """`nft -j list ruleset` of nft 1.0.6: a map of address and port, and a rule of its own for one."""
    rules = (Path(__file__).parent / "recorded" / "nft-published-ports.json").read_text()
    assert told(rules, question).word == word


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("15432/tcp from 198.51.100.0/24", "yes"),
        ("15433/tcp from 198.51.100.0/24", "no"),
        ("22/tcp from 198.51.100.0/24", "yes"),
        ("15432/tcp from anywhere to 192.0.2.1", "yes"),
        # To somebody else's address it is not sent on.
        ("15432/tcp from 198.51.100.0/24 to 192.0.2.1", "partly"),
    ],
)
def test_what_is_asked_about_is_to_an_address_of_this_host(question: str, word: str) -> None:
    """`fib daddr type local`: of a question without `to` it is true, of one with `to` routing decides."""
    rules = (Path(__file__).parent / "recorded" / "nft-published-port.json").read_text()
    assert told(rules, question).word == word
