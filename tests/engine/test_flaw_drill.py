"""The drill of the review: a made-up advisory takes the whole way in a scratch platform, and nothing of it stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.engine.flaws_world import AT, OLD, add_hosts, give_feeds, look, seen

from wardkeep.core.findings import Severity, Verdict
from wardkeep.engine.flaw_review import drilling, queue
from wardkeep.engine.platform import Platform
from wardkeep.engine.platform_drills import drill_platform


@pytest.fixture
def fleet(platform: Platform, tmp_path: Path) -> Platform:
    give_feeds(platform, tmp_path, AT)
    add_hosts(platform, "app-1")
    seen(platform, look("app-1", {"openssl": OLD}, AT, listens={"openssl": 443}))
    return platform


def test_it_passes_and_leaves_nothing(fleet: Platform) -> None:
    control = next(one for one in fleet.controls if one.id == "vulnerability_review")
    done = drill_platform(fleet, control, "operator:test")
    assert (done.verdict, [step.verdict for step in done.steps]) == ("pass", ["pass"] * 3)
    assert f"in openssl {OLD} of app-1: queued" in done.steps[0].seen
    assert "fixed" in done.steps[2].seen
    assert not [entry for entry in fleet.ledger.read() if "1999-99999" in str(entry["body"].get("cases", ""))]


def test_without_an_inventory_it_was_not_tried(platform: Platform) -> None:
    assert drilling.try_advisory(platform, "queued", AT)[0] is Verdict.UNKNOWN


def test_a_queue_that_finds_no_hosts_fails_it(fleet: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "hosts_of", lambda connection, wanted: {})
    assert drilling.try_advisory(fleet, "queued", AT)[0] is Verdict.FAIL


def test_a_clock_that_runs_too_long_fails_it(fleet: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    year = lambda numbers: dict.fromkeys(Severity, numbers.compliance_audit)  # noqa: E731
    monkeypatch.setattr("wardkeep.engine.flaw_review.cases.deadlines", year)
    assert drilling.try_advisory(fleet, "queued", AT)[0] is Verdict.FAIL
