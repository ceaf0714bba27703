"""Many rows at once: PostgreSQL by COPY (a statement a row costs it a tenth of a millisecond), SQLite by its own driver.

SQLAlchemy's way of binding costs several times what SQLite needs to store a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, insert
from sqlalchemy.dialects import postgresql, sqlite

from wardkeep.store.columns import Deadline, Moment

FEW = 20  # below this, nothing is saved


def insert_many(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same columns. Columns left out must have a default in the database, or be nullable."""
    if not rows:
        return
    if len(rows) < FEW:
        connection.execute(insert(table), list(rows))
        return
    names, ready = list(rows[0]), _as_stored(connection, table, rows)
    quote = connection.dialect.identifier_preparer.quote
    columns = ", ".join(quote(name) for name in names)
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
    in_order = [{name: row[name] for name in made.positiontup or ()} for row in rows]
    connection.exec_driver_sql(str(made), _as_stored(connection, table, in_order))


def _as_stored(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]
) -> list[tuple[Any, ...]]:
    """The rows' values as the driver wants them, in the order of the first row's columns."""
    columns = []
    for name in rows[0]:
        values = [row[name] for row in rows]
        process = table.c[name].type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
        if process and isinstance(table.c[name].type, Moment | Deadline):
            # Few different ones among many: the times of one cycle.
            stored = {value: process(value) for value in set(values)}
            values = [stored[value] for value in values]
        elif process:
            values = [process(value) for value in values]
        columns.append(values)
    return list(zip(*columns, strict=True))
