"""Keeping the words of findings searchable. PostgreSQL does it by itself (a generated column); SQLite's FTS5 is told here.

FTS5 forgets a row only when given exactly the words it learnt, so `forget` comes before the row is changed and
`learn` after, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

# Bytes of words that FTS5 gathers before it writes them: with its own 1 MiB, a group of hosts is written in pieces and merged.
_BUFFER = 8 << 20
_COLUMNS = "band, host, rule, subject, seen, says"
_ROWS = "FROM findings_text_rows WHERE id"
_FORGET = (
    f"INSERT INTO findings_text(findings_text, rowid, {_COLUMNS}) SELECT 'delete', id, {_COLUMNS} {_ROWS} = ?"
)
_LEARN = f"INSERT INTO findings_text(rowid, {_COLUMNS}) SELECT id, {_COLUMNS} {_ROWS}"


def forget(connection: Connection, ids: Iterable[int]) -> None:
    """Before the findings `ids` are changed or deleted."""
    _each(connection, _FORGET, ids)


def learn(connection: Connection, ids: Iterable[int]) -> None:
    """After the findings `ids` were changed."""
    _each(connection, f"{_LEARN} = ?", ids)


def newest(connection: Connection) -> int:
    """The highest id so far: `learn_since` it after inserting. 0 where the database keeps the words itself."""
    if connection.dialect.name != "sqlite":
        return 0
    return int(connection.exec_driver_sql("SELECT coalesce(max(id), 0) FROM findings").scalar_one())


def learn_since(connection: Connection, newest_before: int) -> None:
    if connection.dialect.name == "sqlite":
        _widen(connection)
        connection.exec_driver_sql(f"{_LEARN} > ? ORDER BY id", (newest_before,))


def relearn(connection: Connection) -> None:
    """Make the whole index again from the findings."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("INSERT INTO findings_text(findings_text) VALUES ('rebuild')")


def _widen(connection: Connection) -> None:
    """Make the index's buffer as large as it should be; it remembers."""
    now = connection.exec_driver_sql("SELECT v FROM findings_text_config WHERE k = 'hashsize'").scalar()
    if now != _BUFFER:
        connection.exec_driver_sql(
            "INSERT INTO findings_text(findings_text, rank) VALUES ('hashsize', ?)", (_BUFFER,)
        )


def _each(connection: Connection, statement: str, ids: Iterable[int]) -> None:
    # In the order of ids, or FTS5 must write out its buffer at every step back.
    if connection.dialect.name == "sqlite" and (ordered := [(row,) for row in sorted(ids)]):
        connection.exec_driver_sql(statement, ordered)
