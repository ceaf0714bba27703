"""Drills: each step tried and judged, everything undone whatever happened, on record; killed in the middle as well."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.engine.test_apply import entries, in_process
from tests.engine.toy_platform import ACTOR, TOY, end_timers, make_world, run_and_die, take_up, workers

from wardkeep.core.changes import OnHost, StepResult, TryLogin
from wardkeep.core.control import Control
from wardkeep.core.errors import BadInput
from wardkeep.engine.apply.hand import Done
from wardkeep.engine.drills import _judge, drill_workflow, with_drill
from wardkeep.engine.platform import Platform
from wardkeep.engine.workers import Site, drill_host
from wardkeep.fleet import Host
from wardkeep.store.schema import drills

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="drills run as root")


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with make_world(tmp_path) as made:
        yield made
    end_timers(tmp_path)


def mend(tmp_path: Path) -> None:
    (tmp_path / "host" / "toy.conf").write_text("walls high\ngate shut\n")


def drill(platform: Platform, tmp_path: Path) -> Any:
    with workers(platform, tmp_path) as durable:
        return drill_host(durable, platform.controls[0], TOY, ACTOR)


def test_a_drill_that_holds_passes_and_is_on_record(platform: Platform, tmp_path: Path) -> None:
    mend(tmp_path)
    outcome = drill(platform, tmp_path)
    assert outcome.verdict == "pass"
    assert outcome.steps[0].seen == "walls high", "of what the step said, the line it waited for"
    assert [(step.proves, step.verdict, step.undone) for step in outcome.steps] == [
        ("toy.walls", "pass", True),
        ("toy.gate", "pass", True),
    ]
    assert not (tmp_path / "host" / "knocked").exists()
    (entry,) = entries(platform, "drill")
    assert entry["subject"] == {"host": "toy-1", "control": "toy"}
    assert entry["body"]["verdict"] == "pass"
    assert entry["index"] == outcome.entry
    with platform.store.read() as connection:
        row = connection.execute(select(drills)).one()
    assert (row.control, row.host, row.verdict, row.entry) == ("toy", "toy-1", "pass", outcome.entry)


def test_a_drill_that_does_not_hold_fails_and_is_undone_all_the_same(
    platform: Platform, tmp_path: Path
) -> None:
    outcome = drill(platform, tmp_path)
    assert outcome.verdict == "fail"
    assert outcome.summary == "2 fail"
    assert "`walls high` was expected" in outcome.steps[0].seen
    assert not (tmp_path / "host" / "knocked").exists()


def test_a_host_that_cannot_be_asked_makes_the_drill_unknown(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "host" / "toy.conf").unlink()
    outcome = drill(platform, tmp_path)
    assert outcome.verdict == "unknown"
    assert "exit status" in outcome.summary
    assert entries(platform, "drill")[0]["body"]["verdict"] == "unknown"


@pytest.mark.parametrize(
    "when",
    [
        "try 2: during",
        *(
            pytest.param(w, marks=pytest.mark.e2e)
            for w in ("undo 2: before", "undo 2: during", "end: during")
        ),
    ],
)
def test_killed_in_the_middle_it_is_undone_and_finished(
    platform: Platform, tmp_path: Path, when: str
) -> None:
    mend(tmp_path)
    assert in_process(run_and_die, str(tmp_path), "drill", "d-1", ["toy", "toy-1", ACTOR], when) == -9
    if when.startswith(("try", "undo 2: before")):
        assert (tmp_path / "host" / "knocked").exists()
    assert in_process(take_up, str(tmp_path), "d-1") == 0
    assert not (tmp_path / "host" / "knocked").exists()
    assert [entry["body"]["verdict"] for entry in entries(platform, "drill")] == ["pass"]


def test_what_cannot_be_undone_fails_the_drill(platform: Platform, tmp_path: Path) -> None:
    mend(tmp_path)
    knocked = tmp_path / "host" / "knocked"
    row = platform.controls[0]
    row.drill = lambda toy: iter([OnHost("Knock", f"mkdir {knocked}", "toy.gate", undo=f"rm {knocked}")])
    outcome = drill(platform, tmp_path)
    assert outcome.verdict == "fail"
    assert outcome.summary == "1 pass; 1 not undone"
    assert "could not be undone" in outcome.steps[0].seen


def test_steps_from_here_are_tried_together_and_keep_their_place(platform: Platform, tmp_path: Path) -> None:
    mend(tmp_path)
    asked: list[list[str]] = []

    async def attempts(steps: Iterable[Any], host: Host) -> AsyncIterator[StepResult]:
        asked.append([step.method for step in steps])
        for step in steps:
            yield StepResult(step.says, step.proves, "pass", f"{host.name} refused it", 0.25)

    row = platform.controls[0]
    logins = [TryLogin("root", method, "toy.gate", method) for method in ("password", "none")]
    row.drill = lambda toy: iter([logins[0], OnHost("Look", "true", "toy.walls"), *logins])
    with workers(platform, tmp_path) as durable:
        site = Site(platform, folder=str(tmp_path / "changes"))
        durable.close()
        durable._stop.clear()
        durable.workflow("drill", drill_workflow(site, attempts))
        durable.open()
        outcome = drill_host(durable, row, TOY, ACTOR)
    assert asked == [["password"], ["password", "none"]]
    assert [step.step for step in outcome.steps] == ["password", "Look", "password", "none"]
    assert outcome.steps[0].seconds == 0.25


STEP = OnHost("x", "x", "row.rule", expect_exit=0, expect_text="yes")


@pytest.mark.parametrize(
    ("done", "verdict"),
    [
        (Done(0, "", "yes\n\ndrill-exit:0\n"), "pass"),
        (Done(0, "", "no\n\ndrill-exit:0\n"), "fail"),
        (Done(0, "", "yes\n\ndrill-exit:1\n"), "fail"),
        (Done(0, "", "yes\n\ndrill-exit:124\n"), "unknown"),
        (Done(0, "no tool", "yes\n\ndrill-exit:77\n"), "unknown"),
        (Done(0, "", "yes\n"), "unknown"),
        (Done(0, "", ""), "unknown"),
        (Done(76, "", ""), "unknown"),
        (Done(None, "broken pipe", "yes\n\ndrill-exit:0\n"), "unknown"),
    ],
)
def test_only_what_ended_as_expected_passes(done: Done, verdict: str) -> None:
    assert _judge(STEP, done)[0] == verdict


def test_a_row_without_a_drill_says_why() -> None:
    row = Control("quiet")
    row.cannot_drill("there is nothing to exercise")
    assert list(with_drill([row], named=False)) == []
    with pytest.raises(BadInput, match="there is nothing to exercise"):
        list(with_drill([row], named=True))
