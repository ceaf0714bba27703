"""The audit of real rule sets: unexplained openings, wide whitelists, and the person's audit on record."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from recorded_rows import NOW, text_of, told, verdicts

from wardkeep.controls.firewall_audit.rules import brief

OPENING = "openings_explained rule:inet/filter/input/tcp dport 22"


def with_rule(expr: list[Any], name: str = "nftables-only-v4", **more: Any) -> str:
    whole = json.loads(text_of(name))
    chain = next(o["chain"] for o in whole["nftables"] if o.get("chain", {}).get("hook") == "input")
    rule = {
        "family": chain["family"],
        "table": chain["table"],
        "chain": chain["name"],
        "handle": 99,
        "expr": expr,
        **more,
    }
    whole["nftables"].append({"rule": rule})
    return json.dumps(whole)


def from_source(right: Any, field: str = "ip") -> list[Any]:
    left = {"payload": {"protocol": field, "field": "saddr"}}
    return [{"match": {"op": "==", "left": left, "right": right}}, {"accept": None}]


def test_an_opening_without_a_comment_fails_and_a_comment_explains_it() -> None:
    name = "nftables-debian-workstation"
    assert told("firewall_audit", name)[OPENING] == "fail: no comment"
    whole = json.loads(text_of(name))
    for entry in whole["nftables"]:
        if "rule" in entry and brief(tuple(entry["rule"]["expr"])) == "tcp dport 22":
            entry["rule"]["comment"] = "admins, ticket 4711"
    assert told("firewall_audit", nftables=json.dumps(whole))[OPENING] == "pass: admins, ticket 4711"


def test_replies_loopback_and_the_table_of_our_own_are_no_openings() -> None:
    assert verdicts("firewall_audit", "nftables-debian13-closed")["openings_explained host"] == "pass"
    assert not [key for key in told("firewall_audit", "nftables-trusted-zone") if "established" in key]


def test_an_accept_of_address_translation_lets_nothing_in() -> None:
    whole = json.loads(text_of("nftables-only-v4"))
    base = {
        "family": "ip",
        "table": "nat",
        "name": "POST",
        "handle": 1,
        "type": "nat",
        "hook": "postrouting",
        "prio": 100,
        "policy": "accept",
    }
    inner = {"family": "ip", "table": "nat", "name": "INNER", "handle": 2}
    rule = {"family": "ip", "table": "nat", "chain": "INNER", "handle": 3, "expr": from_source("10.88.0.0")}
    whole["nftables"] += [
        {"table": {"family": "ip", "name": "nat", "handle": 9}},
        {"chain": base},
        {"chain": inner},
        {"rule": rule},
    ]
    assert not [key for key in told("firewall_audit", nftables=json.dumps(whole)) if "nat" in key]


def test_two_rules_at_one_place_are_one_finding_and_the_silent_one_counts() -> None:
    port = [
        {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 22}},
        {"accept": None},
    ]
    seen = told("firewall_audit", nftables=with_rule(port, comment="ticket 4711"))
    assert seen["openings_explained rule:ip/filter/input/tcp dport 22"] == "fail: no comment; ticket 4711"


def test_what_iptables_wrote_and_nft_cannot_read_is_unknown() -> None:
    seen = verdicts("firewall_audit", "nftables-iptables-nft")
    assert seen["openings_explained rule:ip/filter/INPUT/xt conntrack"] == "unknown"
    assert seen["openings_explained rule:ip/filter/INPUT/tcp dport 22, xt comment"] == "unknown"
    assert seen["openings_explained rule:ip/filter/INPUT/l4proto icmp"] == "fail"


@pytest.mark.parametrize(
    ("right", "verdict"),
    [
        ({"prefix": {"addr": "8.0.0.0", "len": 8}}, "fail"),
        ({"prefix": {"addr": "0.0.0.0", "len": 0}}, "fail"),
        ({"range": ["1.0.0.0", "9.255.255.255"]}, "fail"),
        ({"set": ["203.0.113.9", {"prefix": {"addr": "64.0.0.0", "len": 10}}]}, "fail"),
        ({"set": [{"elem": {"val": {"prefix": {"addr": "64.0.0.0", "len": 10}}, "comment": "x"}}]}, "fail"),
        ({"prefix": {"addr": "10.0.0.0", "len": 8}}, None),
        ({"prefix": {"addr": "198.51.0.0", "len": 16}}, None),
        ("203.0.113.9", None),
    ],
)
def test_a_whitelist_that_is_a_region_of_the_internet_fails(right: Any, verdict: str | None) -> None:
    seen = verdicts("firewall_audit", nftables=with_rule(from_source(right)))
    found = [v for key, v in seen.items() if key.startswith("whitelists_narrow rule:")]
    assert found == ([verdict] if verdict else [])


def test_ipv6_has_its_own_width_and_a_refusal_admits_nobody() -> None:
    wide = from_source({"prefix": {"addr": "2600::", "len": 12}}, "ip6")
    assert "fail" in verdicts("firewall_audit", nftables=with_rule(wide)).values()
    refused = [wide[0], {"drop": None}]
    assert verdicts("firewall_audit", nftables=with_rule(refused))["whitelists_narrow host"] == "pass"
    narrow = verdicts("firewall_audit", nftables=with_rule(wide), policy={"widest_ipv6": 12})
    assert narrow["whitelists_narrow host"] == "pass"


def test_a_source_joined_with_something_else_is_unknown() -> None:
    both = {
        "concat": [
            {"payload": {"protocol": "ip", "field": "saddr"}},
            {"payload": {"protocol": "tcp", "field": "dport"}},
        ]
    }
    joined = [{"match": {"op": "==", "left": both, "right": "@pairs"}}, {"accept": None}]
    seen = verdicts("firewall_audit", nftables=with_rule(joined))
    assert [v for key, v in seen.items() if key.startswith("whitelists_narrow")] == ["unknown"]


def test_the_persons_audit_and_test_are_due() -> None:
    fresh = verdicts("firewall_audit", "platform-schedules-reviewed")
    assert fresh["audited_in_time review"] == "pass"
    late = verdicts("firewall_audit", "platform-schedules-reviewed", at=NOW + timedelta(days=11))
    assert late["audited_in_time review"] == "fail"
    new = verdicts("firewall_audit", "platform-schedules-new")
    assert new["audited_in_time review"] == "fail"
    assert verdicts("vm_scans", "platform-schedules-reviewed") == {"penetration_tested review": "fail"}
    assert verdicts("vm_scans", "platform-schedules-reviewed", at=NOW.replace(year=2025)) == {
        "penetration_tested review": "pass"
    }
    nobody = verdicts("firewall_audit", platform_schedules='{"duties": []}')
    assert set(nobody.values()) <= {"unknown"}
