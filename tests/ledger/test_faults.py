"""Every act of writing × {lost, half done, killed, power gone}: afterwards nothing acknowledged is lost, and all verifies."""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ledger.disks import FailingDisk, ForgetfulDisk, Killed
from tests.ledger.entries import entry

from wardkeep.core.errors import Unavailable
from wardkeep.ledger import Ledger
from wardkeep.ledger.disk import Disk
from wardkeep.ledger.tiles import tile_path

SCENES = [
    (0, 1),
    (250, 10),
    (3, 260),
]  # entries before, entries appended: a first, a tile filled, more than a tile
MOST_ACTS = 60
MORE = 7  # entries appended afterwards


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """A root folder with ledger and witness for each number of entries that a scene begins with."""
    made = {}
    for size, _ in SCENES:
        root = made[size] = tmp_path_factory.mktemp("before") / str(size)
        root.mkdir()
        disk = FailingDisk()
        Ledger.create(root / "ledger", "log.test/one", witness=root / "witness", disk=disk)
        if size:
            open_at(root, disk).append([entry(n) for n in range(size)])
    return made


def open_at(root: Path, disk: Disk | None = None) -> Ledger:
    return Ledger.open(root / "ledger", witness=root / "witness", disk=disk or FailingDisk())


def check_all(root: Path, size: int, batch: int, done: bool) -> None:
    """The oracle: opens, holds all that was acknowledged and never a part of a batch, verifies, goes on, leaves no rubbish."""
    ledger = open_at(root)
    now = ledger.size
    assert now in ((size + batch,) if done else (size, size + batch))
    assert [e["at"] for e in ledger.read()] == [entry(n)["at"] for n in range(now)]
    ledger.append([entry(n) for n in range(now, now + MORE)])
    assert ledger.verify() == now + MORE
    assert sorted(files_of(ledger)) == sorted(expected_files(now + MORE))
    assert open_at(root).size == now + MORE


def files_of(ledger: Ledger) -> Iterator[str]:
    for path in ledger.folder.rglob("*"):
        if path.is_file():
            yield str(path.relative_to(ledger.folder))


def expected_files(size: int) -> Iterator[str]:
    yield from ("checkpoint", "key", "key.pub", "lock")
    for level in range(8):
        count = size >> 8 * level
        for n in range(count // 256):
            yield from (tile_path(at, n) for at in ((level, "entries") if level == 0 else (level,)))
        if count % 256:
            n, width = count // 256, count % 256
            yield from (tile_path(at, n, width) for at in ((level, "entries") if level == 0 else (level,)))


@pytest.mark.parametrize(
    ("how", "scene"),
    [
        (how, scene)
        for how in ("lost", "half", "killed", "spared")
        for scene in SCENES[how in ("half", "spared") :][:2]
    ],
    ids=str,
)
def test_an_act_that_fails(before: dict[int, Path], tmp_path: Path, scene: tuple[int, int], how: str) -> None:
    size, batch = scene
    acts = 0
    for at in range(1, MOST_ACTS):
        root = tmp_path / str(at)
        shutil.copytree(before[size], root)
        disk = FailingDisk()
        ledger = open_at(root, disk)
        disk.acts, disk.at, disk.how = 0, at, how
        done = False
        said = ""
        try:
            ledger.append([entry(n) for n in range(size, size + batch)])
            done = True
        except Unavailable as e:
            said = e.line()
        except Killed:
            said = "killed"
        assert "\n" not in said
        if "nothing was recorded" in said:
            assert sorted(files_of(ledger)) == sorted(expected_files(size)), "the room was given back"
            assert open_at(root).size == size
            # The same ledger object goes on once the disk is mended.
            assert ledger.append([entry(n) for n in range(size, size + batch)])[0] == size
            done = True
        check_all(root, size, batch, done)
        shutil.rmtree(root)
        acts = disk.acts
        if acts < at:
            break
    assert 5 < acts < MOST_ACTS - 1, "every act was tried"


# None: only what was synced is left; a number: by chance, some of the rest as well.
@pytest.mark.parametrize(
    ("scene", "seed"), [(SCENES[0], None), (SCENES[1], None), (SCENES[1], 1), (SCENES[2], 2)], ids=str
)
def test_the_power_goes(
    before: dict[int, Path], tmp_path: Path, scene: tuple[int, int], seed: int | None
) -> None:
    size, batch = scene
    for at in range(1, MOST_ACTS):
        root, found = tmp_path / f"{at}", tmp_path / f"{at}-after"
        shutil.copytree(before[size], root)
        disk = ForgetfulDisk(root, 0)
        ledger = open_at(root, disk)
        disk.acts, disk.at = 0, at
        done = False
        try:
            ledger.append([entry(n) for n in range(size, size + batch)])
            done = True
        except Killed:
            pass
        disk.after_the_cut(found, random.Random(seed) if seed else None)
        check_all(found, size, batch, done)
        shutil.rmtree(root)
        shutil.rmtree(found)
        if disk.acts < at:
            break
    assert disk.acts < at, "every act was tried"


@pytest.mark.parametrize("how", ["lost", "half", "killed", "spared"])
def test_creating_can_fail_at_any_act_and_be_done_again(tmp_path: Path, how: str) -> None:
    for at in range(1, MOST_ACTS):
        root = tmp_path / str(at)
        root.mkdir()
        disk = FailingDisk(at, how)
        try:
            Ledger.create(root / "ledger", witness=root / "witness", disk=disk)
        except (Unavailable, Killed):
            if not (root / "ledger" / "checkpoint").exists():
                Ledger.create(root / "ledger", witness=root / "witness", disk=FailingDisk())
        check_all(root, 0, 0, True)
        if disk.acts < at:
            break
    assert disk.acts < at, "every act was tried"


@pytest.mark.parametrize("how", ["lost", "half", "killed", "spared"])
def test_a_blob_is_whole_or_not_there(before: dict[int, Path], tmp_path: Path, how: str) -> None:
    data = bytes(range(256)) * 40
    for at in range(1, MOST_ACTS):
        root = tmp_path / str(at)
        shutil.copytree(before[0], root)
        disk = FailingDisk()
        ledger = open_at(root, disk)
        disk.acts, disk.at, disk.how = 0, at, how
        with contextlib.suppress(Unavailable, Killed):
            ledger.put_blob(data)
        again = open_at(root)
        digest = again.put_blob(data)
        assert again.get_blob(digest) == data
        if disk.acts < at:
            break
    assert disk.acts < at, "every act was tried"
