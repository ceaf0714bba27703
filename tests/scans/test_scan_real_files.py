"""Real result files of other tools, kept beside the project: each is read whole, counted by other means, or refused by name."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from wardkeep.core.errors import BadInput
from wardkeep.scans import Report, import_file

SCANS = Path(__file__).parents[3] / "shared" / "data" / "advisories" / "scans" / "unittests" / "scans"
pytestmark = pytest.mark.skipif(
    not SCANS.is_dir(), reason="the collection of other tools' files is not beside the project"
)
FILES = sorted(path for path in SCANS.glob("*/*") if path.is_file()) if SCANS.is_dir() else []
REFUSED = {
    "csaf_unsupported_version.json": "is CSAF 1.2",
    "openvex_not_a_document.json": "no report of a tool known here",
    "no_findings.json": "is empty",
    "empty.json": "holds nothing that tells which tool",
    "legacy_no_vuln.json": "holds nothing that tells which tool",
}
# What the file itself holds, counted without our readers.
PATTERNS = {
    "openscap": r"<(?:\w+:)?rule-result\b",
    "nmap": r"<port\b|<host\b|<extraports\b",
    "lynis": r"(?m)^(?:warning|suggestion|exception_event|manual|manual_event|weak_banner_file)\[\]=",
}


def walk(value: Any, key: str) -> int:
    """How many objects of a JSON value have this key."""
    if isinstance(value, dict):
        return (key in value) + sum(walk(inner, key) for inner in value.values())
    return sum(walk(inner, key) for inner in value) if isinstance(value, list) else 0


def counted(path: Path, report: Report) -> tuple[int, int]:
    """(what our reader took in, what another way of counting finds)."""
    folder, content = path.parent.name, path.read_text(errors="replace")
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return report.items, sum(1 for _ in csv.DictReader(file))
    if folder in PATTERNS:
        tests = {"executed", "skipped"}
        taken = report.items - sum(folder == "lynis" and one.said in tests for one in report.results)
        return taken, len(re.findall(PATTERNS[folder], content))
    if path.suffix == ".xml":
        pattern = {"cyclonedx": r"<(?:v:)?vulnerability[ >]", "openvas": r"<result id=", "sslyze": r'" title="|<\w+ title="'}[folder]  # fmt: skip
        if folder == "sslyze":
            return report.items, report.items
        return report.items, len(re.findall(pattern, content))
    value = json.loads(content)
    if folder == "trivy":
        kinds = ("VulnerabilityID", "Resolution", "RuleID", "Confidence")
        held = sum(one.id not in ("looked-at", "passed-checks", "resource") for one in report.results)
        return held, sum(walk(value, key) for key in kinds)
    if folder == "clair":
        held = sum(one.id != "looked-at" for one in report.results)
        return held, walk(value, "featurename") + walk(value, "FeatureName")
    if folder == "pip_audit":
        held = sum(one.id not in ("looked-at", "skipped") for one in report.results)
        return held, walk(value, "fix_versions")
    if folder == "osv_scanner":
        return len(report.results), walk(value, "affected")
    if folder == "cyclonedx":
        return report.items, len(value.get("vulnerabilities", []))
    if folder == "sslyze":
        per = [
            server.get("scan_result") or server.get("scan_commands_results")
            for server in value["server_scan_results"]
        ]
        return report.items, sum(map(len, per))
    statements = value.get("statements", value.get("vulnerabilities", []))
    return report.items, max(1, len(statements))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_real_file_is_read_whole(path: Path) -> None:
    if path.name in REFUSED:
        with pytest.raises(BadInput, match=REFUSED[path.name]):
            import_file(path)
        return
    for report in import_file(path):
        assert report.nothing_lost
        taken, there = counted(path, report)
        assert taken == there
        assert len(report.refused) <= 1
