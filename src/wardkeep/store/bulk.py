"""Many rows at once: PostgreSQL by COPY (a statement a row costs it a tenth of a millisecond), SQLite by its own driver.

SQLAlchemy's way of binding costs several times what SQLite needs to store a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table, insert
from sqlalchemy.dialects import postgresql, sqlite

from wardkeep.store.columns import Deadline, Moment

FEW = 20  # below this, nothing is saved
# Rows of one statement on SQLite. Its driver lets go of the interpreter once a statement, and beside a thread that computes
# waits to get it back: row by row nothing is left of two cores. A statement may have 32,766 values.
TOGETHER = 500
MANY = 20_000  # below this, an index is kept as quickly as it is made anew


def insert_many(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same columns. Columns left out must have a default in the database, or be nullable."""
    if rows:
        names = tuple(rows[0])
        insert_tuples(connection, table, names, [tuple(row[name] for name in names) for row in rows])


def insert_tuples(
    connection: Connection, table: Table, names: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """As `insert_many`, for the many: values in the order of `names`."""
    if len(rows) < FEW:
        if rows:
            connection.execute(insert(table), [dict(zip(names, row, strict=True)) for row in rows])
        return
    ready = _as_stored(connection, table, names, rows)
    quote = connection.dialect.identifier_preparer.quote
    columns = ", ".join(quote(name) for name in names)
    if connection.dialect.name == "sqlite":
        marks = "(" + ", ".join("?" * len(names)) + ")"
        # Names of our own schema, quoted by the dialect; every value is bound.
        into = f"INSERT INTO {quote(table.name)} ({columns}) VALUES "  # noqa: S608
        whole = len(ready) - len(ready) % TOGETHER
        many = into + ", ".join([marks] * TOGETHER)
        for start in range(0, whole, TOGETHER):
            values = tuple(chain.from_iterable(ready[start : start + TOGETHER]))
            connection.exec_driver_sql(many, values)
        if rest := ready[whole:]:
            connection.exec_driver_sql(into + marks, rest)
        return
    raw = connection.connection.cursor()
    try:
        with raw.copy(f"COPY {quote(table.name)} ({columns}) FROM STDIN") as copy:
            for row in ready:
                copy.write_row(row)
    finally:
        raw.close()


def fill(connection: Connection, table: Table, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """As `insert_tuples`, for a table that is empty. On SQLite its indexes are made once the rows are there: to keep them row by row
    costs more than all else."""
    late = sorted(table.indexes, key=str) if connection.dialect.name == "sqlite" and len(rows) >= MANY else []
    for index in late:
        index.drop(connection)
    insert_tuples(connection, table, names, rows)
    for index in late:
        index.create(connection)


def upsert(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], change: Sequence[str]
) -> None:
    """Insert the rows, or set the columns `change` where the primary key is there already."""
    if not rows:
        return
    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    keys = [column.name for column in table.primary_key.columns]
    statement = make(table)
    changed = {name: statement.excluded[name] for name in change}
    statement = statement.on_conflict_do_update(index_elements=keys, set_=changed)
    if len(rows) < FEW or connection.dialect.name != "sqlite":
        connection.execute(statement, list(rows))
        return
    made = statement.values(dict.fromkeys(rows[0])).compile(dialect=connection.dialect)
    names = made.positiontup or ()
    in_order = [tuple(row[name] for name in names) for row in rows]
    connection.exec_driver_sql(str(made), _as_stored(connection, table, names, in_order))


def _as_stored(
    connection: Connection, table: Table, names: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> list[tuple[Any, ...]]:
    """The rows' values as the driver wants them."""
    columns: list[Sequence[Any]] = []
    for name, values in zip(names, zip(*rows, strict=True), strict=True):
        process = table.c[name].type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
        if process and isinstance(table.c[name].type, Moment | Deadline):
            # Few different ones among many: the times of one cycle.
            stored = {value: process(value) for value in set(values)}
            columns.append([stored[value] for value in values])
        else:
            columns.append([process(value) for value in values] if process else values)
    return list(zip(*columns, strict=True))
