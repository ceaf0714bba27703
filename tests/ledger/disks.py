"""Disks that fail: at the n-th act, in one of several ways; and one that forgets what was not synced."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar

from wardkeep.ledger.disk import Disk

T = TypeVar("T")
Listing: TypeAlias = dict[str, bytes | None]  # a folder's names: a file's bytes, or None for a folder


class Killed(BaseException):
    """The process is gone: nothing of it runs any more, no clean-up either."""


class FailingDisk(Disk):
    """Acts as told until the n-th act (from 1), where it fails.

    `lost`: an error, and nothing was done. `half`: an error, and half was done (or all, where an act has no half).
    `killed`: half was done, and the process is dead. `spared`: all was done, and the process is dead.
    """

    def __init__(self, at: int = 0, how: str = "lost") -> None:
        self.at, self.how, self.acts, self.dead = at, how, 0, False

    def _act(self, whole: Callable[[], object], half: Callable[[], object]) -> None:
        if self.dead:
            raise Killed
        self.acts += 1
        if self.acts != self.at:
            whole()
            return
        if self.how == "lost":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        (whole if self.how == "spared" else half)()
        if self.how == "half":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.dead = True
        raise Killed

    def write(self, path: Path, data: bytes, mode: int = 0o644) -> None:
        self._act(lambda: path.write_bytes(data), lambda: path.write_bytes(data[: len(data) // 2]))

    def replace(self, source: Path, target: Path) -> None:
        self._act(lambda: os.replace(source, target), lambda: os.replace(source, target))

    def make_folder(self, path: Path) -> None:
        self._act(path.mkdir, path.mkdir)

    def sync_folder(self, path: Path) -> None:
        self._act(lambda: None, lambda: None)

    def each(self, act: Callable[[T], None], things: Sequence[T]) -> None:
        """One after the other, so that the n-th act is always the same one."""
        for thing in things:
            act(thing)

    def remove(self, path: Path) -> None:
        self._act(lambda: path.unlink(missing_ok=True), lambda: path.unlink(missing_ok=True))

    def remove_folder(self, path: Path) -> None:
        self._act(path.rmdir, path.rmdir)


class ForgetfulDisk(FailingDisk):
    """A machine that loses its power at the n-th act: of each folder, names made or removed since its last sync may be lost.

    Contents are synced by `write` before the name counts, so a name either leads to its whole content or is not there.
    """

    def __init__(self, root: Path, at: int, how: str = "spared") -> None:
        super().__init__(at, how)
        self.root = root
        self.synced: dict[Path, Listing] = {
            folder: _listing(folder) for folder in (root, *(p for p in root.rglob("*") if p.is_dir()))
        }

    def sync_folder(self, path: Path) -> None:
        def sync() -> None:
            self.synced[path] = _listing(path)

        self._act(sync, lambda: None)

    def after_the_cut(self, goal: Path, chance: random.Random | None = None) -> None:
        """What is found on the disk afterwards: only what was synced, or (by chance) any of the rest as well."""

        def build(here: Path, there: Path) -> None:
            there.mkdir()
            old, new = self.synced.get(here, {}), _listing(here) if here.is_dir() else {}
            for name in sorted({*old, *new}):
                keep_new = chance is not None and chance.random() < 0.5
                if name not in (new if keep_new else old):
                    continue
                content = (new if keep_new else old)[name]
                if content is None:
                    build(here / name, there / name)
                else:
                    (there / name).write_bytes(content)

        build(self.root, goal)


def _listing(folder: Path) -> Listing:
    return {p.name: None if p.is_dir() else p.read_bytes() for p in folder.iterdir()}
