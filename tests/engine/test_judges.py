"""Judges in other processes: they say what this process would say, and nothing is lost when they end."""

from __future__ import annotations

import asyncio
import json
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from wardkeep.core.control import Control
from wardkeep.core.facts import HOST, Snapshot
from wardkeep.core.findings import Finding
from wardkeep.engine.assess import questions
from wardkeep.engine.cycle import completed, judge, log_looks
from wardkeep.engine.judges import MANY, TOGETHER, Judged, Judges, judges_for
from wardkeep.engine.platform import Platform, open_platform
from wardkeep.fleet import RecordedConnector, snapshot_bytes

RECORDED = sorted(path.parent for path in (Path(__file__).parents[1] / "hosts").glob("*/provenance.json"))
LONG = 120.0  # seconds that a busy machine may need to begin a process


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with open_platform(tmp_path / "state", create=True) as made:
        yield made


@pytest.fixture
def snapshots(platform: Platform) -> list[Snapshot]:
    asked = questions(platform.controls, HOST)
    seen = [asyncio.run(RecordedConnector(folder).ask(asked)) for folder in RECORDED]
    return completed(platform, seen, platform.controls)


def ready(judges: Judges) -> Judges:
    deadline = time.monotonic() + LONG
    while not all(one.is_ready() for one in judges.judges):
        assert time.monotonic() < deadline
        assert all(one.process.poll() is None for one in judges.judges)
        time.sleep(0.02)
    return judges


def asked(judges: Judges, platform: Platform, snapshots: list[Snapshot]) -> tuple[list[Judged], list[str]]:
    """What they were judged, and the hosts that this process judged."""
    own: list[str] = []

    def here(snapshot: Snapshot) -> list[Finding]:
        own.append(snapshot.subject)
        return judge(platform, snapshot, platform.controls)

    contents = [snapshot_bytes(one) for one in snapshots]
    return judges.judge(snapshots, contents, platform.config, here), own


def alone(platform: Platform, snapshots: list[Snapshot]) -> list[Judged]:
    return asked(Judges(platform.controls, 0), platform, snapshots)[0]


def test_judges_say_of_every_recorded_host_what_this_process_says(
    platform: Platform, snapshots: list[Snapshot]
) -> None:
    judges = ready(Judges(platform.controls, 2))
    try:
        answers, own = asked(judges, platform, snapshots * 5)  # more than one piece for each
        again, more = asked(judges, platform, snapshots)  # from what they remember
    finally:
        judges.close()
    assert not own + more
    here = alone(platform, snapshots)
    assert answers == here * 5
    assert again == here
    assert all(json.loads(blob)[0]["fingerprint"] == found[0].fingerprint for found, blob in here)
    assert all(one.process.returncode is not None for one in judges.judges)


def test_a_process_that_is_free_takes_its_share(platform: Platform, snapshots: list[Snapshot]) -> None:
    judges = ready(Judges(platform.controls, 1, is_free=lambda: True))
    try:
        answers, own = asked(judges, platform, snapshots * 8)
    finally:
        judges.close()
    assert 0 < len(own) < len(answers)
    assert answers == alone(platform, snapshots) * 8


def test_what_the_ledger_and_the_state_are_given_is_the_same_with_judges(
    platform: Platform, snapshots: list[Snapshot]
) -> None:
    without = log_looks(platform, "operator:test", snapshots, platform.controls)
    judges = ready(Judges(platform.controls, 1))
    try:
        shared = log_looks(platform, "operator:test", snapshots, platform.controls, judges=judges)
    finally:
        judges.close()
    assert [one.found for one in shared.given] == [one.found for one in without.given]
    entries = [entry for entry in platform.ledger.read() if entry["kind"] == "assess"]
    half = len(entries) // 2
    assert half == len(snapshots)
    for mine, theirs in zip(entries[:half], entries[half:], strict=True):
        assert {**mine, "index": 0} == {**theirs, "index": 0}


def test_hosts_of_a_judge_that_is_killed_are_judged_here(
    platform: Platform, snapshots: list[Snapshot]
) -> None:
    judges = ready(Judges(platform.controls, 1))
    judges.judges[0].process.kill()
    answers, own = asked(judges, platform, snapshots)
    judges.close()
    assert answers == alone(platform, snapshots)
    assert own == [one.subject for one in snapshots]


def test_the_other_judge_goes_on_when_one_ends(platform: Platform, snapshots: list[Snapshot]) -> None:
    judges = ready(Judges(platform.controls, 2))
    judges.judges[0].process.kill()
    try:
        answers, own = asked(judges, platform, snapshots * 8)
    finally:
        judges.close()
    assert len(own) <= TOGETHER  # the piece it was given
    assert answers == alone(platform, snapshots) * 8


def test_a_frozen_judge_is_waited_for_no_longer_than_patience(
    platform: Platform, snapshots: list[Snapshot]
) -> None:
    judges = ready(Judges(platform.controls, 1, patience=0.3))
    process = judges.judges[0].process
    process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    answers, own = asked(judges, platform, snapshots)
    assert time.monotonic() - began < LONG
    assert answers == alone(platform, snapshots)
    assert len(own) == len(snapshots)
    assert process.returncode == -signal.SIGKILL
    judges.close()


def test_a_judge_by_other_rules_is_never_asked(platform: Platform, snapshots: list[Snapshot]) -> None:
    judges = Judges(platform.controls, 1)
    judges.judges[0].expected = b"x" * 32  # as if the program had been renewed since this process began
    deadline = time.monotonic() + LONG
    while judges.judges[0].process.returncode is None:
        assert not judges.judges[0].is_ready()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert len(asked(judges, platform, snapshots)[1]) == len(snapshots)


def test_small_fleets_and_unknown_controls_get_no_judge(platform: Platform) -> None:
    with judges_for(MANY - 1, platform.controls) as judges:
        assert not judges.judges
    own = Control("firewall")  # the name of a row, and another's rules
    with judges_for(MANY, [*platform.controls, own]) as judges:
        assert not judges.judges


def test_every_policy_can_be_told_to_a_judge(platform: Platform) -> None:
    policies = [platform.config.policy(control) for control in platform.controls]
    assert pickle.loads(pickle.dumps(policies)) == policies


def test_a_killed_parent_leaves_no_judge_behind() -> None:
    code = (
        "import time; from wardkeep.controls import all_controls; from wardkeep.engine.judges import Judges;"
        "made = Judges(all_controls(), 2); print(*[one.process.pid for one in made.judges], flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(_lives(pid) for pid in pids)
        parent.kill()
    deadline = time.monotonic() + LONG
    while any(map(_lives, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
