"""Many rows at once: PostgreSQL by COPY (a statement a row costs it a tenth of a millisecond), SQLite by its own driver.

SQLAlchemy's way of binding costs several times what SQLite needs to store a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, insert

FEW = 20  # below this, nothing is saved


def insert_many(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same columns. Columns left out must have a default in the database, or be nullable."""
    if not rows:
        return
    if len(rows) < FEW:
        connection.execute(insert(table), list(rows))
        return
    names = list(rows[0])
    quote = connection.dialect.identifier_preparer.quote
    columns = ", ".join(quote(name) for name in names)
    stored = [
        (name, table.c[name].type.dialect_impl(connection.dialect).bind_processor(connection.dialect))
        for name in names
    ]
    ready = [
        tuple([process(row[name]) if process else row[name] for name, process in stored]) for row in rows
    ]
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(names))
        # Names of our own schema, quoted by the dialect; every value is bound.
        connection.exec_driver_sql(f"INSERT INTO {quote(table.name)} ({columns}) VALUES ({marks})", ready)  # noqa: S608
        return
    raw = connection.connection.cursor()
    try:
        with raw.copy(f"COPY {quote(table.name)} ({columns}) FROM STDIN") as copy:
            for row in ready:
                copy.write_row(row)
    finally:
        raw.close()
