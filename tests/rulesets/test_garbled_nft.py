"""The JSON of nft with values that nft never writes: one line about it, and no traceback."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wardkeep.core.errors import BadInput, NotUnderstood
from wardkeep.rulesets.files import Source, rule_sets

RECORDED = Path(__file__).parent / "recorded" / "firewalld-1.3.3-nftables.json"
WRONG: tuple[Any, ...] = (
    None, 5, -1, "x", "@nope", [], {}, [1, 2], {"range": [5, 3]}, {"prefix": {"addr": "x", "len": 400}}, True,
    {"set": []}, {"map": {}}, 10**30, "",
)  # fmt: skip


def places(body: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a JSON value: what holds it, and its key there."""
    keys = list(body) if isinstance(body, dict) else range(len(body)) if isinstance(body, list) else ()
    for key in keys:
        yield body, key
        yield from places(body[key])


def read(text: str) -> None:
    rule_sets([Source(Path("listing"), "nft", text)])


def test_a_value_that_nft_never_writes_is_one_line_or_unknown() -> None:
    told = json.loads(RECORDED.read_text())
    entries = [e for e in told["nftables"][1:] if "rule" in e or "chain" in e][:160:4] + told["nftables"][-8:]
    rng = random.Random(11)
    refused: list[str] = []
    for _ in range(1_500):
        entry = rng.choice(entries)
        whole = json.loads(json.dumps({"nftables": [told["nftables"][0], entry]}))
        for _ in range(rng.randint(1, 2)):
            held, key = rng.choice(list(places(whole["nftables"][1:])))
            held[key] = json.loads(json.dumps(rng.choice(WRONG)))
        try:
            read(json.dumps(whole))
        except (BadInput, NotUnderstood) as e:
            refused.append(str(e))
    assert len(refused) > 50
    assert not [line for line in refused if "\n" in line or "listing" not in line]


def test_a_garbled_rule_is_named_by_its_place() -> None:
    rule = {"family": "ip", "table": "t", "chain": "c", "handle": 7, "expr": [{"match": {"op": "=="}}]}
    chain = {"family": "ip", "table": "t", "name": "c"}
    head = {"metainfo": {"json_schema_version": 1}}
    with pytest.raises(NotUnderstood, match=r"rule 1 of the chain ip t c \(handle 7\)"):
        read(json.dumps({"nftables": [head, {"chain": chain}, {"rule": rule}]}))
