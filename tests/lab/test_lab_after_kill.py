"""Nothing of a lab stays when its process is killed: the watchdog removes it, and when that is killed too, the next lab."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from left_behind import left_of

from lab_hosts import want
from wardkeep.lab import Lab, Places, sweep
from wardkeep.lab.records import Book

KINDS = [
    "namespace",
    pytest.param("container", marks=pytest.mark.e2e),
    pytest.param("vm", marks=pytest.mark.e2e),
]
SCRIPT = """
import sys, time
from wardkeep.lab import Lab
with Lab() as lab:
    if sys.argv[2] == "early":
        print(lab.book.lab, lab._watchdog.pid, flush=True)
    lab.host(kind=sys.argv[1], networks=["ward"]).slow(0.01)
    print(lab.book.lab, lab._watchdog.pid, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def places() -> Places:
    want("namespace")
    return Places.usual()


def lost_run(kind: str, places: Places, *, with_watchdog: bool = False, after: float | None = None) -> str:
    """A run that is killed without a warning, with its host, or so long after it began to make one. Returns its lab."""
    source = str(Path(__file__).parents[2] / "src")
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, kind, "late" if after is None else "early"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    assert child.stdout
    words = child.stdout.readline().split()
    assert len(words) == 2, "the run could not make its host"
    assert left_of(words[0], places)
    time.sleep(after or 0)
    if with_watchdog:
        os.kill(int(words[1]), signal.SIGKILL)
    child.kill()
    child.wait()
    child.stdout.close()
    return words[0]


def until_nothing_is_left(lab: str, places: Places) -> list[str]:
    until = time.monotonic() + 90
    while (left := left_of(lab, places)) and time.monotonic() < until:
        time.sleep(0.1)
    return left


@pytest.mark.parametrize("kind", KINDS)
def test_kill_9_of_a_run_leaves_nothing(kind: str, places: Places) -> None:
    want(kind)
    assert until_nothing_is_left(lost_run(kind, places), places) == []


@pytest.mark.parametrize("after", [0, 0.1, 0.4, 0.9])
@pytest.mark.parametrize("kind", KINDS)
def test_kill_9_while_a_host_is_made_leaves_nothing(kind: str, after: float, places: Places) -> None:
    want(kind)
    assert until_nothing_is_left(lost_run(kind, places, after=after), places) == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_killed_watchdog_left_the_next_lab_removes(kind: str, places: Places) -> None:
    want(kind)
    lost = lost_run(kind, places, with_watchdog=True)
    with Lab():
        assert until_nothing_is_left(lost, places) == []


def test_a_sweep_leaves_labs_alone_whose_process_lives(lab: Lab) -> None:
    assert lab.book.lab not in sweep(lab.places)
    assert lab.book.is_owned()


def test_a_lab_that_is_just_beginning_is_not_swept(places: Places, tmp_path: Path) -> None:
    book = Book(Places(tmp_path / "run", tmp_path / "cache"), "abcdef")
    with ThreadPoolExecutor(1) as pool:
        with book.places.alone("begin"):
            (book.folder / "things").mkdir(parents=True)
            swept = pool.submit(sweep, book.places)
            wait([swept], timeout=1)  # so long it could do harm
            book.begin(os.getpid())
        assert swept.result() == []
    assert book.is_owned()


def test_a_reused_process_id_does_not_keep_a_lab(places: Places, tmp_path: Path) -> None:
    book = Book(Places(tmp_path / "run", tmp_path / "cache"), "abcdef")
    book.begin(os.getpid())
    assert book.is_owned()
    book.write("owner.json", {**book.owner(), "born": "1"})
    assert not book.is_owned()
    assert sweep(book.places) == ["abcdef"]
    assert not book.folder.exists()
    assert not book.disks.exists()


def test_a_record_cut_short_is_swept(places: Places, tmp_path: Path) -> None:
    book = Book(Places(tmp_path / "run", tmp_path / "cache"), "abcdef")
    book.begin(os.getpid())
    (book.folder / "owner.json").write_text('{"pid": 1')
    assert sweep(book.places) == ["abcdef"]


def test_only_folders_of_labs_are_ever_removed(places: Places, tmp_path: Path) -> None:
    book = Book(Places(tmp_path / "run", tmp_path / "cache"), "abcdef")
    book.begin(1)
    precious = tmp_path / "precious"
    precious.mkdir()
    book.will_make("folder", str(precious))
    book.will_make("folder", str(tmp_path / "cache" / "labs"))
    book.write("owner.json", {})
    sweep(book.places)
    assert precious.exists()
    assert (tmp_path / "cache" / "labs").exists()
