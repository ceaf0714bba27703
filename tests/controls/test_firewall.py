"""The firewall row held against real rule sets, as `nft -j list ruleset` printed them in a network namespace."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from wardkeep.controls.firewall import Policy, control
from wardkeep.core.errors import BadInput
from wardkeep.core.facts import Answer
from wardkeep.core.findings import Seen
from wardkeep.facts.iptables import Iptables
from wardkeep.facts.listeners import Listeners
from wardkeep.facts.nftables import Nftables

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

ANSWERS = Path(__file__).parents[1] / "facts" / "answers"
RULES = {rule.id.partition(".")[2]: rule for rule in control.rules}


def nftables(name: str) -> Nftables:
    return Nftables.parse(Answer("nftables", 0, (ANSWERS / f"nftables-{name}.txt").read_bytes()))


def iptables(name: str) -> Iptables:
    return Iptables.parse(Answer("iptables", 0, (ANSWERS / f"iptables-{name}.txt").read_bytes()))


def look(
    rule: str, name: str, policy: Policy | None = None, tables: str = "debian12-open"
) -> dict[str, Seen]:
    seen = RULES[rule].check(
        rules=nftables(name), tables=iptables(tables), policy=policy or Policy(), today=NOW.date()
    )
    return {s.subject: s for s in seen}


def verdicts(
    rule: str, name: str, policy: Policy | None = None, tables: str = "debian12-open"
) -> dict[str, str]:
    return {subject: str(s.verdict) for subject, s in look(rule, name, policy, tables).items()}


@pytest.mark.parametrize(
    ("name", "v4", "v6"),
    [
        ("nothing", "fail", "fail"),
        ("only-v4", "pass", "fail"),
        ("debian-workstation", "pass", "pass"),
        ("two-tables", "pass", "pass"),
        ("docker", "pass", "pass"),
        ("marks", "unknown", "unknown"),
        ("dormant", "unknown", "unknown"),
        ("everyone-by-source-port", "fail", "fail"),
        ("trusted-zone", "fail", "fail"),
        ("many-matches", "fail", "fail"),
        ("iptables-nft", "unknown", "unknown"),
        ("goto", "pass", "pass"),
        ("nexthdr", "pass", "pass"),
        ("debian12-open", "fail", "fail"),
        ("debian12-closed", "pass", "pass"),
        ("debian13-closed", "pass", "pass"),
    ],
)
def test_default_deny(name: str, v4: str, v6: str) -> None:
    assert verdicts("default_deny", name) == {"ipv4": v4, "ipv6": v6}


def test_iptables_reads_what_nft_cannot_print() -> None:
    policy = Policy(allow=("22/tcp", "80/tcp", "443/tcp", "8000-8010/tcp", "8080/tcp"))
    alone = verdicts("default_deny", "iptables-nft", policy)
    assert alone == {"ipv4": "unknown", "ipv6": "unknown"}
    assert verdicts("default_deny", "iptables-nft", policy, "nft-fail2ban") == {
        "ipv4": "pass",
        "ipv6": "pass",
    }
    assert verdicts("only_named_ports_open", "iptables-nft", policy, "nft-fail2ban") == {
        "open:ipv4/22/tcp": "pass",
        "open:ipv4/80/tcp": "pass",
        "open:ipv4/443/tcp": "pass",
        "open:ipv4/8000-8010/tcp": "pass",
        "open:ipv6/22/tcp": "pass",
        "redirect:8080/tcp": "pass",
    }
    narrow = Policy(allow=("22/tcp from 2001:db8:1::/48",))
    seen = verdicts("only_named_ports_open", "iptables-nft", narrow, "nft-fail2ban")
    assert (seen["open:ipv6/22/tcp"], seen["open:ipv4/22/tcp"]) == ("pass", "fail")


def test_the_old_kernel_tables_are_read_too() -> None:
    assert verdicts("default_deny", "nothing", tables="legacy") == {"ipv4": "pass", "ipv6": "pass"}
    assert verdicts("only_named_ports_open", "nothing", tables="legacy") == {
        "open:ipv4/22/tcp": "pass",
        "open:ipv4/53/udp": "fail",
        "open:ipv4/9000/tcp": "unknown",
        "open:ipv6/22/tcp": "pass",
    }


def test_after_a_goto_comes_the_policy_and_after_a_jump_the_next_rule() -> None:
    policy = Policy(allow=("22/tcp", "443/tcp", "5432/tcp from 192.0.2.0/24"))
    assert verdicts("only_named_ports_open", "goto", policy) == {
        "open:ipv4/22/tcp": "pass",
        "open:ipv4/443/tcp": "pass",
        "open:ipv4/2222/tcp": "fail",  # dropped two rules later, had it come back
        "open:ipv4/5432/tcp": "pass",
        "open:ipv6/22/tcp": "pass",
        "open:ipv6/443/tcp": "pass",
        "open:ipv6/2222/tcp": "fail",
        "open:ipv6/5432/tcp": "fail",  # only one network is kept out: no named one let in
    }


def input_chain(*rules: str) -> Iptables:
    """The INPUT chain of the old IPv4 table with these rules, and a chain `side` that accepts."""
    lines = [
        ":INPUT DROP [0:0]",
        ":side - [0:0]",
        *(f"-A INPUT {rule}" for rule in rules),
        "-A side -j ACCEPT",
    ]
    table = "".join(f"|{line}\n" for line in ["*filter", *lines, "COMMIT"])
    text = f"= legacy ip\n{table}= nft ip\n= legacy ip6\n= nft ip6\n= end\n"
    return Iptables.parse(Answer("iptables", 0, text.encode()))


@pytest.mark.parametrize(
    ("rule", "allow", "verdict"),
    [
        ("-p tcp -m tcp --dport 22 -j side", "22/tcp", "pass"),
        ("-p tcp -m tcp --dport 23 -j side", "22/tcp", "fail"),
        ("-p tcp -m tcp --dport 23 -g side", "22/tcp", "fail"),
        ("-p tcp -m tcp --dport 23 -j nowhere", "22/tcp", "unknown"),
        ("-p tcp -m tcp --dport 23 -j NFQUEUE --queue-num 0", "22/tcp", "unknown"),
        ("-p tcp -m tcp --dport 23 -j LOG --log-prefix x", "22/tcp", "pass"),
        ("-m conntrack --ctstate DNAT -j ACCEPT", "22/tcp", "unknown"),
        ("-m conntrack --ctstate ESTABLISHED -j ACCEPT", "22/tcp", "pass"),
        ("! -i lo -p tcp -m tcp --dport 23 -j ACCEPT", "22/tcp", "fail"),
        ("-i lo -j ACCEPT", "22/tcp", "pass"),
        ("-s 192.0.2.0/25 -p tcp -m tcp --dport 22 -j ACCEPT", "22/tcp from 192.0.2.0/24", "pass"),
        ("-s 192.0.2.0/23 -p tcp -m tcp --dport 22 -j ACCEPT", "22/tcp from 192.0.2.0/24", "fail"),
        ("! -s 192.0.2.0/24 -p tcp -m tcp --dport 22 -j ACCEPT", "22/tcp from 192.0.2.0/24", "fail"),
    ],
)
def test_what_an_iptables_rule_opens(rule: str, allow: str, verdict: str) -> None:
    seen = RULES["only_named_ports_open"].check(
        today=NOW.date(), rules=nftables("nothing"), tables=input_chain(rule), policy=Policy(allow=(allow,))
    )
    told = {str(s.verdict) for s in seen if "ipv6" not in s.subject}
    assert (told or {"pass"}) == {verdict}


def test_default_deny_says_where_packets_get_in() -> None:
    assert "udp sport 53" in look("default_deny", "everyone-by-source-port")["ipv4"].seen


def test_trusted_networks_and_interfaces_are_named_by_the_policy() -> None:
    policy = Policy(trusted=("wg0", "10.0.0.0/8", "fd00::/8"))
    assert verdicts("default_deny", "trusted-zone", policy) == {"ipv4": "pass", "ipv6": "pass"}
    narrower = Policy(trusted=("wg0", "10.0.0.0/9", "fd00::/8"))
    assert verdicts("default_deny", "trusted-zone", narrower) == {"ipv4": "fail", "ipv6": "pass"}


def test_only_the_named_ports_are_open() -> None:
    assert verdicts("only_named_ports_open", "debian-workstation") == {
        "open:ipv4/22/tcp": "pass",
        "open:ipv6/22/tcp": "pass",
    }
    closed = verdicts("only_named_ports_open", "debian-workstation", Policy(allow=("443/tcp",)))
    assert closed == {"open:ipv4/22/tcp": "fail", "open:ipv6/22/tcp": "fail"}


def test_an_opening_wider_than_the_policy_fails() -> None:
    narrow = Policy(
        allow=("22/tcp from 192.0.2.0/24, 198.51.100.7",), trusted=("wg0", "10.0.0.0/8", "fd00::/8")
    )
    seen = verdicts("only_named_ports_open", "trusted-zone", narrow)
    assert seen["open:ipv4/22/tcp"] == "pass"
    assert seen["open:ipv4/80/tcp"] == "fail"
    narrower = Policy(allow=("22/tcp from 192.0.2.0/24",), trusted=("wg0", "10.0.0.0/8", "fd00::/8"))
    assert verdicts("only_named_ports_open", "trusted-zone", narrower)["open:ipv4/22/tcp"] == "fail"


def with_openings(ports: list[int]) -> Nftables:
    """The file `only-v4`, with one more rule for each port."""
    whole = json.loads((ANSWERS / "nftables-only-v4.txt").read_text())
    last = whole["nftables"][-1]["rule"]
    for port in ports:
        match = {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": port}
        whole["nftables"].append({"rule": {**last, "expr": [{"match": match}, {"accept": None}]}})
    return Nftables.parse(Answer("nftables", 0, json.dumps(whole).encode()))


@pytest.mark.parametrize(
    ("ports", "told", "verdict"),
    [
        (range(1000, 1100, 2), 51, "fail"),  # and 22
        (range(1000, 1400, 2), 1, "fail"),
        (range(1000, 41000, 2), 1, "unknown"),
    ],
)
def test_hundreds_of_openings_are_told_in_short_and_tens_of_thousands_are_not_followed(
    ports: range, told: int, verdict: str
) -> None:
    seen = list(
        RULES["only_named_ports_open"].check(
            today=NOW.date(),
            rules=with_openings(list(ports)),
            tables=iptables("debian12-open"),
            policy=Policy(),
        )
    )
    tcp = [s for s in seen if "ipv4" in s.subject and "tcp" in s.subject]
    assert len(tcp) == told
    assert str(tcp[-1].verdict) == verdict


def test_a_port_sent_on_by_dnat_must_be_named() -> None:
    assert verdicts("only_named_ports_open", "docker")["redirect:8080/tcp"] == "fail"
    named = Policy(allow=("22/tcp", "8080/tcp"))
    assert verdicts("only_named_ports_open", "docker", named)["redirect:8080/tcp"] == "pass"


@pytest.mark.parametrize(
    "sentence", ["22", "70000/tcp", "22/tcp from", "9-3/udp", "22/tcp from 192.0.2.1/24"]
)
def test_a_policy_that_says_nothing_clear_is_refused(sentence: str) -> None:
    with pytest.raises(BadInput, match=r"firewall\.allow"):
        Policy(allow=(sentence,))


def test_every_listener_is_named() -> None:
    listeners = Listeners.parse(Answer("listeners", 0, (ANSWERS / "listeners-busy.txt").read_bytes()))
    seen = {
        s.subject: s
        for s in RULES["only_named_listeners"].check(listeners=listeners, policy=Policy(), today=NOW.date())
    }
    assert {subject: str(s.verdict) for subject, s in seen.items()} == {
        "listener:tcp/22": "pass",
        "listener:tcp/8443": "fail",
        "listener:udp/68": "pass",
        "listener:udp/avahi-daemon": "fail",
    }
    assert "a program the kernel does not name" in seen["listener:tcp/8443"].seen


def test_a_quiet_host_passes_aloud() -> None:
    seen = list(
        RULES["only_named_listeners"].check(listeners=Listeners(()), policy=Policy(), today=NOW.date())
    )
    assert [(s.subject, str(s.verdict)) for s in seen] == [("listeners", "pass")]
