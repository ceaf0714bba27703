"""Declared against in force: a rule set as the kernel lists it, and what it does with each entry."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from wardkeep.allowlists import Defect, read_toml
from wardkeep.cli import main
from wardkeep.engine.allowlist_effect import MOST, effect
from wardkeep.rulesets.files import Source, rule_sets

TODAY = date(2026, 11, 22)
HEAD = """*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
"""


def entries(*lines: str) -> str:
    return "".join(
        f'[[allow]]\nnetwork = "{n}"\nservice = "{s}"\n'
        for n, _, s in (line.partition(" ") for line in lines)
    )


def told(declared: str, *rules: str) -> list[Defect]:
    text = HEAD + "".join(f"-A INPUT {rule}\n" for rule in rules) + "COMMIT\n"
    (held,) = rule_sets([Source(Path("rules.v4"), "iptables", text)])
    return list(effect(read_toml(declared, "a.toml"), held.program, TODAY, held.families))


def kinds(found: list[Defect]) -> list[tuple[str, str, bool]]:
    return [(d.kind, str(d.entry.network), d.unknown) for d in found]


def test_what_is_declared_and_let_in_and_nothing_else_is_fine() -> None:
    rules = ("-s 203.0.113.0/24 -p tcp --dport 443 -j ACCEPT", "-s 198.51.100.7 -p tcp --dport 22 -j ACCEPT")
    assert told(entries("203.0.113.0/24 443/tcp", "198.51.100.7 22/tcp"), *rules) == []
    assert told("", *rules) == []


def test_what_is_declared_and_not_let_in_is_told_with_the_packet() -> None:
    rules = ("-s 203.0.113.0/25 -p tcp --dport 443 -j DROP", "-s 203.0.113.0/24 -p tcp --dport 443 -j ACCEPT")
    found = told(entries("203.0.113.0/26 443/tcp", "203.0.113.128/25 443/tcp", "192.0.2.1 22/tcp"), *rules)
    assert kinds(found) == [("not_effective", "203.0.113.0/26", False), ("not_effective", "192.0.2.1", False)]
    assert "IPv4 tcp 203.0.113." in found[0].seen
    assert "does not get in" in found[0].seen


def test_what_a_wider_rule_lets_in_anyway_and_what_nobody_declared() -> None:
    found = told(entries("203.0.113.0/26 443/tcp"), "-s 203.0.113.0/24 -p tcp --dport 443 -j ACCEPT")
    assert [d.kind for d in found] == ["already_permitted", "undeclared"]
    assert found[0].seen == "203.0.113.64/26 gets in as well, which nobody declared"
    outside = found[1].entry.network
    assert 0xCB007140 <= outside.low <= 0xCB0071FF, str(outside)
    # A neighbour that is declared too is no wider rule.
    both = entries("203.0.113.0/26 443/tcp", "203.0.113.64/26 443/tcp")
    assert told(both, "-s 203.0.113.0/25 -p tcp --dport 443 -j ACCEPT") == []


def test_what_cannot_be_modelled_is_unknown() -> None:
    hashed = "-s 203.0.113.0/26 -p tcp --dport 443 -m statistic --mode random --probability 0.5 -j ACCEPT"
    found = told(entries("203.0.113.0/26 443/tcp"), hashed)
    assert kinds(found) == [("not_effective", "203.0.113.0/26", True)]
    many = "".join(
        f'[[allow]]\nnetwork = "10.{n >> 16}.{n >> 8 & 255}.{n & 255}"\nservice = "443/tcp"\n'
        for n in range(MOST + 1)
    )
    assert [(d.kind, d.unknown) for d in told(many)] == [("not_effective", True)]


def test_a_family_without_rules_is_unknown_and_one_that_is_open_is_told(tmp_path: Path) -> None:
    found = told(entries("2001:db8::/48 443/tcp"), "-p tcp --dport 443 -j ACCEPT")
    assert kinds(found) == [("not_effective", "2001:db8::/48", True)]
    rules = {"nftables": [{"metainfo": {"version": "1.0.6", "json_schema_version": 1}}]}
    (held,) = rule_sets([Source(Path("r.json"), "nft", json.dumps(rules))])
    open_to_all = list(
        effect(read_toml(entries("203.0.113.7 443/tcp"), "a"), held.program, TODAY, held.families)
    )
    assert [d.kind for d in open_to_all] == ["already_permitted", "undeclared"]


def test_the_command_takes_a_rule_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "list.txt").write_text("203.0.113.7\n")
    (tmp_path / "rules.v4").write_text(HEAD + "COMMIT\n")
    words = ["allowlist", "audit", str(tmp_path / "list.txt"), "--service", "443/tcp", "--internal"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--rules", str(tmp_path / "rules.v4"), "--json"])
    assert ended.value.code == 1
    counts: dict[str, Any] = json.loads(capsys.readouterr().out)["counts"]
    assert counts == {"special_use": 1, "not_effective": 1}
    (tmp_path / "rules.v4").write_text(HEAD)  # cut
    with pytest.raises(SystemExit) as ended:
        main([*words, "--rules", str(tmp_path / "rules.v4")])
    assert ended.value.code == 2


STATUS = "-m conntrack --ctstate DNAT -j ACCEPT"


def test_strangers_have_no_translated_connection_and_redirected_ones_do() -> None:
    """`ct status dnat` accepts what this host has translated itself, never the first packet of somebody else's choice."""
    declared = entries("203.0.113.7 443/tcp", "203.0.113.7 8080/tcp")
    found = told(declared, "-s 203.0.113.7 -p tcp --dport 443 -j ACCEPT", STATUS)
    assert kinds(found) == [("not_effective", "203.0.113.7", False)]  # 8080: closed, and said to be
    nat = "COMMIT\n*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -s 203.0.113.7 -p tcp --dport 8080 -j REDIRECT --to-ports 80\n"
    text = HEAD + f"-A INPUT -s 203.0.113.7 -p tcp --dport 443 -j ACCEPT\n-A INPUT {STATUS}\n{nat}COMMIT\n"
    (held,) = rule_sets([Source(Path("rules.v4"), "iptables", text)])
    assert list(effect(read_toml(declared, "a.toml"), held.program, TODAY, held.families)) == []
