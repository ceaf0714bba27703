"""The file of the work queue beneath `durable.py`, where the state is on SQLite."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from wardkeep.core.errors import Unavailable

QUEUE_FILE = "durable.sqlite3"
TODO = "Stop Wardkeep, move the file away, start it: a new one is made. A change under way is not carried on: check its host."


def begin_queue(folder: Path) -> Path:
    """The file, made if there is none, for its owner alone. Raises Unavailable."""
    path = folder / QUEUE_FILE
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        os.chmod(path, 0o600)
        if os.geteuid() == 0:  # root's command on the service's state must not keep the service out
            owner = folder.stat()
            os.chown(path, owner.st_uid, owner.st_gid)
    except sqlite3.OperationalError as e:  # locked, no room, no right: the file itself may be sound
        raise Unavailable(f"the work queue's database cannot be used ({e})", where=str(path)) from None
    except sqlite3.DatabaseError as e:
        raise _damaged(path, str(e)) from None
    return path


def look_at_queue(folder: Path) -> str:
    """What is to be said of a sound one; none is there before the first server. Raises Unavailable."""
    path = folder / QUEUE_FILE
    if not path.exists():
        return "nothing queued yet"
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)
        ) as connection:
            said = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as e:
        said = str(e)
    if said != "ok":
        raise _damaged(path, said)
    return f"{QUEUE_FILE} is sound"


def _damaged(path: Path, why: str) -> Unavailable:
    return Unavailable(f"the work queue's database is damaged ({why[:120]})", where=str(path), todo=TODO)
