"""Where the platform keeps its state, and who may hold it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wardkeep.core.errors import Unavailable

if TYPE_CHECKING:
    from wardkeep.advisories.database import Database

SYSTEM_FOLDER = Path("/var/lib/wardkeep")
CONFIG = "wardkeep.toml"
ALLOWLIST = "allowlist.toml"  # unless the configuration names another file
DATABASE = "state.sqlite3"
LEDGER = "ledger"
WITNESS = "witness"  # the last checkpoint seen, apart from the ledger's own folder
KEYS = "keys"
LOCK = "serving.lock"
SERVING = "serving.json"  # by which files the server goes (engine.in_force)
ADVISORIES = "advisories"


def find_folder(given: Path | None = None, env: Mapping[str, str] = os.environ) -> Path:
    """The state folder: as given, else $WARDKEEP_STATE, else the system's when it holds a platform, else the user's."""
    if given is not None:
        return given.expanduser().absolute()
    if env.get("WARDKEEP_STATE"):
        return Path(env["WARDKEEP_STATE"]).expanduser().absolute()
    # os.access as well: an unreadable system folder belongs to another user's platform.
    if (SYSTEM_FOLDER / LEDGER).is_dir() and os.access(SYSTEM_FOLDER, os.R_OK | os.X_OK):
        return SYSTEM_FOLDER
    home = env.get("XDG_STATE_HOME") or str(Path(env.get("HOME", "/")) / ".local/state")
    return Path(home) / "wardkeep"


def open_advisories(folder: Path) -> Database:
    """The advisories of the platform in `folder`, to be closed by `with`. Raises Unavailable when they are not there or not readable."""
    # Here, so that a command that only looks for its folder does not load the readers.
    from wardkeep.advisories.database import Database
    from wardkeep.advisories.updating import FILE

    return Database(folder / ADVISORIES / FILE)


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Be the one server on this state folder until the end of the block. Raises Unavailable if another one is.

    The kernel drops the lock when the process dies, however it dies: no stale lock can stand in the way.
    """
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as e:
        raise Unavailable(
            f"this state cannot be served ({e.strerror})",
            where=str(folder / LOCK),
            todo="The folder must belong to whoever runs Wardkeep, on a disk with room that can be written.",
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "another process"
            raise Unavailable(
                f"another Wardkeep is serving this state (process {holder})",
                where=str(folder),
                todo="Use that one, end it first, or give this one its own folder by --state.",
            ) from None
        with suppress(OSError):  # who holds it is only told to others: a full disk is no reason not to serve
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def is_served(folder: Path) -> bool:
    """Whether a server holds this folder now. Writes nothing, so that it can be asked on a full disk."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
