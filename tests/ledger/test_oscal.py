"""A pack's Assessment Results satisfy NIST's published schema and say what the entries say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from tests.ledger.entries import entry
from tests.ledger.workshop import take_apart

from wardkeep.core.findings import Finding, Severity, Verdict
from wardkeep.ledger import Ledger, Tampered, export

SCHEMA = Path(__file__).parent / "schema" / "oscal_assessment-results_schema.json"


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    text = SCHEMA.read_text()
    # The schema's patterns use Unicode classes that Python's `re` lacks: the same sets in its own words.
    text = text.replace(r"\\p{L}", r"[^\\W\\d_]").replace(r"\\p{N}", r"\\d")
    return Draft7Validator(json.loads(text))


def results(ledger: Ledger, path: Path, **more: Any) -> dict[str, Any]:
    export(ledger, path, **more)
    made: dict[str, Any] = json.loads(dict(take_apart(path))["assessment-results.json"])
    return made


def assessed(ledger: Ledger, n: int, host: str, verdicts: dict[str, list[Verdict]]) -> dict[str, Any]:
    found = [
        Finding(
            control,
            f"{control}.rule_{i}",
            "A rule holds.",
            host,
            f"user:{i}",
            verdict,
            Severity.HIGH,
            " seen \n",
        )
        for control, list_ in verdicts.items()
        for i, verdict in enumerate(list_)
    ]
    told = json.dumps([
        {**{k: getattr(f, k) for k in ("control", "rule", "says", "host", "subject", "seen")},
         "verdict": f.verdict.value, "severity": f.severity.value}
        for f in found
    ]).encode()  # fmt: skip
    rows = {control: {v.value: list_.count(v) for v in Verdict} for control, list_ in verdicts.items()}
    blob = {"name": "findings", "digest": ledger.put_blob(told), "size": len(told)}
    return entry(n, host, body={"rows": rows, "profile": "hipaa"}, blobs=[blob])


def test_it_validates_and_says_what_fails(ledger: Ledger, tmp_path: Path, validator: Draft7Validator) -> None:
    p, f, u = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN
    ledger.append([
        assessed(ledger, 1, "app-1", {"firewall": [f, f]}),
        assessed(ledger, 2, "app-1", {"firewall": [p, f], "backups": [u], "keys": [p]}),
        assessed(ledger, 3, "database 2", {"firewall": [p], "1st": [p]}),
    ])  # fmt: skip
    made = results(ledger, tmp_path / "p.tgz")
    validator.validate(made)
    result = made["assessment-results"]["results"][0]
    states = {found["target"]["target-id"]: found["target"]["status"] for found in result["findings"]}
    assert states["firewall"] == {"state": "not-satisfied", "reason": "fail"}
    assert states["backups"]["state"] == "not-satisfied"
    assert states["keys"] == {"state": "satisfied"}
    assert states["_1st"] == {"state": "satisfied"}
    assert states["firewall.rule_1"]["reason"] == "fail"
    assert states["backups.rule_0"]["reason"] == "other"
    assert "firewall.rule_0" not in states
    assert len(result["observations"]) == 2
    ids = re.findall(r'"uuid": "([^"]+)"', json.dumps(made))
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    "more", [{}, {"start": 0, "end": 0}, {"control": "firewall"}, {"control": "nothing"}]
)
def test_every_kind_of_pack_validates(
    ledger: Ledger, tmp_path: Path, validator: Draft7Validator, more: dict[str, Any]
) -> None:
    ledger.append([
        entry(0, kind="sign-in"),
        assessed(ledger, 1, "app-1", {"firewall": [Verdict.FAIL], "keys": [Verdict.FAIL]}),
        entry(2, body={"rows": {"odd": "shape", "worse": {"pass": -1}}}),
    ])  # fmt: skip
    made = results(ledger, tmp_path / "p.tgz", **more)
    validator.validate(made)
    if more.get("control") == "firewall":
        found = made["assessment-results"]["results"][0]["findings"]
        assert {one["target"]["target-id"] for one in found} == {"firewall", "firewall.rule_0"}


def test_a_list_of_findings_that_cannot_be_read_stops_the_pack(ledger: Ledger, tmp_path: Path) -> None:
    blob = {"name": "findings", "digest": ledger.put_blob(b"not json"), "size": 8}
    ledger.append([entry(0, blobs=[blob])])
    with pytest.raises(Tampered, match="findings of an assessment cannot be read"):
        export(ledger, tmp_path / "p.tgz")


@pytest.mark.parametrize("identifier", ["1st", "a b", ""])
def test_the_schema_is_really_asked(
    ledger: Ledger, tmp_path: Path, validator: Draft7Validator, identifier: str
) -> None:
    ledger.append([assessed(ledger, 1, "app-1", {"firewall": [Verdict.PASS]})])
    made = results(ledger, tmp_path / "p.tgz")
    made["assessment-results"]["results"][0]["findings"][0]["target"]["target-id"] = identifier
    assert not validator.is_valid(made)
