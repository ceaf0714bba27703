"""Every control of the profile is mapped, every rule that it names exists, and nothing passes by being left out."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from wardkeep.cli import main
from wardkeep.controls import all_controls
from wardkeep.core.facts import Answer, Snapshot
from wardkeep.engine.cycle import record_looks
from wardkeep.engine.hosts import add_host
from wardkeep.engine.platform import open_platform
from wardkeep.fleet import Host
from wardkeep.scans.profile import host_profile

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from profile_page import PAGE, page

PROFILE = host_profile()
ANSWERS = Path(__file__).parents[1] / "facts" / "answers"


def test_all_46_controls_are_mapped_to_rules_or_to_a_reason() -> None:
    assert len(PROFILE.controls) == len({one.id for one in PROFILE.controls}) == 46
    for one in PROFILE.controls:
        assert one.topics, one.id
        assert one.rules_there, one.id
    for topic in PROFILE.topics:
        assert topic.says
        assert topic.covers, topic.id
        assert topic.rules or len(topic.reason) > 30, topic.id
    assert {topic for one in PROFILE.controls for topic in one.topics} == set(PROFILE.topics)


def test_every_rule_that_is_named_exists() -> None:
    known = {rule.id for made in all_controls() for rule in made.rules}
    assert not PROFILE.rules - known


def test_rules_elsewhere_belong_to_one_topic_only() -> None:
    patterns = [(topic.id, pattern) for topic in PROFILE.topics for pattern in topic.covers]
    for id_, pattern in patterns:
        others = [other for other, wide in patterns if other != id_ and fnmatchcase(pattern, wide)]
        assert not others, f"{pattern} of {id_} is also covered by {others}"


def test_the_cis_topics_are_all_there() -> None:
    assert {one.number.split(".")[0] for one in PROFILE.cis} == {"1", "2", "3", "4", "5", "6", "7"}
    for one in PROFILE.cis:
        assert one.rules or one.reason, one.number
        assert set(one.levels) <= {"1", "2"}


def test_the_page_is_of_the_data() -> None:
    assert PAGE.read_text() == page(PROFILE), "run `make docs`"


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["scan", "profile", *words])
    return int(ended.value.code or 0)


def test_without_a_platform_the_mapping_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WARDKEEP_STATE", str(tmp_path / "none"))
    assert run("--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["controls"]) == 46
    assert {one["verdict"] for one in told["controls"]} == {None}
    assert run() == 0
    assert "164.312(a)(2)(i)" in capsys.readouterr().out


def test_with_a_platform_each_control_says_the_worst_of_its_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    with open_platform(state, create=True) as platform:
        add_host(platform, Host(name="h1", url="local:"), "operator:test")
        text = (ANSWERS / "audit_rules-debian12-neglected.txt").read_bytes()
        seen = Snapshot("h1", datetime.now(UTC), {"audit_rules": Answer("audit_rules", 0, text)})
        record_looks(platform, "operator:test", [seen], platform.controls)
    assert run("--state", str(state), "--host", "h1", "--json") == 1
    told = {one["id"]: one for one in json.loads(capsys.readouterr().out)["controls"]}
    assert told["164.312(b)"]["verdict"] == "fail"
    assert told["164.312(b)"]["rules"]["vm_scans.audit_covers"] == "fail"
    assert told["164.312(c)"]["verdict"] == "unknown"
    assert told["164.308(a)(5)(ii)(A)"]["verdict"] is None
    assert run("--state", str(state), "--host", "h9") == 2
    assert run("--state", str(state), "--cis") == 1
