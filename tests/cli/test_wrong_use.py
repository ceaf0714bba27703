"""Words that a command cannot use: one line that says what, where and what to do, and exit status 2."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from wardkeep.cli import main


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert told.out == ""
    return told.err


@pytest.mark.parametrize(
    ("words", "what", "todo"),
    [
        ("chekc", "no command is called `chekc`", "Did you mean `check`?"),
        ("findings waive 0123456789abcdef", "Missing option '--owner'", "`wardkeep findings waive --help`"),
        ("host add app-1", "Missing argument 'URL'", "`wardkeep host add --help`"),
        ("findings --limit 0", "'--limit'", "`wardkeep findings --help`"),
        ("status --foo", "--foo", "`wardkeep status --help`"),
        ("settings more", "more", "`wardkeep settings --help`"),
        ("up --listen nowhere", "`nowhere` is no address and port", "127.0.0.1:8420"),
        ("evidence shwo", "shwo", "`wardkeep evidence --help`"),
        ("--nothing", "--nothing", "`wardkeep --help`"),
    ],
)
def test_it_is_one_line(capsys: pytest.CaptureFixture[str], words: str, what: str, todo: str) -> None:
    line = refused(capsys, *words.split())
    assert line.count("\n") == 1
    assert line.startswith("wardkeep")
    assert what in line
    assert todo in line


def test_what_is_quoted_moves_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b" not in refused(capsys, "status", "--\x1b[31mred")


def test_a_group_without_a_command_shows_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert "verify" in refused(capsys, "evidence")


def test_the_exit_status_of_a_command_is_the_programs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("wardkeep ")


@pytest.mark.parametrize("open_to_all", [True, False])
def test_an_address_that_cannot_be_is_refused_before_the_first_look(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, open_to_all: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listen = f"0.0.0.0:{port}" if open_to_all else f"127.0.0.1:{port}"
        line = refused(capsys, "up", "--state", str(tmp_path / "state"), "--listen", listen)
    assert ("without TLS" if open_to_all else "cannot listen on") in line
    assert line.count("\n") == 1
