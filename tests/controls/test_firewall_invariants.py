"""The sentences that must always hold, proved over the host's whole rule set, with a packet where they do not."""

from __future__ import annotations

import pytest
from recorded_rows import held as findings
from recorded_rows import snapshot, told

from wardkeep.controls.firewall.invariants import for_strangers
from wardkeep.packets.dimensions import states
from wardkeep.packets.program import Chain, Match, Program, Rule, Verdict

WORKSTATION, OPEN, CLOSED = (
    "nftables-debian-workstation",
    "nftables-debian12-open",
    "nftables-debian12-closed",
)


def held(name: str, **policy: object) -> dict[str, str]:
    found = told("firewall", name, "iptables-debian12-open", policy=policy)
    return {k.partition(" ")[2]: v for k, v in found.items() if k.startswith("invariants_hold")}


def test_nothing_named_is_nothing_to_prove() -> None:
    assert held(OPEN) == {
        "invariants": "pass: the policy names nothing that must stay open or closed",
        **{
            f"needed:{what}": "pass: some packet of it surely passes"
            for what in ("names", "clock", "answers")
        },
    }


@pytest.mark.parametrize(
    ("rules", "failing"),
    [
        ("-A OUTPUT -o lo -j ACCEPT\n-A OUTPUT -p udp --dport 53 -j ACCEPT", {"clock"}),
        ("-A OUTPUT -o lo -j ACCEPT", {"names", "clock"}),
        ("-A OUTPUT -p udp -j ACCEPT", set()),
        ("-A OUTPUT -p udp -j ACCEPT\n-A INPUT -m conntrack --ctstate ESTABLISHED -j DROP", {"answers"}),
    ],
)
def test_what_every_host_needs_must_pass(rules: str, failing: set[str]) -> None:
    """The old kernel tables of both families; loopback is no way out."""
    body = f"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT DROP [0:0]\n{rules}\nCOMMIT\n"
    lines = "".join(f"|{line}\n" for line in body.splitlines())
    dump = "".join(f"= legacy {family}\n{lines}= nft {family}\n" for family in ("ip", "ip6")) + "= end\n"
    found = told("firewall", "nftables-nothing", iptables=dump)
    seen = {k.rpartition("needed:")[2]: v.partition(":")[0] for k, v in found.items() if "needed:" in k}
    assert seen == {name: "fail" if name in failing else "pass" for name in ("names", "clock", "answers")}


@pytest.mark.parametrize(
    ("name", "sentence", "start"),
    [
        (CLOSED, "22/tcp from 192.0.2.7", "pass: every packet of it gets in"),
        (CLOSED, "443/tcp from 192.0.2.7", "fail: IPv4 tcp 192.0.2.7:"),
        (OPEN, "443/tcp", "pass: every packet of it gets in"),
    ],
)
def test_what_must_be_open(name: str, sentence: str, start: str) -> None:
    assert held(name, must_allow=(sentence,))[f"must_allow:{sentence}"].startswith(start)


@pytest.mark.parametrize(
    ("name", "sentence", "start"),
    [
        (CLOSED, "5432/tcp", "pass: no packet of it gets in"),
        (CLOSED, "22/tcp from 10.0.0.0/8", "fail: IPv4 tcp 10."),
        (OPEN, "5432/tcp from anywhere", "fail: IPv4 tcp "),
    ],
)
def test_what_must_be_closed(name: str, sentence: str, start: str) -> None:
    assert held(name, must_deny=(sentence,))[f"must_deny:{sentence}"].startswith(start)


def test_tables_that_only_iptables_prints_are_followed_in_its_words() -> None:
    """nft says `xt` where it cannot print a match: alone that is unknown, with the dump beside it the sentence is decided."""
    policy = {"must_deny": ("5432/tcp",)}
    key = "invariants_hold must_deny:5432/tcp"
    alone = told("firewall", "nftables-iptables-nft", "iptables-debian12-open", policy=policy)[key]
    beside = told("firewall", "nftables-iptables-nft", "iptables-nft-fail2ban", policy=policy)[key]
    assert alone.startswith("unknown:")
    assert beside == "pass: no packet of it gets in"


def test_the_old_kernel_tables_are_followed() -> None:
    policy = {"must_deny": ("5432/tcp", "53/udp")}
    found = told("firewall", "nftables-nothing", "iptables-legacy", policy=policy)
    assert found["invariants_hold must_deny:5432/tcp"] == "pass: no packet of it gets in"
    assert found["invariants_hold must_deny:53/udp"].startswith("fail: ")


DOCKER = """*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -p tcp --dport 15432 -j DNAT --to-destination 172.17.0.2:5432
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
-A FORWARD -d 172.17.0.2/32 -p tcp --dport 5432 -j ACCEPT
COMMIT
"""


@pytest.mark.parametrize(
    ("rules", "policy", "start"),
    [
        (DOCKER, {"must_deny": ("15432/tcp",)}, "fail: IPv4 tcp "),
        (DOCKER, {"must_deny": ("5432/tcp",)}, "pass: no packet of it gets in"),
        (DOCKER.replace("5432 -j ACCEPT", "5432 -j DROP"), {"must_deny": ("15432/tcp",)}, "pass: no packet"),
        (DOCKER, {"must_allow": ("15432/tcp from 198.51.100.0/24",)}, "pass: every packet of it gets in"),
        (DOCKER.replace("5432 -j ACCEPT", "5432 -j DROP"), {"must_allow": ("15432/tcp from 198.51.100.0/24",)}, "fail: "),
        (DOCKER.replace("--dport 15432", "-s 198.51.100.0/25 --dport 15432"), {"must_allow": ("15432/tcp from 198.51.100.0/24",)}, "fail: "),
        (DOCKER, {"must_allow": ("15433/tcp from 198.51.100.0/24",)}, "fail: "),
        # What is sent on never comes to the input hook, whatever that would do with it.
        (DOCKER.replace("INPUT DROP", "INPUT ACCEPT").replace("5432 -j ACCEPT", "5432 -j DROP"), {"must_deny": ("15432/tcp",)}, "pass: no packet"),
        (DOCKER.replace("INPUT DROP", "INPUT ACCEPT"), {"must_deny": ("15432/tcp",)}, "fail: IPv4 tcp "),
        (DOCKER.replace("INPUT DROP", "INPUT ACCEPT"), {"must_deny": ("15433/tcp",)}, "fail: IPv4 tcp "),
    ],
)  # fmt: skip
def test_a_port_published_for_a_container_is_one_of_the_host(
    rules: str, policy: dict[str, tuple[str, ...]], start: str
) -> None:
    closed = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
    dump = "".join(
        f"= legacy {family}\n{''.join(f'|{line}' for line in text.splitlines(keepends=True))}= nft {family}\n"
        for family, text in (("ip", rules), ("ip6", closed))
    )
    found = told("firewall", "nftables-nothing", iptables=dump + "= end\n", policy=policy)
    (seen,) = [value for key, value in found.items() if " must_" in key]
    assert seen.startswith(start), seen


@pytest.mark.parametrize(
    ("mangle", "verdict"),
    [("", "pass"), ("-A PREROUTING -p tcp --dport 5432 -j MARK --set-mark 0x45", "fail")],
)
def test_a_stranger_has_no_mark_but_what_rules_give(mangle: str, verdict: str) -> None:
    rules = (
        f"*mangle\n:PREROUTING ACCEPT [0:0]\n{mangle}\nCOMMIT\n"
        "*filter\n:INPUT DROP [0:0]\n-A INPUT -m mark --mark 0x45 -j ACCEPT\nCOMMIT\n"
    ).replace("\n\n", "\n")
    lines = "".join(f"|{line}\n" for line in rules.splitlines())
    dump = "".join(f"= legacy {family}\n{lines}= nft {family}\n" for family in ("ip", "ip6")) + "= end\n"
    found = told("firewall", "nftables-nothing", iptables=dump, policy={"must_deny": ("5432/tcp",)})
    assert found["invariants_hold must_deny:5432/tcp"].startswith(verdict)


def test_rules_that_cannot_be_followed_are_told_of_once() -> None:
    """A table that the old code and nftables both hold; nothing is named, and still that is no pass."""
    found = findings("firewall", snapshot("firewall", "nftables-iptables-nft", "iptables-legacy"))
    seen = [(f.subject, str(f.verdict)) for f in found if f.rule == "firewall.invariants_hold"]
    assert seen == [("invariants", "unknown")]


def test_rules_about_own_interfaces_are_no_way_for_strangers() -> None:
    loop = Rule("1", (Match(({"in": ("lo",)},)), Verdict("accept")))
    tunnel = Rule("2", (Match(({"in": ("wg0", "lo")},)), Verdict("accept")))
    other = Rule("3", (Match(({"in": ("eth0",)}, {"in": ("lo",)})), Verdict("accept")))
    unlike = Rule(
        "4", (Match(({"in": ("lo",)},), negated=True), Match(({"state": states("new")},)), Verdict("drop"))
    )
    program = Program((Chain("c", (loop, tunnel, other, unlike)),))
    (chain,) = for_strangers(program, frozenset({"wg0"})).chains
    assert [rule.id for rule in chain.rules] == ["3", "4"]
    assert chain.rules[0].body[0] == Match(({"in": ("eth0",)},))
    assert chain.rules[1].body == unlike.body[1:]
    assert [rule.id for rule in for_strangers(program).chains[0].rules] == ["2", "3", "4"]


@pytest.mark.parametrize(
    ("more", "verdict"),
    [
        ("", "pass"),
        # Whoever is sent on to the port by this host itself does get in, by the port that is sent on.
        (
            "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp --dport 8080 -j REDIRECT --to-ports 80\nCOMMIT\n",
            "fail",
        ),
    ],
)
def test_nobody_comes_with_a_translation_that_this_host_did_not_make(more: str, verdict: str) -> None:
    """`ct status dnat accept`, as firewalld writes it, lets no first packet of a stranger in by itself."""
    body = f"*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT\n-A INPUT -m conntrack --ctstate DNAT -j ACCEPT\nCOMMIT\n{more}"
    lines = "".join(f"|{line}\n" for line in body.splitlines())
    dump = "".join(f"= legacy {family}\n{lines}= nft {family}\n" for family in ("ip", "ip6")) + "= end\n"
    found = told(
        "firewall", "nftables-nothing", iptables=dump, policy={"must_deny": ("8080/tcp", "5432/tcp")}
    )
    seen = {k.rpartition("must_deny:")[2]: v.partition(":")[0] for k, v in found.items() if "must_deny:" in k}
    assert seen == {"8080/tcp": verdict, "5432/tcp": "pass"}
