"""scripts/e2e.py counts what failed, what was skipped and what was not run, and never takes one for another."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from wardkeep.lab import Kind

SCRIPT = Path(__file__).parents[2] / "scripts" / "e2e.py"
HEAD = "import pytest\npytestmark = pytest.mark.e2e\n"


@pytest.fixture(scope="module")
def runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("e2e", SCRIPT)
    assert spec
    assert spec.loader
    made = importlib.util.module_from_spec(spec)
    sys.modules["e2e"] = made
    spec.loader.exec_module(made)
    return made


def unit(runner: ModuleType, folder: Path, body: str) -> object:
    file = folder / "test_made_up.py"
    file.write_text(HEAD + body)
    return runner.Unit("made up", (str(file),))


FAILS_ONCE = """
def test_it(tmp_path):
    from pathlib import Path
    mark = Path(__file__).with_name("mark")
    there = mark.exists()
    mark.touch()
    assert there, "the first time"
"""


@pytest.mark.parametrize(
    ("body", "counts"),
    [
        ("def test_it(): pass", {"passed": 1}),
        ("def test_it(): assert False", {"failed": 1}),
        ("def test_it(): pytest.skip('no podman')\ndef test_too(): pass", {"passed": 1, "skipped": 1}),
        ("this is no Python", {"error": 1}),
        (FAILS_ONCE, {"failed": 1}),
    ],
)
def test_a_unit_is_counted_as_it_ended(
    runner: ModuleType, tmp_path: Path, body: str, counts: dict[str, int]
) -> None:
    run = runner.Run(float("inf"))
    run.take(unit(runner, tmp_path, body))
    assert dict(run.counts) == counts
    assert (run.unsteady, run.not_run) == ([], [])


def test_why_tests_were_skipped_is_counted(runner: ModuleType, tmp_path: Path) -> None:
    run = runner.Run(float("inf"))
    run.take(
        unit(
            runner,
            tmp_path,
            "@pytest.mark.parametrize('n', range(3))\ndef test_it(n): pytest.skip('no podman: x')",
        )
    )
    assert dict(run.skipped) == {"no podman: x": 3}


def taken(runner: ModuleType, one: object, again: float) -> tuple[dict[str, int], list[str]]:
    run = runner.Run(float("inf"), again)
    run.take(one)
    run.take_again()
    return dict(run.counts), run.unsteady


def test_what_passes_the_second_time_is_said_to_be_unsteady(
    runner: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = FAILS_ONCE + "def test_too(): pass\n"
    assert taken(runner, unit(runner, tmp_path, body), float("inf")) == ({"passed": 2}, ["made up"])
    said = capsys.readouterr().out
    assert "made up: 1 failed, 1 passed; once more at the end" in said
    assert "alone: made up: 2 passed" in said


def test_what_fails_twice_has_failed(runner: ModuleType, tmp_path: Path) -> None:
    one = unit(runner, tmp_path, "def test_it(): assert False")
    assert taken(runner, one, float("inf")) == ({"failed": 1}, [])
    assert taken(runner, one, 0) == ({"failed": 1}, [])


def test_what_failed_and_has_no_time_left_has_failed(runner: ModuleType, tmp_path: Path) -> None:
    one = unit(runner, tmp_path, FAILS_ONCE)
    assert taken(runner, one, time.monotonic()) == ({"failed": 1}, [])


def test_only_what_failed_is_run_again(runner: ModuleType) -> None:
    tests = ("tests/a.py::one[x]", "tests/a.py::one[x-y]", "tests/a.py::two")
    one = runner.Unit("a", tests)
    assert runner.named(one, "FAILED tests/a.py::one[x-y] - assert 0\nERROR tests/a.py::two\n") == tests[1:]
    assert runner.named(one, "Segmentation fault\n") == tests


def test_what_says_most_comes_first(runner: ModuleType, tmp_path: Path) -> None:
    for name in ("test_lab_images", "test_aaa", "test_scenarios", "test_lab_contract"):
        (tmp_path / f"{name}.py").write_text(f"{HEAD}def test_it(): pass\n")
    made = [Path(one.name).stem for one in runner.units([str(tmp_path)])]
    assert made == ["test_lab_contract", "test_scenarios", "test_aaa", "test_lab_images"]


@pytest.mark.parametrize("seconds", [0, 2])
def test_what_has_no_time_left_is_not_run_and_no_failure(
    runner: ModuleType, tmp_path: Path, seconds: int
) -> None:
    """Also in the middle of a test: whether it had begun by then does not matter."""
    run = runner.Run(time.monotonic() + seconds, float("inf"))
    run.take(unit(runner, tmp_path, "def test_it():\n    import time\n    time.sleep(600)\n"))
    assert (dict(run.counts), run.not_run) == ({"not run": 1}, ["made up"])


def test_a_long_file_is_split_by_what_stands_before_the_colon(runner: ModuleType, tmp_path: Path) -> None:
    ids = [f"a:{n}" for n in range(6)] + [f"b:{n}" for n in range(9)]
    (tmp_path / "test_long.py").write_text(
        f"{HEAD}@pytest.mark.parametrize('x', {ids})\ndef test_it(x): pass\n"
    )
    (tmp_path / "test_short.py").write_text(f"{HEAD}def test_it(): pass\n")
    made = runner.units([str(tmp_path)])
    assert [(one.name.rpartition("/")[2], len(one.tests)) for one in made] == [
        ("test_long.py[a]", 6), ("test_long.py[b] 1 of 2", 5), ("test_long.py[b] 2 of 2", 4), ("test_short.py", 1),
    ]  # fmt: skip


def test_a_kind_that_should_be_there_and_lacks_packages_is_a_fault(
    runner: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = [
        Kind("namespace", frozenset(), (), ""),
        Kind("container", frozenset(), (), "needs the Debian packages podman", ("podman",)),
        Kind("vm", frozenset(), (), "there is no /dev/net/tun"),
    ]
    monkeypatch.setattr("wardkeep.lab.all_kinds", lambda: kinds)
    (tmp_path / "kinds").write_text("namespace\ncontainer # of podman\nvm\n")
    assert runner.look_at_kinds(tmp_path / "kinds") == ["container: needs the Debian packages podman"]
    assert "kind vm: does not work here: there is no /dev/net/tun" in capsys.readouterr().out
    assert runner.look_at_kinds(None) == []
    (tmp_path / "kinds").write_text("jail\n")
    with pytest.raises(SystemExit, match="no kind of host `jail`"):
        runner.look_at_kinds(tmp_path / "kinds")


def test_the_kinds_that_ci_expects_are_kinds(runner: ModuleType) -> None:
    assert runner.look_at_kinds(SCRIPT.parents[1] / ".ci" / "kinds") is not None
