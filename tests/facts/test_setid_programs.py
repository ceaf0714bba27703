"""The look for set-id programs, run on files that somebody made to blind it. Needs dpkg."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer
from wardkeep.facts.programs import Programs

PLACES = "find /usr /etc /opt /tmp /var/tmp "


def look(places: str, path: str = "") -> subprocess.CompletedProcess[bytes]:
    script = Programs.ask.script
    assert script.count(PLACES) == 1
    env = {"LC_ALL": "C", "PATH": f"{path}:{os.environ['PATH']}" if path else os.environ["PATH"]}
    return subprocess.run(
        ["/bin/sh", "-c", script.replace(PLACES, f"find {places} ")], capture_output=True, env=env
    )


def test_names_made_to_confuse_are_told_each_as_one_file_that_no_package_owns(tmp_path: Path) -> None:
    names = ["plain", "two words", "*", "[a-z]*", "back\\slash"]
    broken = ["a\nb", "a\n|4755 root ", "x\ny"]  # the second would be a line of its own
    for name in names + broken:
        file = tmp_path / name / "deep" if name in broken[1:] else tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("")
        file.chmod(0o4755)
    found = Programs.parse(Answer("programs", 0, look(f"{tmp_path} /usr/bin/passwd").stdout)).setid
    mine = [program for program in found if program.path != "/usr/bin/passwd"]
    assert {p.path for p in mine if "line break" not in p.path} == {f"{tmp_path}/{name}" for name in names}
    assert sum("a path with a line break" in p.path for p in mine) == len(broken)
    assert [p for p in mine if p.package] == []
    assert [p.package for p in found if p.path == "/usr/bin/passwd"] == ["passwd"]


@pytest.mark.parametrize(("why", "status"), [("No such file or directory", 0), ("Permission denied", 1)])
def test_a_file_that_vanished_is_no_failure_and_anything_else_is(
    tmp_path: Path, why: str, status: int
) -> None:
    stub = tmp_path / "find"
    stub.write_text(f"#!/bin/sh\necho '|4755 root /tmp/left'\necho \"find: '/tmp/x': {why}\" >&2\nexit 1\n")
    stub.chmod(0o755)
    done = look("/tmp", str(tmp_path))
    assert done.returncode == status
    if status:
        assert why in done.stderr.decode()
        with pytest.raises(NotUnderstood):
            Programs.parse(Answer("programs", 0, done.stdout))
    else:
        assert [p.path for p in Programs.parse(Answer("programs", 0, done.stdout)).setid] == ["/tmp/left"]
