"""The nftables fact, read from JSON that nft 1.0.6 really printed."""

import json
from pathlib import Path

import pytest

from wardkeep.controls.firewall.from_nftables import translate
from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer
from wardkeep.facts.nftables import Nftables

ANSWERS = Path(__file__).parent / "answers"
EMPTY = (ANSWERS / "nftables-nothing.txt").read_bytes()
MANY = (ANSWERS / "nftables-many-matches.txt").read_bytes()


def parse(text: bytes) -> Nftables:
    return Nftables.parse(Answer("nftables", 0, text))


def test_an_empty_rule_set_is_a_fact() -> None:
    assert parse(EMPTY).chains == ()


def test_reads_tables_chains_rules_and_sets() -> None:
    rules = parse(MANY)
    base = next(c for c in rules.chains if c.name == "input")
    assert (base.hook, base.kind, base.priority, base.policy) == ("input", "filter", 0, "drop")
    assert len(rules.rules_of(base)) == 16
    admins, banned = (rules.find("inet", "filter", name) for name in ("admins", "banned"))
    assert admins is not None
    assert len(admins.elements) == 2
    assert not admins.changes
    assert banned is not None
    assert banned.changes
    assert rules.has_table("ip", "nat")
    assert rules.find("inet", "filter", "nobody") is None


def test_every_cut_is_refused() -> None:
    for cut in range(0, len(MANY.rstrip()), 7):
        with pytest.raises(NotUnderstood):
            parse(MANY[:cut])


@pytest.mark.parametrize(
    "entry",
    [
        {"flying": {}},
        {"table": {"family": "decnet", "name": "x"}},
        {"table": {"name": "x"}},
        {"chain": {"family": "ip", "table": "t", "name": "c", "hook": "input", "type": "filter", "prio": 0}},
        {"rule": {"family": "ip", "table": "t", "chain": "c", "handle": 1, "expr": [17]}},
        {"rule": {"family": "ip", "table": "t", "chain": "c", "handle": 1}},
        ["table"],
    ],
)
def test_refuses_what_it_does_not_understand(entry: object) -> None:
    whole = json.loads(EMPTY)
    whole["nftables"].append(entry)
    with pytest.raises(NotUnderstood):
        parse(json.dumps(whole).encode())


def test_what_nft_has_no_json_for_is_kept_and_decides_as_it_may() -> None:
    """nft 1.0.6 prints `update @m { ... }` of a map as plain text within the JSON."""
    whole = json.loads(EMPTY)
    expressions = ["update @seen { ip saddr : 5 }", {"accept": None}]
    whole["nftables"].append(
        {"rule": {"family": "ip", "table": "t", "chain": "c", "handle": 1, "expr": expressions}}
    )
    (rule,) = parse(json.dumps(whole).encode()).rules
    assert rule.expr == ({"unprinted": expressions[0]}, {"accept": None})
    (line,) = translate(parse(json.dumps(whole).encode()), rule)
    assert line.verdict.act == "opaque"


def test_refuses_another_schema() -> None:
    whole = json.loads(EMPTY)
    whole["nftables"][0]["metainfo"]["json_schema_version"] = 2
    with pytest.raises(NotUnderstood, match="version 2"):
        parse(json.dumps(whole).encode())
