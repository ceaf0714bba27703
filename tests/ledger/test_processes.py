"""Real processes: killed with kill -9 while they append, two at once, and a disk that is really full."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ledger.entries import entry

from wardkeep.core.errors import Unavailable
from wardkeep.ledger import Ledger, export
from wardkeep.ledger.disk import locked
from wardkeep.ledger.verify import verify_pack

APPENDER = """
import sys
from tests.ledger.entries import entry
from wardkeep.ledger import Ledger
folder, name, batches, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
ledger = Ledger.open(folder + "/ledger", witness=folder + "/witness")
print("ready", flush=True)
sys.stdin.readline()
for batch in range(batches):
    answer = ("%s %d" % (name, batch)).encode()
    blob = {"name": "snapshot", "digest": ledger.put_blob(answer), "size": len(answer)}
    made = ledger.append([entry(0, host=name, body={"n": batch * size + i}, blobs=[blob]) for i in range(size)])
    print(*made, flush=True)
"""


def appender(root: Path, name: str, batches: int, size: int) -> subprocess.Popen[str]:
    made = subprocess.Popen(
        [sys.executable, "-c", APPENDER, str(root), name, str(batches), str(size)],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert made.stdout is not None
    assert made.stdout.readline() == "ready\n"
    return made


def start(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def test_kill_9_at_any_moment_loses_nothing_acknowledged(tmp_path: Path) -> None:
    ledger = Ledger.create(tmp_path / "ledger", witness=tmp_path / "witness")
    acknowledged, seed = 0, random.Random(7)
    for turn in range(5):
        child = appender(tmp_path, f"turn-{turn}", 10_000, 37)
        start(child)
        assert child.stdout is not None
        said = child.stdout.readline()  # at least one batch, and then some more, is acknowledged
        time.sleep(seed.random() * 0.4)
        child.kill()
        said += child.communicate()[0]
        rows = said[: said.rfind("\n") + 1].splitlines()
        acknowledged = max(acknowledged, int(rows[-1].split()[-1]) + 1)
        after = Ledger.open(tmp_path / "ledger", witness=tmp_path / "witness")
        assert after.size >= acknowledged
        assert after.size % 37 == 0, "a batch is in the ledger whole or not at all"
        assert after.verify() == after.size
    assert acknowledged > 0
    size = after.size
    assert ledger.append([entry(1)]) == [size]


def test_two_processes_append_at_once_and_every_entry_has_its_own_index(tmp_path: Path) -> None:
    ledger = Ledger.create(tmp_path / "ledger", witness=tmp_path / "witness")
    children = [appender(tmp_path, name, 20, 7) for name in ("one", "two")]
    for child in children:
        start(child)
    got = {}
    for name, child in zip(("one", "two"), children, strict=True):
        said = child.communicate()[0]
        assert child.returncode == 0
        for i, index in enumerate(said.split()):
            assert int(index) not in got
            got[int(index)] = (name, i)
    assert sorted(got) == list(range(280))
    for read in ledger.read():
        assert (read["subject"]["host"], read["body"]["n"]) == got[read["index"]]
    assert ledger.verify() == 280


def test_threads_may_read_while_another_appends(tmp_path: Path) -> None:
    """Each sees a ledger that only grows; nobody takes another's newer checkpoint for a rollback of his own."""
    ledger = Ledger.create(tmp_path / "ledger", witness=tmp_path / "witness")
    ended, wrong = threading.Event(), []

    def look() -> None:
        last = 0
        try:
            while not ended.is_set():
                seen = [read["index"] for read in ledger.read()]
                assert seen == list(range(len(seen)))
                assert len(seen) >= last
                last = len(seen)
        except BaseException as e:  # noqa: BLE001
            wrong.append(repr(e))

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    for n in range(25):
        ledger.append([entry(n), entry(n)])
    ended.set()
    for reader in readers:
        reader.join()
    assert wrong == []


def test_a_copy_made_while_the_ledger_grew_opens_as_of_its_checkpoint(tmp_path: Path) -> None:
    ledger = Ledger.create(tmp_path / "ledger")
    ledger.append([entry(n) for n in range(3)])
    early = ledger.signed_checkpoint()
    ledger.append([entry(n) for n in range(3, 300)])
    (ledger.folder / "checkpoint").write_bytes(early)
    for _ in range(2):
        copy = Ledger.open(ledger.folder)
        assert (copy.size, copy.verify()) == (3, 3)
    assert copy.append([entry(n) for n in range(3, 600)])[-1] == 599
    assert Ledger.open(ledger.folder).verify() == 600


def test_a_lock_that_is_never_given_back_is_named(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "lock"),
        pytest.raises(Unavailable, match="another process has held the ledger's lock"),
        locked(tmp_path / "lock", wait=0.1),
    ):
        pass


@pytest.fixture
def full_soon(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for 1 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no right to mount a small file system: {done.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_leaves_the_ledger_valid_and_says_one_line(full_soon: Path, tmp_path: Path) -> None:
    Ledger.create(full_soon / "ledger", witness=tmp_path / "witness")
    ledger = Ledger.open(full_soon / "ledger", witness=tmp_path / "witness")
    said, acknowledged = "", 0
    for n in range(200):
        try:
            acknowledged = ledger.append([entry(n, body={"text": "x" * 3000}) for _ in range(10)])[-1] + 1
        except Unavailable as e:
            said = e.line()
            break
    assert "No space left on device; nothing was recorded" in said
    assert "Make room" in said
    assert acknowledged > 50
    blob = os.urandom(1 << 20)
    with pytest.raises(Unavailable, match="cannot write a blob: No space left"):
        ledger.put_blob(blob)
    again = Ledger.open(full_soon / "ledger", witness=tmp_path / "witness")
    assert again.verify() == again.size == acknowledged
    filler = full_soon / "filler"
    with contextlib.suppress(OSError):
        filler.write_bytes(bytes(1 << 20))
    with pytest.raises(Unavailable, match="cannot write the pack: No space left"):
        export(again, full_soon / "pack.tgz")
    filler.unlink()
    assert not list(full_soon.glob(".pack-*"))
    subprocess.run(["mount", "-o", "remount,size=4m", full_soon], check=True)
    assert ledger.append([entry(1)]) == [acknowledged]
    export(ledger, tmp_path / "pack.tgz")
    assert verify_pack(str(tmp_path / "pack.tgz")).verified
