"""What each lab made, written down before it is made: the reaper removes exactly this.

    RUN/<lab>/owner.json            the process that the lab belongs to (id, birth, boot), or that it is kept
    RUN/<lab>/things/<kind>~<id>    one empty file for each thing: netns, link, container, folder
    RUN/<lab>/hosts/<name>.json     what another process needs to work with a host

RUN lies on a file system that a reboot of the machine empties, as it ends processes, namespaces and mounts.
Processes need no record: each carries the lab's id in its environment from its first moment on.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from wardkeep.lab import processes

# In the order of removal. A link first: it would vanish with the namespace of its other end, at a moment of its own.
KINDS = ("container", "link", "netns", "folder")


def _place(variable: str, otherwise: Path) -> Path:
    return Path(os.environ[variable]).absolute() if os.environ.get(variable) else otherwise


@dataclass(frozen=True)
class Places:
    """Where labs write: `run` for records and sockets, `cache` for images and disks."""

    run: Path
    cache: Path

    @classmethod
    def usual(cls) -> Places:
        """$WARDKEEP_LAB_RUN and $WARDKEEP_LAB_CACHE, or the usual folders."""
        home = _place("XDG_CACHE_HOME", Path.home() / ".cache")
        return cls(
            _place("WARDKEEP_LAB_RUN", Path("/run/wardkeep-labs")),
            _place("WARDKEEP_LAB_CACHE", home / "wardkeep" / "lab"),
        )

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """One at a time under this name, across processes."""
        self.cache.mkdir(parents=True, exist_ok=True)
        with open(self.cache / f"{name}.lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


@dataclass(frozen=True)
class Book:
    """The record of one lab."""

    places: Places
    lab: str

    @property
    def folder(self) -> Path:
        return self.places.run / self.lab

    @property
    def disks(self) -> Path:
        """The lab's own files: disks, sockets, logs of its hosts."""
        return self.places.cache / "labs" / self.lab

    def is_open(self) -> bool:
        return (self.folder / "owner.json").exists()

    def begin(self, owner: int, **more: Any) -> None:
        """Write who owns the lab. `owner` is a process id, 0 for a lab that is kept."""
        for part in ("things", "hosts"):
            (self.folder / part).mkdir(parents=True, exist_ok=True, mode=0o700)
        self.will_make("folder", str(self.disks))
        self.disks.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.disks / "run").write_text(str(self.places.run))
        told = {"pid": owner, "born": processes.born(owner) if owner else "", "boot": _boot(), **more}
        self.write("owner.json", told)

    def owner(self) -> dict[str, Any]:
        """What `begin` wrote; {} when it was cut short."""
        try:
            told = json.loads((self.folder / "owner.json").read_text())
        except (OSError, ValueError):
            return {}
        return told if isinstance(told, dict) else {}

    def is_owned(self) -> bool:
        """Whether somebody still wants this lab: it is kept, or its process runs."""
        told = self.owner()
        if told.get("boot") != _boot():
            return False
        return told["pid"] == 0 or processes.is_alive(told["pid"], told["born"])

    def write(self, name: str, told: dict[str, Any]) -> None:
        """Replace a file of the record in one step."""
        part = self.folder / f"{name}.part"
        part.write_text(json.dumps(told))
        part.rename(self.folder / name)

    def will_make(self, kind: str, name: str) -> None:
        """Write down a thing that is about to be made."""
        assert kind in KINDS
        (self.folder / "things" / f"{kind}~{quote(name, safe='')}").touch()

    def is_gone(self, kind: str, name: str) -> None:
        """Strike out a thing that is no longer there."""
        (self.folder / "things" / f"{kind}~{quote(name, safe='')}").unlink(missing_ok=True)

    def things(self) -> list[tuple[str, str]]:
        """(kind, id) of what is or may be there, in the order of removal."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self.folder / "things"):
                kind, _, name = entry.name.partition("~")
                if kind in KINDS:
                    found.append((kind, unquote(name)))
        return sorted(found, key=lambda thing: (KINDS.index(thing[0]), thing[1]))


def new_id() -> str:
    return uuid.uuid4().hex[:6]


def kept_id(places: Places) -> str:
    """The lab of hosts made by hand, which outlives the command that made them: one for each RUN."""
    return "k" + hashlib.sha256(str(places.run).encode()).hexdigest()[:5]


def all_books(places: Places) -> list[Book]:
    """Every lab that has a record here."""
    with contextlib.suppress(FileNotFoundError):
        return [
            Book(places, entry.name)
            for entry in os.scandir(places.run)
            if (Path(entry.path) / "things").is_dir()
        ]
    return []


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
