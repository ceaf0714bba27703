"""The status of any row as of a past date, from the assess entries; quick by a sidecar that can always be made anew.

The sidecar `times.sqlite3` only says where to look: what it leads to is read from the ledger, where every entry is held
against the tree. Whoever can write the ledger's folder could make it lead to an older entry; `forget` makes it anew.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from wardkeep.core.errors import BadInput
from wardkeep.ledger.entry import read_time
from wardkeep.ledger.ledger import Ledger
from wardkeep.ledger.selection import Counts, Look, Standing, look_of, removes_host
from wardkeep.ledger.tiles import WIDTH

SIDECAR = "times.sqlite3"
STEP = 64 * WIDTH  # entries taken in before each commit
SCHEMA = """
CREATE TABLE IF NOT EXISTS taken (one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, root BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS bundle (n INTEGER PRIMARY KEY, low INTEGER NOT NULL, high INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS event (host TEXT, scope TEXT, at INTEGER, entry INTEGER, PRIMARY KEY (host, scope, at, entry))
  WITHOUT ROWID;
"""
REMOVED = ""  # the scope of a host's leaving; that of an assessment is the list of its rows


@dataclass(frozen=True)
class AsOf:
    """Where everything stood at a time. `rows`: control → counts over hosts; `looks`: what that rests on."""

    when: datetime
    rows: Mapping[str, Counts]
    looks: tuple[Look, ...]


def rows_as_of(ledger: Ledger, when: datetime) -> AsOf:
    """Every row's counts by the last assessment of it on each host not later than `when` (UTC).

    Hosts that had been removed by then do not count. Raises Tampered if an entry is not what was recorded.
    """
    with _sidecar(ledger) as index:
        last = index.execute(
            "SELECT host, scope, max(at) FROM event WHERE at <= ? GROUP BY host, scope", (_micros(when),)
        ).fetchall()
        entry = "SELECT max(entry) FROM event WHERE host = ? AND scope = ? AND at = ?"
        found = [
            (at, index.execute(entry, (host, scope, at)).fetchone()[0], scope, host)
            for host, scope, at in last
        ]
    standing = Standing()
    for _, at, scope, host in sorted(found):
        if scope == REMOVED:
            standing.remove(host)
        else:
            standing.add(look_of(at, next(ledger.read(at, at + 1))))
    return AsOf(when, standing.matrix(), tuple(standing.looks))


def indices_between(ledger: Ledger, begin: datetime, end: datetime) -> tuple[int, int]:
    """The smallest range of indices that holds every entry with `begin <= at < end`; (0, 0) if there is none.

    Entries are in the order of recording, so a few in between may lie outside of the times.
    """
    low, high = _micros(begin), _micros(end)
    with _sidecar(ledger) as index:
        found = index.execute(
            "SELECT min(n), max(n) FROM bundle WHERE high >= ? AND low < ?", (low, high)
        ).fetchone()
    if found[0] is None:
        return 0, 0
    inside = [
        entry["index"]
        for n in sorted(set(found))
        for entry in ledger.read(n * WIDTH, (n + 1) * WIDTH)
        if low <= _micros(read_time(entry["at"])) < high
    ]
    return (min(inside), max(inside) + 1) if inside else (0, 0)


def forget(ledger: Ledger) -> None:
    """Remove the sidecar; the next question makes it anew."""
    for ending in ("", "-journal", "-wal", "-shm"):
        (ledger.folder / f"{SIDECAR}{ending}").unlink(missing_ok=True)


@contextlib.contextmanager
def _sidecar(ledger: Ledger) -> Iterator[sqlite3.Connection]:
    """The index, caught up with the ledger. One that is damaged, of another ledger or not writable is replaced."""
    connection = None
    for place in (ledger.folder / SIDECAR, ledger.folder / SIDECAR, ":memory:"):
        try:
            connection = sqlite3.connect(place, timeout=10)
            _catch_up(connection, ledger)
            break
        except (sqlite3.Error, BadInput):
            if connection:
                connection.close()
            with contextlib.suppress(OSError):
                forget(ledger)
    if connection is None:
        raise AssertionError("an index in memory can always be made")
    try:
        yield connection
    finally:
        connection.close()


def _catch_up(connection: sqlite3.Connection, ledger: Ledger) -> None:
    connection.executescript(SCHEMA)
    goal = ledger.size
    size, root = connection.execute("SELECT size, root FROM taken").fetchone() or (0, ledger.root_at(0))
    if size > goal or ledger.root_at(size) != root:
        raise BadInput("the index is of another ledger")
    while size < goal:
        start, size = size, min(goal, (size // STEP + 1) * STEP)
        spans: dict[int, list[int]] = {}
        events = []
        for entry in ledger.read(start, size):
            at = _micros(read_time(entry["at"]))
            spans.setdefault(entry["index"] // WIDTH, []).append(at)
            if (scope := _scope(entry)) is not None:
                host = str(entry["subject"].get("host", "platform"))
                events.append((host, scope, at, entry["index"]))
        with connection:
            connection.executemany("INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?)", events)
            connection.executemany(
                "INSERT INTO bundle VALUES (?, ?, ?) ON CONFLICT (n) DO UPDATE SET low = min(low, excluded.low), "
                "high = max(high, excluded.high)",
                [(n, min(times), max(times)) for n, times in spans.items()],
            )
            connection.execute("INSERT OR REPLACE INTO taken VALUES (1, ?, ?)", (size, ledger.root_at(size)))


def _scope(entry: Mapping[str, Any]) -> str | None:
    if entry["kind"] == "assess":
        rows = entry["body"].get("rows")
        return json.dumps(sorted(rows)) if isinstance(rows, dict) and rows else None
    return REMOVED if removes_host(entry) else None


def _micros(when: datetime) -> int:
    moment = when.astimezone(UTC)
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond
