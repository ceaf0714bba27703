"""Every recorded host in tests/hosts, assessed: dropping in a folder adds a test.

`expected.json` maps a rule to its worst verdict over the rule's subjects; `wardkeep.toml`, where there is one, is the
operator's policy for that host. A folder without `expected.json` must still be assessed without a defect.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from wardkeep.controls import all_controls
from wardkeep.core.findings import Finding, Verdict
from wardkeep.engine.assess import assess, questions, remedies
from wardkeep.engine.config import read_config
from wardkeep.fleet import RecordedConnector

HOSTS = Path(__file__).parents[1] / "hosts"
FOLDERS = sorted(path.parent for path in HOSTS.glob("*/provenance.json"))
ORDER = [Verdict.PASS, Verdict.UNKNOWN, Verdict.FAIL]


def findings(folder: Path) -> list[Finding]:
    controls = [made for made in all_controls() if made.rules]
    snapshot = asyncio.run(RecordedConnector(folder).ask(questions(controls, "host")))
    assert not snapshot.problem
    config = read_config(folder / "wardkeep.toml", all_controls())
    found = []
    for made in controls:
        found += assess(made, snapshot, config.policy(made))
        for _, _, answer in remedies(made, snapshot, config.policy(made)):
            assert answer, "a remedy that says nothing"
    return found


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_recorded_host_has_the_verdicts_a_person_expects(folder: Path) -> None:
    worst: dict[str, Verdict] = {}
    for found in findings(folder):
        assert "report this as a defect" not in found.seen
        worst[found.rule] = max(worst.get(found.rule, Verdict.PASS), found.verdict, key=ORDER.index)
    expected = folder / "expected.json"
    if expected.exists():
        wanted = json.loads(expected.read_text())
        assert {rule: str(worst[rule]) for rule in wanted} == wanted


def test_there_are_recorded_hosts() -> None:
    assert len(FOLDERS) >= 6
