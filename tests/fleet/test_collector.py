"""The collector really run, in every shell a host may have as /bin/sh."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from wardkeep.core.errors import BadInput
from wardkeep.core.facts import Question
from wardkeep.fleet import collector
from wardkeep.fleet.collector import compose, longest, plan_lanes
from wardkeep.fleet.local import LocalConnector


def shell_called(name: str, prepare: str = ":") -> tuple[str, ...]:
    """How to start the collector where /bin/sh is `name`, and `prepare` was done: nobody else sees it."""
    made = f'mount --bind /bin/{name} "$(readlink -f /bin/sh)"; {prepare}; exec /bin/sh -s'
    return ("unshare", "--mount", "--propagation", "private", "/bin/bash", "-c", made)


SHELLS = [shell_called(name) for name in ("dash", "busybox", "bash")]
NAMES = ["dash", "busybox", "bash"]


@pytest.mark.parametrize("shell", SHELLS, ids=NAMES)
async def test_every_kind_of_answer_arrives_as_it_was_given(shell: tuple[str, ...], tmp_path: Path) -> None:
    questions = [
        Question("plain", "echo out; echo err >&2; exit 3"),
        Question("bytes", r"printf '\000\201\210\377\n\n'"),
        Question("quotes", """echo 'it'"'"'s $HOME' "`echo q`" @INPUT@ @QUESTIONS@ é"""),
        Question("syntax", "if then"),
        Question("missing", "no-such-tool-here; exit $?"),
        Question("missing-alone", "no-such-tool-here"),
        Question("no-program", "/etc/passwd"),
        Question("plain-command", "head -c 3 /etc/passwd"),
        Question("silent", ":"),
        Question("stdin", "cat"),
        Question("alone", 'echo "$#" "${N:-}${d:-}${w:-}" && echo "$LC_ALL"'),
    ]
    left = tmp_path / "left"
    alone = f'mount -t tmpfs tmpfs /dev/shm; "$@"; ls -A /dev/shm >{left}'
    shell = ("unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", alone, "sh", *shell)
    connector = LocalConnector("me", shell=shell)
    snapshot = await connector.ask(questions)
    assert snapshot.problem == ""
    assert snapshot.run["folder"] == "/dev/shm"
    assert left.read_text() == ""
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
    assert answers["syntax"].exit in (1, 2)  # as that shell has it
    assert (answers["missing"].exit, answers["silent"].exit) == (127, 0)
    assert (answers["missing-alone"].exit, answers["no-program"].exit) == (127, 126)
    assert b"no-such-tool-here" in answers["missing-alone"].stderr
    assert (answers["plain-command"].exit, answers["plain-command"].stdout) == (0, b"roo")
    assert answers["stdin"].stdout == b""
    assert answers["alone"].stdout == b"0 \nC\n"


@pytest.mark.parametrize("shell", SHELLS, ids=NAMES)
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


@pytest.mark.parametrize("shell", SHELLS, ids=NAMES)
async def test_what_ends_its_shell_or_hangs_costs_its_group_mates_nothing(
    shell: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = {
        "hangs": "echo begun; sleep 600",
        "leaves": "sleep 600 & echo begun",
        "kills-its-shell": "kill -9 $$; echo begun",
        "kills-all-it-can": "kill -9 0",
        "closes-everything": "exec 0<&- 1<&- 2<&- 3<&- 4<&- 5<&-",
    }
    # Seconds that those take which take all their time. A busy machine needs more of them for the others.
    for long in (2, 10, 60):
        monkeypatch.setattr(collector, "QUICK", 90 + long)
        questions = [Question("first", "echo first", timeout=long)]
        for name, script in faults.items():
            # Two groups: in one each fault takes all its time, in the other none.
            seconds = long if name in ("hangs", "leaves") else 90 + long
            questions.append(Question(name, script, timeout=seconds))
            questions.append(Question(f"after-{name}", f"echo {name}", timeout=seconds))
        answers = (await LocalConnector("me", shell=shell).ask(questions)).answers
        if all(answer.whole for name, answer in answers.items() if name not in faults):
            break
    assert answers["first"].stdout == b"first\n"
    for name in faults:
        mate = answers[f"after-{name}"]
        assert (mate.whole, mate.stdout, mate.exit) == (True, f"{name}\n".encode(), 0)
    assert {name: answers[name].problem for name in faults if not answers[name].whole} == {
        "hangs": f"did not end within {long} s",
        "leaves": f"did not end within {long} s",
        "kills-its-shell": "was ended there by a signal (9), before its time was over",
        "kills-all-it-can": "was ended there by a signal (9), before its time was over",
    }


async def test_an_answer_that_writes_too_much_and_does_not_care_is_not_whole() -> None:
    """Its tool goes on after a write that failed, and ends as if all were well."""
    careless = "trap '' PIPE; for n in 1 2 3 4 5 6 7 8 9; do head -c 9000 /dev/zero; done; echo end; exit 0"
    questions = [Question("small", "echo a"), Question("careless", careless)]
    full = READ_ONLY + "; mount -t tmpfs -o size=40k tmpfs /dev/shm"
    answers = (await in_a_namespace(full).ask(questions)).answers
    assert answers["careless"].problem == "could not be kept there: /dev/shm is full"
    assert answers["small"].stdout == b"a\n"


async def test_a_question_costs_one_process_beside_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes are numbered one by one in a namespace of their own."""
    monkeypatch.setattr(collector.Group, "slack", 600)  # however slow the machine, one shell asks all

    async def processes(count: int, script: str = ":") -> int:
        last = tmp_path / f"last-{count}"
        shell = (
            "unshare",
            "--pid",
            "--fork",
            "--mount-proc",
            "/bin/sh",
            "-c",
            f"/bin/sh -s; sh -c 'echo $$' >{last}",
        )
        questions = [Question(f"q{n}", script) for n in range(count)]
        snapshot = await LocalConnector("me", shell=shell).ask(questions)
        assert all(answer.whole for answer in snapshot.answers.values())
        return int(last.read_text())

    assert await processes(41) - await processes(1) <= 40
    assert await processes(1) < 25
    # What is one plain command takes the place of its shell.
    assert await processes(41, "cat /dev/null") - await processes(1, "cat /dev/null") <= 40
    assert await processes(41, "cat /dev/null; :") - await processes(1, "cat /dev/null; :") > 40


@pytest.mark.parametrize(
    ("script", "plain"),
    [
        ("cat /etc/os-release", True),
        ("\nuname -a\n", True),
        ("/usr/sbin/sshd -T", True),
        ("systemctl show --property=A,B c@d.service +%s", True),
        ("echo a", False),
        ("test -e /a", False),
        ("time ls", False),
        ("A=b ls", False),
        ("a=b", False),
        ("ls /a*", False),
        ("ls ~", False),
        ("ls; ls", False),
        ("ls\nls", False),
        ("ls >/a", False),
        ("ls | wc", False),
        ("ls &", False),
        ("ls $a", False),
        ("ls 'a'", False),
        ("! ls", False),
        ("ls # a", False),
        ("", False),
    ],
)
def test_only_one_plain_command_takes_its_shells_place(script: str, plain: bool) -> None:
    assert collector.in_place(script) == (f"exec {script.strip()}" if plain else script)


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


async def test_what_a_killed_run_left_is_removed_once_it_is_old() -> None:
    old, young = Path("/dev/shm/wardkeep.testo1"), Path("/dev/shm/wardkeep.testy1")
    for folder in (old, young):
        folder.mkdir(mode=0o700)
        (folder / "1.out").write_text("left")
    os.utime(old, (0, time.time() - 7 * 3600))
    try:
        assert (await LocalConnector("me").ask([Question("a", "true")])).problem == ""
        assert (old.exists(), young.exists()) == (False, True)
    finally:
        shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(young)


async def test_every_question_is_asked_once(tmp_path: Path) -> None:
    log = tmp_path / "asked"
    questions = [Question(f"q{n}", f"echo {n} >>{log}") for n in range(30)]
    assert (await LocalConnector("me").ask(questions)).problem == ""
    assert sorted(map(int, log.read_text().split())) == list(range(30))


async def test_runs_at_the_same_time_do_not_disturb_each_other() -> None:
    stop = asyncio.Event()

    async def come_and_go() -> None:
        while not stop.is_set():
            folder = Path("/dev/shm/wardkeep.flickr")
            folder.mkdir(exist_ok=True)
            await asyncio.sleep(0)
            folder.rmdir()
            await asyncio.sleep(0)

    flickering = asyncio.create_task(come_and_go())
    snapshots = await asyncio.gather(
        *(LocalConnector(f"h{n}").ask([Question("a", "echo a")]) for n in range(12))
    )
    stop.set()
    await flickering
    assert [s.problem for s in snapshots] == [""] * 12


def in_a_namespace(prepare: str) -> LocalConnector:
    """A host whose files look different: `prepare` mounts over them where nobody else sees it."""
    shell = ("unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", f"{prepare}; exec /bin/sh -s")
    return LocalConnector("odd", shell=shell)


READ_ONLY = "for d in /dev/shm /run /tmp /var/tmp; do mount -t tmpfs -o ro tmpfs $d; done"


async def test_a_host_without_one_writable_folder_is_unknown_and_says_so() -> None:
    snapshot = await in_a_namespace(READ_ONLY).ask([Question("a", "echo a")])
    assert snapshot.problem == "no folder to write to there (tried /dev/shm, /run, /tmp, /var/tmp)"
    assert not snapshot.answers["a"].whole


async def test_a_host_with_one_writable_folder_is_asked() -> None:
    snapshot = await in_a_namespace(READ_ONLY + "; mount -t tmpfs tmpfs /var/tmp").ask(
        [Question("a", "echo a")]
    )
    assert (snapshot.problem, snapshot.run["folder"]) == ("", "/var/tmp")
    assert snapshot.answers["a"].stdout == b"a\n"


def pieces_of(shell: tuple[str, ...], questions: list[Question]) -> list[bytes]:
    """What the collector writes, write by write."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # keeps every write apart
    ours.settimeout(60)
    pieces = []
    with ours, subprocess.Popen(shell, stdin=subprocess.PIPE, stdout=theirs) as process:
        theirs.close()
        assert process.stdin is not None
        process.stdin.write(compose(questions, "0" * 32))
        process.stdin.close()
        while piece := ours.recv(1 << 18):
            pieces.append(piece)
    return pieces


@pytest.mark.parametrize("shell", SHELLS, ids=NAMES)
def test_many_answers_are_sent_in_few_pieces(shell: tuple[str, ...]) -> None:
    pieces = pieces_of(shell, [Question(f"q{n}", f"echo {n}") for n in range(40)])
    assert b"".join(pieces).endswith(b"done " + b"0" * 32 + b" 40\n")
    assert len(pieces) < 10  # one for each file were two hundred


def test_a_slow_question_that_ends_at_once_is_sent_with_the_quick_ones_and_waits_for_no_slow_one() -> None:
    quick, soon = Question("quick", "sleep 0.3"), Question("soon", "echo", timeout=60)
    for _ in range(20):  # a busy machine may take longer than a second for both
        begun = time.monotonic()
        pieces = pieces_of(("/bin/sh", "-s"), [quick, soon])
        if time.monotonic() - begun < 1:
            break
    assert sum(b"answer " in piece for piece in pieces) == 1
    long = Question("long", "sleep 2", timeout=60)
    heads = [piece for piece in pieces_of(("/bin/sh", "-s"), [quick, soon, long]) if b"answer " in piece]
    assert b"id=long" in heads[-1]
    assert b"id=quick" not in heads[-1]
    assert b"id=soon" not in heads[-1]


async def test_a_full_folder_cuts_the_answers_that_do_not_fit() -> None:
    full = READ_ONLY + "; mount -t tmpfs -o size=300k tmpfs /dev/shm"
    answers = (
        await in_a_namespace(full).ask(
            [Question("small", "echo a"), Question("big", "head -c 900000 /dev/zero")]
        )
    ).answers
    assert answers["big"].problem == "could not be kept there: /dev/shm is full"
    assert answers["small"].stdout == b"a\n"


@pytest.mark.parametrize("tools", [("sha256sum",), ("timeout",), ("head", "stat")])
async def test_missing_coreutils_are_named(tools: tuple[str, ...]) -> None:
    hide = "; ".join(f"mount --bind /dev/null /usr/bin/{tool}" for tool in tools)
    snapshot = await in_a_namespace(hide).ask([Question("a", "echo a")])
    assert snapshot.problem == f"coreutils are not complete there: {' '.join(tools)} missing"


def test_slow_questions_run_beside_the_quick_ones_and_those_that_share_come_one_after_the_other() -> None:
    questions = [
        Question("quick-1", "true"),
        Question("slow-1", "true", timeout=60, shares="apt"),
        Question("slow-2", "true", timeout=60),
        Question("quick-2", "true", timeout=5),
        Question("slow-3", "true", timeout=60, shares="apt"),
        Question("slow-4", "true", timeout=30),
        Question("slow-5", "true", timeout=30),
        Question("quick-3", "true"),
    ]
    plan = [[[q.id for q in group.questions] for group in lane] for lane in plan_lanes(questions)]
    assert plan == [
        [["slow-1"], ["slow-3"]],
        [["slow-2"]],
        [["slow-4"], ["slow-5"]],
        [["quick-2"], ["quick-1", "quick-3"]],
    ]
    # Each is allowed its time, and what ending it takes: 25 s twice, and 9.
    assert longest(questions[:1] + questions[3:4] + questions[7:]) == 25 + 25 + 9
    assert longest([]) == 0


async def test_questions_that_share_find_what_the_one_before_made_and_nothing_is_left() -> None:
    make = 'test -d "$WARDKEEP_ROUND" && echo made >"$WARDKEEP_ROUND/thing" && echo "$WARDKEEP_ROUND"'
    questions = [
        Question("first", make, timeout=60, shares="thing"),
        Question("second", 'cat "$WARDKEEP_ROUND/thing"', timeout=60, shares="thing"),
    ]
    answers = (await LocalConnector("me").ask(questions)).answers
    assert answers["second"].stdout == b"made\n"
    folder = Path(answers["first"].stdout.decode().strip())
    for _ in range(600):  # it is removed after the last answer was sent
        if not folder.parent.exists():
            break
        await asyncio.sleep(0.1)
    assert not folder.parent.exists()


async def test_a_look_that_is_cancelled_twice_leaves_no_collector_behind(tmp_path: Path) -> None:
    """A person presses Ctrl-C again while the collector is being ended. The question itself ends by its own limit."""
    told = tmp_path / "session"
    script = (
        f"read -r pid name state parent group session rest </proc/self/stat; echo $session >{told}; sleep 60"
    )
    asking = asyncio.create_task(LocalConnector("me").ask([Question("a", script, timeout=15)]))
    while not told.exists() or not told.read_text():
        await asyncio.sleep(0.05)
    for _ in range(2):
        asking.cancel()
        await asyncio.sleep(0.1)
    with pytest.raises(asyncio.CancelledError):
        await asking
    collector = Path(f"/proc/{told.read_text().strip()}")
    for _ in range(60):
        if not collector.exists():
            break
        await asyncio.sleep(0.1)
    assert not collector.exists()
