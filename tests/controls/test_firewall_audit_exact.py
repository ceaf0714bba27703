"""What the exact engine says of a host's own rules: rules without effect, and services open to the internet over either family."""

from __future__ import annotations

import json
from typing import Any

import pytest
from recorded_rows import text_of, told

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer
from wardkeep.facts.nftables import Nftables
from wardkeep.rulesets.observed import OldTable, rule_set_of

EFFECT, OPEN = "rules_have_effect", "nothing_sensitive_open"
NO_IPTABLES = "iptables-debian12-open"


def ruleset(*rules: list[Any], policy: str = "drop", family: str = "inet") -> str:
    chain = {"family": family, "table": "t", "name": "input", "handle": 1}
    base = {**chain, "type": "filter", "hook": "input", "prio": 0, "policy": policy}
    made = [
        {"rule": {"family": family, "table": "t", "chain": "input", "handle": n, "expr": expr}}
        for n, expr in enumerate(rules, 2)
    ]
    head = {"metainfo": {"json_schema_version": 1}}
    return json.dumps(
        {"nftables": [head, {"table": {"family": family, "name": "t"}}, {"chain": base}, *made]}
    )


def match(protocol: str, field: str, right: Any) -> dict[str, Any]:
    return {
        "match": {"op": "==", "left": {"payload": {"protocol": protocol, "field": field}}, "right": right}
    }


ACCEPT, DROP = {"accept": None}, {"drop": None}
TEN = match("ip", "saddr", {"prefix": {"addr": "10.0.0.0", "len": 8}})


def seen(rule: str, nftables: str, iptables: str = "") -> dict[str, str]:
    """Subject → verdict and text, of one rule."""
    texts = {"nftables": nftables, "iptables": iptables or text_of(NO_IPTABLES)}
    found = told("firewall_audit", **texts)
    return {key.removeprefix(f"{rule} "): text for key, text in found.items() if key.startswith(f"{rule} ")}


def test_a_healthy_host_passes_both() -> None:
    closed = text_of("nftables-debian13-closed")
    assert seen(EFFECT, closed) == {"host": "pass: all 6 rules that nftables lists are in effect"}
    assert seen(OPEN, closed) == {"host": "pass: no packet of a stranger reaches a sensitive service"}


def test_a_denial_behind_the_opening_it_was_meant_to_close_fails() -> None:
    text = ruleset([match("tcp", "dport", 5432), ACCEPT], [TEN, match("tcp", "dport", 5432), DROP])
    (said,) = seen(EFFECT, text).values()
    assert said.startswith("fail: ")
    assert said.endswith("is never reached, and rule 2 before it says the opposite")
    (opened,) = (s for k, s in seen(OPEN, text).items() if "IPv4" in s)
    assert opened.startswith("fail: 5432/tcp (postgresql) is open to the world over IPv4: tcp ")


def test_a_rule_hidden_by_two_others_fails() -> None:
    halves = [match("ip", "saddr", {"prefix": {"addr": a, "len": 9}}) for a in ("10.0.0.0", "10.128.0.0")]
    text = ruleset(*([half, DROP] for half in halves), [TEN, DROP])
    (said,) = seen(EFFECT, text).values()
    assert "rules 2, 3 take all of its packets" in said


def test_ipv6_left_open_fails() -> None:
    text = ruleset([match("tcp", "dport", 22), ACCEPT], family="ip")
    assert any(s.startswith("fail: IPv4 is filtered and IPv6 is not") for s in seen(OPEN, text).values())


def test_a_host_that_filters_nothing_fails_and_has_no_rule_without_effect() -> None:
    nothing = text_of("nftables-nothing")
    assert [s.partition(":")[0] for s in seen(OPEN, nothing).values()] == ["fail", "fail"]
    assert seen(EFFECT, nothing) == {"host": "pass: all 0 rules that nftables lists are in effect"}


def test_what_hangs_on_an_unmodelled_match_is_unknown() -> None:
    text = ruleset([match("tcp", "dport", 3306), {"limit": {"rate": 5, "per": "second"}}, ACCEPT])
    assert {s.partition(":")[0] for s in seen(OPEN, text).values()} == {"unknown"}


def test_tables_that_only_iptables_prints_are_audited_in_its_words() -> None:
    dark, dump = text_of("nftables-iptables-nft"), text_of("iptables-nft-fail2ban")
    said = " ".join(seen(EFFECT, dark, dump).values())
    assert "which nft does not print" not in said
    without = seen(OPEN, dark)
    assert {s.partition(":")[0] for s in without.values()} == {"unknown"}


def test_the_old_kernel_tables_are_audited() -> None:
    found = seen(OPEN, text_of("nftables-nothing"), text_of("iptables-legacy"))
    assert found
    assert not any("no chain" in s for s in found.values() if "IPv4" in s)


def test_a_table_held_twice_is_unknown() -> None:
    text = ruleset([ACCEPT], family="ip").replace('"t"', '"filter"')
    assert set(seen(OPEN, text, text_of("iptables-legacy"))) == {"host"}
    assert seen(OPEN, text, text_of("iptables-legacy"))["host"].startswith(
        "unknown: the rule set cannot be followed"
    )


def test_of_two_tables_held_twice_the_same_is_named_in_any_order() -> None:
    found = Nftables.parse(Answer("nftables", 0, text_of("nftables-iptables-nft").encode()))
    old = [OldTable(family, "filter", True, [("INPUT", "DROP", [])]) for family in ("ip6", "ip")]
    said = set()
    for listed in (old, old[::-1]):
        with pytest.raises(NotUnderstood) as e:
            rule_set_of(found, listed)
        said.add(e.value.what)
    assert said == {"the table ip filter is held by the old code and by nftables"}
