"""The open platform: the operator's file, the state, the ledger and the controls, held together for the engine."""

from __future__ import annotations

import getpass
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardkeep import controls
from wardkeep.core.control import Control
from wardkeep.core.errors import Unavailable
from wardkeep.engine.config import Config, read_config
from wardkeep.engine.files_read import Files, read_files
from wardkeep.engine.folder import CONFIG, DATABASE, KEYS, LEDGER, WITNESS
from wardkeep.engine.template import TEMPLATE
from wardkeep.ledger import Ledger
from wardkeep.store import Store, open_store


@dataclass
class Platform:
    """Everything an act of the engine needs. Made by `open_platform`; close it when done."""

    folder: Path
    config: Config
    store: Store
    ledger: Ledger
    controls: tuple[Control, ...]
    files: Files = field(default_factory=Files)
    seen: Files = field(default_factory=Files)  # by a server, not taken up yet
    port: int = 0  # of the console that this process serves; 0: it serves none

    def held(self) -> Platform:
        """The same platform with the policy of this moment, for the length of one act: a server takes up changed files
        between two acts (engine.in_force), and one act is judged by one policy."""
        return replace(self)

    def record(self, kind: str, actor: str, body: dict[str, Any], **more: Any) -> int:
        """Append one entry to the ledger and return its index. `more`: `subject`, `blobs`, `guard`."""
        guard = more.pop("guard", None)
        entry = {"kind": kind, "at": timestamp(), "actor": actor, "body": body, **more}
        return self.ledger.append([entry], guard=guard)[0]

    def close(self) -> None:
        self.store.close()

    def __enter__(self) -> Platform:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_platform(folder: Path, *, create: bool = False, anew: bool = False) -> Platform:
    """Open the platform whose state is in `folder`; with `create`, make what is not there yet.

    Raises Unavailable when there is none, or when its database is gone while the ledger is not, unless it is to be made `anew`
    from the ledger; BadInput when the operator's file has a fault.
    """
    if not (folder / LEDGER).is_dir():
        if not create:
            raise Unavailable(
                "no platform is here yet",
                where=str(folder),
                todo="Run `wardkeep up`, or name its folder by --state.",
            )
        _prepare(folder)
    every = controls.all_controls()
    url = read_config(folder / CONFIG, every).settings.database_url or f"sqlite:///{folder / DATABASE}"
    gone = url == f"sqlite:///{folder / DATABASE}" and not (folder / DATABASE).exists()
    # An empty one in its place would look like a platform without hosts, people and waivers, and say nothing.
    if gone and not anew and (entries := _recorded(folder)):
        raise Unavailable(
            f"the database is gone, and the ledger has {entries} entries",
            where=str(folder / DATABASE),
            todo="Put it back (`wardkeep state restore` into another folder), or run `wardkeep state rebuild`, "
            "which knows no hosts and people.",
        )
    store = open_store(url, backups=folder)
    try:
        config, files = read_files(folder, every, store)
        ledger = _open_ledger(folder)
    except BaseException:
        store.close()
        raise
    return Platform(folder, config, store, ledger, every, files)


def timestamp(at: datetime | None = None) -> str:
    """UTC in ISO 8601 with milliseconds and Z: the one form used in the ledger and in JSON."""
    return (at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def operator() -> str:
    """Who acts at this terminal, for the ledger: the person behind sudo where there is one."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    return f"operator:{name}"


def named(controls_: Sequence[Control], names: Sequence[str]) -> list[Control]:
    """The controls of these ids, in the matrix's order; all of them when no id is given."""
    wanted = {controls.control(name).id for name in names}
    return [c for c in controls_ if not names or c.id in wanted]


def _recorded(folder: Path) -> int:
    """How many entries the ledger's checkpoint signs; 0 where there is none yet, or none that can be read."""
    try:
        return int((folder / LEDGER / "checkpoint").read_text().split("\n")[1])
    except (OSError, ValueError, IndexError):
        return 0


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        if not (folder / CONFIG).exists():
            (folder / CONFIG).write_text(TEMPLATE)
    except OSError as e:
        raise Unavailable(
            f"the state folder cannot be made ({e.strerror})",
            where=str(folder),
            todo="Choose another by --state.",
        ) from None


def _open_ledger(folder: Path) -> Ledger:
    # The signing key and the witness stand apart from the ledger's folder: who can replace one cannot replace all.
    where, witness, key = folder / LEDGER, folder / WITNESS, folder / KEYS / "ledger"
    if (where / "checkpoint").exists():
        return Ledger.open(where, witness=witness, key=key)
    (folder / KEYS).mkdir(mode=0o700, exist_ok=True)
    return Ledger.create(where, origin=f"wardkeep/{os.uname().nodename}", witness=witness, key=key)
