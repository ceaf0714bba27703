"""What a person sees: commands, their output in order, how much of it is cut and where the rest is, claims by their shape."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scripted import Scripted

from wardkeep.cli import main
from wardkeep.cli.demo_shown import Recorder, Shown
from wardkeep.cli.terminal import progress
from wardkeep.demo import Act, Ran, Step, tell
from wardkeep.demo.claims import prints
from wardkeep.lab import why_not

LINES = "".join(f"line {number}\n" for number in range(1, 31))
ACT = Act(
    "Look",
    "Somebody looks.",
    (
        Step("First this.", ("check", "db-1"), most=3, last=2),
        Step("", ("id",), (prints("uid=0", "It is root."),), on="db-1"),
        Step("", ("up",), until="Sign in", most=0),
    ),
)


def scene() -> Scripted:
    ends = {"check": Ran(0, LINES), "db-1: id": Ran(0, "uid=1000\n"), "up": Ran(0, "at\nSign in here\n")}
    return Scripted(ends)


def test_long_output_is_cut_in_the_middle_and_kept_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = tell([ACT], scene(), shown := Shown(tmp_path), {})
    shown.ending(told, 61, kept=True)
    out = capsys.readouterr().out
    assert "1/1  Look\nSomebody looks.\n\nFirst this.\n$ wardkeep check db-1\nline 1\nline 2\nline 3\n" in out
    assert f"… 25 lines more, in {tmp_path / '01.txt'}".replace("\n", "") in out.replace("\n", "")
    assert "line 29\nline 30\n[exit status 0, 0.0 s]\n" in out
    assert (tmp_path / "01.txt").read_text() == LINES
    assert "\ndb-1# id\nuid=1000\n" in out
    assert "▲ It is root. But: no `uid=0` in the output." in out
    assert "Sign in" not in out, "nothing is played after a claim that does not hold"
    assert (
        "▲ The story is not true here and ends. It is root. Seen: no `uid=0` in the output (1 min 1 s)" in out
    )
    assert max(len(line) for line in out.splitlines()) <= 100


def test_a_program_that_stays_is_shown_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = tell([Act("Up", "It stays.", ACT.steps[2:])], scene(), shown := Shown(tmp_path), {})
    shown.ending(told, 5, kept=False)
    out = capsys.readouterr().out
    assert "$ wardkeep up &\nat\nSign in here\n" in out
    assert "● All 1 claims held, in 0 min 5 s." in out


def test_colours_of_a_command_are_passed_on_as_text_when_piped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    coloured = Scripted({"check": Ran(0, "\x1b[31m▲ fail\x1b[0m [bold]not markup[/bold]\n")})
    tell([Act("One", "It looks.", (Step("", ("check",)),))], coloured, Shown(tmp_path), {})
    assert "\n▲ fail [bold]not markup[/bold]\n" in capsys.readouterr().out


def test_as_json_every_step_and_claim_is_there(tmp_path: Path) -> None:
    tell([ACT], scene(), recorder := Recorder(tmp_path), {})
    assert (tmp_path / "02.txt").read_text() == "uid=1000\n"
    (act,) = json.loads(json.dumps(recorder.acts))
    assert [step["typed"] for step in act["steps"]] == ["$ wardkeep check db-1", "db-1# id"]
    assert act["steps"][0]["output"] == LINES
    assert act["steps"][1]["claims"] == [
        {"says": "It is root.", "held": False, "seen": "no `uid=0` in the output"}
    ]


def test_wrong_use_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, says in (
        (["--pause"], "nobody is here to press Enter"),
        (["--kind", "vm"], "the clinic cannot stand on `vm`"),
        (["--out", str(tmp_path)], "there is something already"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["demo", *words, "--json"])
        told = capsys.readouterr()
        assert (ended.value.code, told.out) == (2, "")
        assert says in told.err
        assert told.err.count("\n") == 1


def test_without_root_it_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    why_not.cache_clear()
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    try:
        with pytest.raises(SystemExit) as ended:
            main(["demo"])
    finally:
        why_not.cache_clear()
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (2, "")
    assert told.err.count("\n") == 1
    assert "needs root. Run it as root, or with sudo." in told.err


def test_progress_says_no_number_before_there_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    with progress("planning"):
        pass
    assert "planning" in (said := capsys.readouterr().err)
    assert "None" not in said
    with progress("planning") as step:
        step("db-1", 1, 3)
    assert "1/3" in capsys.readouterr().err
