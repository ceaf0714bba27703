"""A folder on the disk as a tree: the root of a system, or a project. Links are not followed, other systems' data not entered."""

from __future__ import annotations

import os
from pathlib import Path

from wardkeep.advisories.components import Notice
from wardkeep.advisories.inventories.tree import Tree
from wardkeep.advisories.inventories.wanted import SYSTEM, look
from wardkeep.core.errors import BadInput

# Of a running system: made by the kernel, or other systems' files.
LEFT_OUT = frozenset({"proc", "sys", "dev", "run"})
OTHERS = frozenset({"var/lib/docker", "var/lib/containerd"})
STORAGE = frozenset({"overlay-images", "overlay-layers"})  # of podman, anybody's
DATABASES = (
    "var/lib/dpkg/status",
    "lib/apk/db/installed",
    "usr/lib/sysimage/rpm/rpmdb.sqlite",
    "var/lib/rpm/rpmdb.sqlite",
)
MOST = 5_000_000


def tree_of_folder(root: Path) -> Tree:
    """Raises BadInput for a folder that cannot be listed; a file or folder inside that cannot becomes a notice."""
    tree = Tree()
    left = [""]
    seen = 0
    while left:
        folder = left.pop()
        try:
            with os.scandir(root / folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as e:
            if not folder:
                raise BadInput(f"cannot be read: {e.strerror}", where=str(root)) from None
            tree.notices.append(Notice("not_readable", folder, f"the folder cannot be read: {e.strerror}"))
            continue
        if folder and (folder in OTHERS or _is_other_system(root, folder, {entry.name for entry in entries})):
            why = "it is another system, or holds some: give it as a target of its own"
            tree.notices.append(Notice("left_out", folder, why))
            continue
        for entry in entries:
            path = f"{folder}/{entry.name}".lstrip("/")
            seen += 1
            if seen > MOST:
                raise BadInput(f"holds more than {MOST:,} files", where=str(root))
            # Never by what a link points at: one that points at itself has no end.
            if entry.is_symlink():
                tree.links[path] = os.readlink(entry.path)
            elif entry.is_file(follow_symlinks=False):
                _look(tree, entry, path)
            elif path in SYSTEM:
                tree.notices.append(Notice("not_readable", path, "it is no file"))
            elif entry.is_dir(follow_symlinks=False) and entry.name != ".git" and path not in LEFT_OUT:
                left.append(path)
    return tree


def _is_other_system(root: Path, folder: str, names: set[str]) -> bool:
    """A root below this one, as of a chroot, or an engine's storage of images."""
    if names >= STORAGE:
        return True
    return bool(names & {"var", "lib", "usr"}) and any(
        os.path.isfile(root / folder / one)
        for one in DATABASES  # also where nobody may look
    )


def _look(tree: Tree, entry: os.DirEntry[str], path: str) -> None:
    def read(size: int) -> bytes:
        # Without following a link that was put there meanwhile, and without waiting at a pipe.
        handle = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            return file.read(size)

    try:
        said = entry.stat(follow_symlinks=False)
        kept = look(path, said.st_mode, said.st_size, read)
    except OSError as e:
        tree.notices.append(Notice("not_readable", path, f"cannot be read: {e.strerror}"))
        return
    if kept is not None:
        tree.files[path] = kept
