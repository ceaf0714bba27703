"""Every recorded host in tests/hosts, assessed: dropping in a folder adds a test.

`expected.json` maps a rule to its worst verdict over the rule's subjects; `wardkeep.toml`, where there is one, is the
operator's policy for that host. `host.toml`, where there is one, names the staged states it was recorded in (`make record`): what their
files say must come of them is held against the recording too. A folder without `expected.json` must still be assessed without a defect.
"""

from __future__ import annotations

import asyncio
import json
import tomllib
from pathlib import Path

import pytest
from tests import staging

from wardkeep.controls import all_controls
from wardkeep.engine.assess import questions, remedies
from wardkeep.engine.config import read_config
from wardkeep.engine.declared import with_lists
from wardkeep.fleet import RecordedConnector

HOSTS = Path(__file__).parents[1] / "hosts"
FOLDERS = sorted(path.parent for path in HOSTS.glob("*/provenance.json"))
RECIPES = [folder for folder in FOLDERS if (folder / "host.toml").exists()]
CONTROLS = [made for made in all_controls() if made.rules]
each = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


@each
def test_a_recorded_host_has_the_verdicts_a_person_expects(folder: Path) -> None:
    found = staging.replayed(folder)
    assert not [f for f in found if "report this as a defect" in f.seen]
    worst = staging.worst(found)
    expected = folder / "expected.json"
    if expected.exists():
        wanted = json.loads(expected.read_text())
        assert {rule: worst[rule] for rule in wanted} == wanted


@each
def test_a_remedy_for_what_fails_there_says_something(folder: Path) -> None:
    snapshot = asyncio.run(RecordedConnector(folder).ask(questions(CONTROLS, "host")))
    config = with_lists(read_config(folder / "wardkeep.toml", all_controls()), all_controls())
    for made in CONTROLS:
        for _, _, answer in remedies(made, snapshot, config.policy(made)):
            assert answer, "a remedy that says nothing"


@pytest.mark.parametrize("folder", RECIPES, ids=lambda folder: folder.name)
def test_a_host_recorded_in_staged_states_shows_what_they_say(folder: Path) -> None:
    told = tomllib.loads((folder / "host.toml").read_text())
    found = staging.replayed(folder)
    chain = staging.chain(told["states"])
    assert not staging.differences(chain, told["debian"], found, before=staging.not_passing(found))


def test_there_are_recorded_hosts() -> None:
    assert len(FOLDERS) >= 6
