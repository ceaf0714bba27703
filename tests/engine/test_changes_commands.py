"""`wardkeep plan`, `apply` and `drill`: what they show, what they ask, and how they end."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console
from tests.engine.toy_platform import ACTOR, TOY, end_timers, make_toy_plan, make_world, run_and_die, workers

from wardkeep.cli import main
from wardkeep.cli.apply import exit_of, show_outcome
from wardkeep.cli.drill import show_drill
from wardkeep.cli.plan import as_json, show_list, show_plan, verdict_of
from wardkeep.engine.apply.unfinished import unfinished_findings
from wardkeep.engine.hosts import add_host
from wardkeep.engine.own import own_findings
from wardkeep.engine.platform import Platform, open_platform
from wardkeep.engine.workers import apply_plan, drill_host, finish_interrupted, plan_hosts, undo_plan
from wardkeep.fleet import Host

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="changes are made as root")


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with make_world(tmp_path) as made:
        yield made
    end_timers(tmp_path)


class Screen:
    """A terminal of 100 columns; `text` is what stands on it."""

    def __init__(self) -> None:
        self._file = io.StringIO()
        self.out = Console(file=self._file, width=100, highlight=False)

    @property
    def text(self) -> str:
        return self._file.getvalue()


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_a_plan_is_shown_with_its_diff_and_with_what_it_will_not_do(platform: Platform) -> None:
    stored, screen = make_toy_plan(platform), Screen()
    show_plan(screen.out, stored)
    for said in (
        "toy-1: 2 changes",
        "+walls high",
        "then put into force: cat ",
        "The host takes it back by itself unless a new connection confirms it within a minute",
        "2. Send eve home",
        "runs: rm -f",
        "undo: touch",
        "Refused: Send owner home",
        "nobody could enter any more. Name another owner.",
        "a person must dig",
        f"wardkeep apply {stored.id}",
    ):
        assert said in screen.text
    assert max(len(line) for line in screen.text.splitlines()) <= 100
    assert verdict_of(stored) == "fail"
    told = json.loads(json.dumps(as_json(stored)))
    assert (told["id"], told["host"], len(told["changes"])) == (stored.id, "toy-1", 2)


def test_a_long_script_is_told_by_its_length_and_shown_whole_when_asked_for(platform: Platform) -> None:
    stored = make_toy_plan(platform)
    long = "\n".join(f"echo {n}" for n in range(30))
    acts = tuple(
        msgspec.structs.replace(c, script=long) for c in stored.plan.changes if c.says.startswith("Send")
    )
    stored = replace(stored, plan=msgspec.structs.replace(stored.plan, changes=acts))
    brief, whole = Screen(), Screen()
    show_plan(brief.out, stored)
    show_plan(whole.out, stored, whole=True)
    assert f"runs: a script of 30 lines; every one: wardkeep plan {stored.id}" in brief.text
    assert "echo 17" not in brief.text
    assert "runs: echo 17" in whole.text


def test_a_plan_made_before_is_shown_by_its_id(
    platform: Platform, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stored = make_toy_plan(platform)
    status, out, _ = run(capsys, "plan", stored.id, "--state", str(platform.folder))
    assert status == 1
    assert "toy-1: 2 changes" in out
    status, out, err = run(capsys, "plan", "p-000000000000", "--state", str(platform.folder))
    assert (status, out) == (2, "")
    assert "p-000000000000" in err


def test_what_was_done_is_shown_and_listed(platform: Platform, tmp_path: Path) -> None:
    stored, screen = make_toy_plan(platform), Screen()
    show_list(screen.out, platform, False)
    assert "planned" in screen.text
    with workers(platform, tmp_path) as durable:
        outcome = apply_plan(platform, durable, stored, ACTOR)
        show_outcome(screen.out, outcome)
        undone = undo_plan(platform, durable, stored, ACTOR)
        show_outcome(screen.out, undone)
    assert "● applied: 2 changes made" in screen.text
    assert "toy.walls toy: fail → pass" in screen.text
    assert f"wardkeep apply --undo {stored.id}" in screen.text
    assert "● undone: taken back" in screen.text
    assert (exit_of(outcome), exit_of(undone, undo=True), exit_of(undone)) == (0, 0, 1)
    show_list(screen.out, platform, False)
    assert "undone" in screen.text


@pytest.mark.parametrize(
    ("state", "verdict", "status"),
    [
        ("applied", "pass", 0),
        ("applied", "fail", 1),
        ("undone", "pass", 1),
        ("failed", "pass", 1),
        ("refused", "pass", 3),
    ],
)
def test_the_exit_status_says_how_an_apply_ended(state: str, verdict: str, status: int) -> None:
    outcome: dict[str, Any] = {"state": state, "after": {"verdicts": {"r": {"s": verdict}}}}
    assert exit_of(outcome) == status


def test_a_drill_is_shown_step_by_step(platform: Platform, tmp_path: Path) -> None:
    screen = Screen()
    with workers(platform, tmp_path) as durable:
        outcome = drill_host(durable, platform.controls[0], TOY, ACTOR)
    show_drill(screen.out, outcome)
    assert "▲ toy on toy-1: 2 fail" in screen.text
    assert "Look at the walls" in screen.text
    assert json.loads(json.dumps(asdict(outcome)))["verdict"] == "fail"


def test_a_change_left_half_done_is_a_finding_until_it_has_an_end(platform: Platform, tmp_path: Path) -> None:
    (clean,) = unfinished_findings(platform)
    assert (clean.verdict, clean.subject) == ("pass", "changes")
    stored = make_toy_plan(platform)
    from tests.engine.test_apply import in_process

    assert in_process(run_and_die, str(tmp_path), "apply", "a-1", [stored.id, ACTOR], "make 1: during") == -9
    (left,) = unfinished_findings(platform)
    assert (left.verdict, left.subject, left.host) == ("fail", "apply:a-1", "platform")
    assert f"wardkeep apply --undo {stored.id}" in left.todo
    assert left in own_findings(platform, stored.created)
    told: list[str] = []
    with workers(platform, tmp_path) as durable:
        assert finish_interrupted(durable, told.append) == ["a-1"]
        assert finish_interrupted(durable) == []
    assert told == ["finishing what was interrupted before: apply a-1"]
    assert [one.verdict for one in unfinished_findings(platform)] == ["pass"]


def test_nobody_is_asked_where_nobody_sits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage = tmp_path / "world"
    stage.mkdir()
    with make_world(stage) as platform:
        stored = make_toy_plan(platform)
    code, out, err = run(capsys, "apply", stored.id, "--json", "--state", str(stage / "state"))
    assert (code, out) == (2, "")
    assert err == "wardkeep: apply: nobody is there to be asked. Add --yes to do it without asking.\n"


@pytest.mark.parametrize(
    "words", [("apply", "p-none"), ("apply", "nowhere"), ("apply", "--undo", "toy-9"), ("drill", "frewall")]
)
def test_wrong_words_get_one_line(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_platform(tmp_path / "s", create=True) as platform:
        add_host(platform, Host(name="toy-1", url="local:"), ACTOR)
    code, out, err = run(capsys, *words, "--state", str(tmp_path / "s"))
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_plan_of_this_machine_changes_nothing_and_is_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_platform(tmp_path / "s", create=True) as platform:
        add_host(platform, Host(name="here", url="local:"), ACTOR)
    code, out, _ = run(capsys, "plan", "here", "system_access", "--json", "--state", str(tmp_path / "s"))
    (plan,) = json.loads(out)
    assert code in (0, 1, 3)
    assert plan["host"] == "here"
    assert plan["controls"] == ["system_access"]
    code, out, _ = run(capsys, "plan", "--list", "--json", "--state", str(tmp_path / "s"))
    assert (code, json.loads(out)[0]["state"]) == (0, "planned")


async def test_a_host_that_cannot_be_asked_does_not_stop_the_others(platform: Platform) -> None:
    gone = Host(name="gone", url="recorded:/nowhere")
    told: list[int] = []
    made = await plan_hosts(
        platform, [gone, TOY], platform.controls, ACTOR, progress=lambda host, done, of: told.append(done)
    )
    assert [type(one).__name__ for one in made] == ["NotPlanned", "Stored"]
    assert verdict_of(made[0]) == "unknown"
    assert as_json(made[0])["problem"]
    assert told == [1, 2]
