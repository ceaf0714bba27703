"""Every act on the disk that the ledger relies on, in one small class: the seam at which the tests let disks fail."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from wardkeep.core.errors import Unavailable

T = TypeVar("T")
AT_ONCE = 8  # syncs under way together


class Disk:
    """Plain acts. Each raises OSError when it did not succeed; what it left behind is then undefined."""

    def write(self, path: Path, data: bytes, mode: int = 0o644) -> None:
        """A new file (or a new content of an old one) whose bytes are on the disk when this returns."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(handle, rest) :]
            os.fsync(handle)
        finally:
            os.close(handle)

    def replace(self, source: Path, target: Path) -> None:
        """Rename over whatever is there, in one act. Lasting only after `sync_folder`."""
        os.replace(source, target)

    def make_folder(self, path: Path) -> None:
        path.mkdir()

    def sync_folder(self, path: Path) -> None:
        """Names made or replaced in the folder are on the disk when this returns."""
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def each(self, act: Callable[[T], None], things: Sequence[T]) -> None:
        """The same act on several things at once: syncs that run together share one commit of the file system."""
        if len(things) < 2:
            for thing in things:
                act(thing)
            return
        with ThreadPoolExecutor(AT_ONCE) as pool:  # leaving the block waits for all, whichever failed
            for done in [pool.submit(act, thing) for thing in things]:
                done.result()

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def remove_folder(self, path: Path) -> None:
        path.rmdir()


def put_files(disk: Disk, files: Iterable[tuple[Path, bytes]], mode: int = 0o644) -> None:
    """Write each file beside its place, move it there, and make contents and names last. Parents are made."""
    todo = list(files)
    move_files(disk, [path for path, _ in todo], stage_files(disk, todo, mode))


def stage_files(disk: Disk, files: Sequence[tuple[Path, bytes]], mode: int = 0o644) -> list[Path]:
    """Write each file beside its place, synced; returns the folders that got new folders. Nothing is in force yet."""
    grown = {made.parent: None for path, _ in files for made in make_folders(disk, path.parent)}
    disk.each(lambda one: disk.write(beside(one[0]), one[1], mode), files)
    return list(grown)


def move_files(disk: Disk, paths: Sequence[Path], grown: Sequence[Path] = ()) -> None:
    """Put staged files in their places, and make the names last."""
    for path in paths:
        disk.replace(beside(path), path)
    disk.each(disk.sync_folder, list(dict.fromkeys([*grown, *(path.parent for path in paths)])))


def beside(path: Path) -> Path:
    """Where a file is written before it is moved to its place."""
    return path.with_name(path.name + ".new")


def make_folders(disk: Disk, folder: Path) -> list[Path]:
    """Make the folder and its parents; returns those that are new."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another process was quicker
            disk.make_folder(path)
    return missing


@contextlib.contextmanager
def locked(path: Path, wait: float = 30.0) -> Iterator[None]:
    """Hold the lock file against every other process and thread. Raises Unavailable after `wait` seconds."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as e:
        raise Unavailable(f"cannot open the lock: {e.strerror}", where=str(path)) from None
    try:
        give_up, pause = time.monotonic() + wait, 0.001
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise Unavailable(
                        f"another process has held the ledger's lock for {wait:.0f} s",
                        where=str(path),
                        todo="See `fuser` on that file for which one",
                    ) from None
                time.sleep(pause)
                pause = min(pause * 2, 0.05)
        yield
    finally:
        os.close(handle)
