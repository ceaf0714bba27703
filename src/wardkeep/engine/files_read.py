"""The files that an operator writes and verdicts follow from, read as one: `wardkeep.toml`, the allowlist, providers' ranges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from wardkeep.core.control import Control
from wardkeep.engine.config import Config, read_config
from wardkeep.engine.declared import allowlist_path, with_lists
from wardkeep.engine.folder import CONFIG
from wardkeep.store import Store
from wardkeep.store.schema import hosts

ABSENT = (-1, -1, -1)


@dataclass(frozen=True)
class Files:
    """What was read: each file's path with its inode, size (bytes) and time of change (ns); all -1 where there is none."""

    stamps: tuple[tuple[str, tuple[int, int, int]], ...] = ()

    @property
    def changed(self) -> tuple[str, ...]:
        """The paths whose file is not the one that was read."""
        return tuple(path for path, stamp in self.now().stamps if (path, stamp) not in self.stamps)

    def now(self) -> Files:
        """The same files as they are now."""
        return Files(_stamps(Path(path) for path, _ in self.stamps))


def read_files(folder: Path, controls: Sequence[Control], store: Store) -> tuple[Config, Files]:
    """The policy that the files in `folder` declare now, with the entries of the lists it names. Raises BadInput.

    Each file's stamp is taken before it is read: one that changes meanwhile counts as changed.
    """
    first = folder / CONFIG
    stamps = _stamps([first])
    config = read_config(first, controls)
    if any(key.startswith("host.") for key in config.set_by_operator):
        with store.read() as connection:
            names = connection.execute(select(hosts.c.name)).scalars().all()
        config = read_config(first, controls, known_hosts=names)
    providers = (config.path.parent / Path(name).expanduser() for name in config.settings.allowlist_providers)
    stamps += _stamps([allowlist_path(config), *providers])
    return with_lists(config, controls), Files(stamps)


def _stamps(paths: Iterable[Path]) -> tuple[tuple[str, tuple[int, int, int]], ...]:
    return tuple((str(path), _stamp(path)) for path in paths)


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return ABSENT
    return found.st_ino, found.st_size, found.st_mtime_ns
