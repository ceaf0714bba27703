"""The collector really run, in every shell a host may have as /bin/sh."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wardkeep.core.errors import BadInput
from wardkeep.core.facts import Question
from wardkeep.fleet.collector import compose
from wardkeep.fleet.local import LocalConnector

SHELLS = [("/bin/dash", "-s"), ("/bin/busybox", "sh", "-s"), ("/bin/bash", "-s")]


def left_behind() -> list[Path]:
    """Folders of runs of ours that have ended."""
    folders = [p for base in ("/dev/shm", "/run", "/tmp") for p in Path(base).glob("wardkeep.*.*")]
    return [p for p in folders if not Path("/proc", p.name.split(".")[1]).exists()]


@pytest.mark.parametrize("shell", SHELLS, ids=lambda s: Path(s[0]).name)
async def test_every_kind_of_answer_arrives_as_it_was_given(shell: tuple[str, ...]) -> None:
    questions = [
        Question("plain", "echo out; echo err >&2; exit 3"),
        Question("bytes", r"printf '\000\201\210\377\n\n'"),
        Question("quotes", """echo 'it'"'"'s $HOME' "`echo q`" @INPUT@ @QUESTIONS@ é"""),
        Question("syntax", "if then"),
        Question("missing", "no-such-tool-here"),
        Question("silent", ":"),
        Question("stdin", "cat"),
        Question("alone", 'echo "$#" "${N:-}${d:-}${w:-}" && echo "$LC_ALL"'),
    ]
    snapshot = await LocalConnector("me", shell=shell).ask(questions)
    assert snapshot.problem == ""
    assert snapshot.run["uid"] == str(os.getuid())
    answers = snapshot.answers
    assert [a.question for a in answers.values() if not a.whole] == []
    assert (answers["plain"].exit, answers["plain"].stdout, answers["plain"].stderr) == (
        3,
        b"out\n",
        b"err\n",
    )
    assert answers["bytes"].stdout == b"\0\x81\x88\xff\n\n"
    assert answers["quotes"].stdout.decode() == "it's $HOME q @INPUT@ @QUESTIONS@ é\n"
    assert (answers["syntax"].exit, answers["missing"].exit, answers["silent"].exit) == (2, 127, 0) or shell[
        0
    ] == "/bin/bash"
    assert answers["stdin"].stdout == b""
    assert answers["alone"].stdout == b"0 \nC\n"
    assert left_behind() == []


@pytest.mark.parametrize("shell", SHELLS, ids=lambda s: Path(s[0]).name)
async def test_what_hangs_or_floods_is_cut_and_the_others_are_whole(shell: tuple[str, ...]) -> None:
    questions = [
        Question("hangs", "echo begun; sleep 30", timeout=1),
        Question("leaves", "sleep 30 & echo begun", timeout=1),
        Question("floods", "yes", limit=1000),
        Question("full", "head -c 1000 /dev/zero", limit=1000),
        Question("complains", "yes >&2"),
        Question("good", "echo good"),
    ]
    answers = (await LocalConnector("me", shell=shell).ask(questions)).answers
    assert {name: answer.problem for name, answer in answers.items()} == {
        "hangs": "did not end within 1 s",
        "leaves": "did not end within 1 s",
        "floods": "longer than its limit of 1000 bytes",
        "full": "",
        "complains": "its stderr is longer than 262144 bytes",
        "good": "",
    }
    assert [name for name, answer in answers.items() if answer.whole] == ["full", "good"]


async def test_a_change_reads_its_standard_input_and_runs_as_root() -> None:
    answer = await LocalConnector("me").run("cat; id -u", stdin=b"a\0b'\n" * 50_000)
    assert answer.stdout == b"a\0b'\n" * 50_000 + b"0\n"
    assert (answer.exit, answer.whole) == (0, True)


@pytest.mark.parametrize(
    ("questions", "says"),
    [
        ([Question("a b", "true")], "cannot be a question's id"),
        ([Question("../a", "true")], "cannot be a question's id"),
        ([Question("a", "true"), Question("a", "false")], "two different questions"),
        ([Question("a", "x" * 100_000)], "longer than 96 KiB"),
    ],
)
def test_questions_that_cannot_be_framed_are_refused(questions: list[Question], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        compose(questions, "0" * 32)
