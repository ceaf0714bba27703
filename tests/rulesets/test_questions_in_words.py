"""Questions in words, and their answers on rule sets whose truth is known."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.rulesets.packet_fates import filter_table
from tests.rulesets.test_audit_of_dumps import CLOSED, sets

from wardkeep.core.errors import BadInput
from wardkeep.rulesets.audit.answers import Told, answer
from wardkeep.rulesets.audit.questions import Names, ask, read_names

DUMP = filter_table(
    *CLOSED,
    "-s 9.9.9.0/28 -p tcp -m tcp --dport 22 -j ACCEPT",
    "-p tcp -m tcp --dport 443 -j ACCEPT",
    "-s 10.0.1.0/24 -p tcp -m tcp --dport 5432 -j ACCEPT",
    "-p udp -m udp --dport 53 -m limit --limit 9/sec -j ACCEPT",
    "-A FORWARD -s 10.0.0.0/8 -d 10.9.0.0/16 -i eth1 -p tcp -m tcp --dport 80 -j ACCEPT",
)
NAMES = """
[names]
app = ["10.0.1.0/24"]
db = "5432/tcp"
shop = { service = "80/tcp", at = "10.9.0.7" }
"""


@pytest.fixture
def names(tmp_path: Path) -> Names:
    (tmp_path / "names.toml").write_text(NAMES)
    return read_names(tmp_path / "names.toml")


def told(question: str, names: Names) -> Told:
    (one,) = answer(sets(DUMP), [ask(question, names)])
    return one


ANSWERS = [
    ("22/tcp from anywhere", "partly", 0),  # from the admins only
    ("22/tcp from anywhere must be false", "partly", 0),
    ("no 22/tcp from anywhere", "partly", 0),
    ("https from anywhere", "yes", 0),
    ("no https from anywhere", "yes", 1),
    ("443/tcp from anywhere must be true", "yes", 0),
    ("22/tcp from 9.9.9.0/28", "yes", 0),
    ("22/tcp from 9.9.9.0/24", "partly", 0),
    ("22/tcp from 9.9.9.0/24 must be true", "partly", 1),
    ("is 22/tcp from 198.51.100.0/24 allowed?", "no", 1),
    ("telnet from anywhere", "no", 1),
    ("no telnet from anywhere", "no", 0),
    ("db only from app", "no", 0),
    ("db only from 10.0.1.0/25", "partly", 1),
    ("https only from app", "yes", 1),
    ("400-500/tcp from anywhere", "partly", 0),  # 443 alone
    ("400-500/tcp from anywhere must be true", "partly", 1),
    ("no 400-500/tcp from anywhere", "partly", 1),
    ("telnet, https from anywhere", "partly", 0),
    ("443 from anywhere", "partly", 0),  # over TCP
    ("443, 443/tcp from anywhere", "yes", 0),  # both over TCP
    ("443, 53/udp, 443-443/tcp from anywhere", "partly", 0),  # the first over UDP
    ("https, 53/udp from anywhere", "partly", 0),  # within the rate
    ("https, 53/udp from anywhere must be true", "partly", 3),
    ("no https, 53/udp from anywhere", "partly", 1),
    ("anything from anywhere", "partly", 0),
    ("no anything from anywhere", "partly", 1),
    ("dns from anywhere", "undecided", 3),
    ("shop from 10.0.0.0/8", "partly", 0),  # only by eth1
    ("80/tcp through from 10.0.0.0/8 to 10.9.0.7 in eth1", "yes", 0),
    ("80/tcp through from 10.0.0.0/8 to 10.8.0.7 in eth1", "no", 1),
    ("anything outgoing to 8.8.8.8", "yes", 0),
    ("22/tcp from 2001:db8::/32", "undecided", 3),  # the dump is of IPv4 alone
]


@pytest.mark.parametrize(("question", "word", "status"), ANSWERS, ids=[a[0] for a in ANSWERS])
def test_answers(names: Names, question: str, word: str, status: int) -> None:
    one = told(question, names)
    assert (one.answer, one.exit_status) == (word, status)


def test_an_answer_shows_packets_and_the_rule(names: Names) -> None:
    one = told("22/tcp from 9.9.9.0/24", names)
    assert one.accepted is not None
    assert one.dropped is not None
    assert str(one.accepted["source"]).startswith("9.9.9.")
    assert one.rule == "ip filter INPUT 3"
    assert "tcp 9.9.9." in one.why
    assert " gets through (by ip filter INPUT 3), tcp " in one.why


REFUSED = [
    ("", "names no service"),
    ("bananas", "`bananas` is no service"),
    ("22/tcp from nowhere", "`nowhere` is no address, network or known name"),
    ("22/tcp from 10.0.0.0/40", "`10.0.0.0/40` is no address"),
    ("22/tcp only from anywhere", "`only from` needs addresses"),
    ("99999/tcp", "`99999/tcp` is no service"),
    ("22/tcp from app from app", "names no service, or one thing twice"),
]


@pytest.mark.parametrize(("question", "says"), REFUSED)
def test_a_question_that_is_none_is_refused(names: Names, question: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        ask(question, names)
    assert caught.value.what.startswith(says)


@pytest.mark.parametrize(
    "text",
    [
        "[names",
        "a = " + "[" * 100_000,
        "x = 1",
        "[names]\na = 5",
        '[names]\na = "10.0.0.0/99"',
        '[names]\na = { service = "x y" }',
    ],
)
def test_a_faulty_file_of_names_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "n.toml").write_text(text)
    with pytest.raises(BadInput) as caught:
        read_names(tmp_path / "n.toml")
    assert str(caught.value).startswith(f"{tmp_path}/n.toml")


@pytest.mark.parametrize(
    ("status", "held"), [("ASSURED", True), ("SEEN_REPLY,CONFIRMED", True), ("! ASSURED", False)]
)
def test_the_first_packet_of_a_connection_was_never_answered_nor_assured(
    status: str, held: bool, names: Names
) -> None:
    negated, word = ("! ", status[2:]) if status.startswith("! ") else ("", status)
    rule = f"-p tcp -m tcp --dport 22 -m conntrack {negated}--ctstatus {word} -j ACCEPT"
    (one,) = answer(sets(filter_table(rule)), [ask("no 22/tcp from anywhere", names)])
    assert one.holds is held


@pytest.mark.parametrize(
    ("question", "silent"),
    [
        ("no 22/tcp from anywhere", ("ipv6",)),
        ("no 22/tcp from 10.0.0.0/8", ()),
        ("no 22/tcp from 2001:db8::/32", ()),
    ],
)
def test_an_answer_says_of_which_family_nothing_is_known(
    question: str, silent: tuple[str, ...], names: Names
) -> None:
    """A dump of iptables alone: what it says holds of IPv4."""
    (one,) = answer(sets(filter_table("-p tcp -m tcp --dport 443 -j ACCEPT")), [ask(question, names)])
    assert one.not_known == silent
    assert ("of IPv6 nothing is known" in one.why) is bool(silent)
    assert one.holds is (
        None if "2001" in question else True
    )  # nothing but what is not known was asked about


def test_a_packet_from_elsewhere_has_no_mark_but_what_rules_give_it() -> None:
    def said(*rules: str, mangle: str = "", question: str = "22/tcp from anywhere") -> str:
        table = f"*mangle\n:PREROUTING ACCEPT [0:0]\n{mangle}\nCOMMIT\n" if mangle else ""
        (one,) = answer(sets(table + filter_table(*rules)), [ask(question, Names())])
        return one.answer

    marked = "-m mark --mark 0x45/0xff -j ACCEPT"
    assert said(marked) == "no"
    assert (
        said(marked, mangle="-A PREROUTING -p tcp -m tcp --dport 22 -j MARK --set-xmark 0x45/0xff") == "yes"
    )
    assert said("-m mark --mark 0x0/0xff -j ACCEPT") == "yes"
    assert said("-m connmark --mark 0x7 -j ACCEPT") == "no"
    # Programs of the host itself may mark what they send.
    sent = ("-A OUTPUT -m mark ! --mark 0x45 -j DROP", "-A OUTPUT -p tcp -m tcp --dport 25 -j DROP")
    assert said(*sent, question="443/tcp from anywhere outgoing") == "yes"
