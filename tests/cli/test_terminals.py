"""Terminals, pipes and files as they are: other encodings, no room, nobody who reads on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wardkeep.engine.cycle import check
from wardkeep.engine.platform import named, open_platform
from wardkeep.engine.start import take_this_machine

SOURCE = str(Path(__file__).parents[2] / "src")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("state") / "state"
    with open_platform(made, create=True) as platform:
        take_this_machine(platform, "operator:test")
        check(platform, "operator:test", controls=named(platform.controls, ["keys"]))
    return made


def run(
    folder: Path, words: str, encoding: str = "utf-8", out: int = subprocess.PIPE
) -> subprocess.CompletedProcess[bytes]:
    state = [] if words == "--help" else ["--state", str(folder)]
    return subprocess.run(
        [sys.executable, "-m", "wardkeep", *words.split(), *state],
        stdout=out,
        stderr=subprocess.PIPE,
        check=False,
        env={**os.environ, "PYTHONPATH": SOURCE, "PYTHONIOENCODING": encoding},
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_our_signs_gets_plain_ones(folder: Path, encoding: str) -> None:
    ran = run(folder, "status", encoding)
    told = ran.stdout.decode(encoding)
    assert ran.returncode in (1, 3), ran.stderr
    assert "o not built" in told
    assert "? unknown" in told
    assert "\u25cb" not in told
    assert not ran.stderr


def test_json_is_the_same_whatever_the_encoding(folder: Path) -> None:
    told = [
        json.loads(run(folder, "findings --json", encoding).stdout)
        for encoding in ("ascii", "latin-1", "utf-8")
    ]
    assert told[0] == told[1] == told[2]
    assert len(told[0]["findings"]) > 0


@pytest.mark.parametrize("words", ["status", "controls --json", "settings --json", "keys-are-no-command"])
def test_output_that_cannot_be_written_is_one_line_and_no_verdict(folder: Path, words: str) -> None:
    with open("/dev/full", "wb") as full:
        ran = run(folder, words, out=full.fileno())
    assert ran.returncode == 2
    assert ran.stderr.startswith(b"wardkeep: ")
    assert ran.stderr.count(b"\n") == 1


@pytest.mark.parametrize("words", ["controls --json", "status", "settings", "--help"])
def test_a_reader_who_goes_away_gets_no_traceback_and_no_verdict(folder: Path, words: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ran = run(folder, words, out=writing)
    finally:
        os.close(writing)
    assert ran.stderr == b""
    assert ran.returncode == -signal.SIGPIPE
