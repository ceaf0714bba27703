"""Many rows at once: PostgreSQL by COPY (a statement a row costs it a tenth of a millisecond), SQLite by its own driver.

SQLAlchemy's way of binding costs several times what SQLite needs to store a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    values, wide = _as_stored(connection, table, names, rows), len(names)
    quote = connection.dialect.identifier_preparer.quote
    columns = ", ".join(quote(name) for name in names)
    if connection.dialect.name == "sqlite":
        # Names of our own schema, quoted by the dialect; every value is bound.
        _together(connection, f"INSERT INTO {quote(table.name)} ({columns}) VALUES ", values, wide)  # noqa: S608
        return
    raw = connection.connection.cursor()
    try:
        with raw.copy(f"COPY {quote(table.name)} ({columns}) FROM STDIN") as copy:
            for row in _rows(values, wide):
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
    values = _as_stored(connection, table, names, in_order)
    before, after = str(made).split(_marks(len(names)))
    _together(connection, before, values, len(names), after)


def _together(connection: Connection, before: str, values: list[Any], wide: int, after: str = "") -> None:
    """The statement on SQLite for the rows of these values, many rows at a time."""
    for start in range(0, len(values), TOGETHER * wide):
        some = tuple(values[start : start + TOGETHER * wide])
        rows = ", ".join([_marks(wide)] * (len(some) // wide))
        connection.exec_driver_sql(before + rows + after, some)


def _marks(wide: int) -> str:
    return "(" + ", ".join("?" * wide) + ")"


def _as_stored(
    connection: Connection, table: Table, names: Sequence[str], rows: Iterable[Sequence[Any]]
) -> list[Any]:
    """The rows' values as the driver wants them, one row after the other."""
    values, wide = list(chain.from_iterable(rows)), len(names)
    for place, name in enumerate(names):
        process = table.c[name].type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
        if process and isinstance(table.c[name].type, Moment | Deadline):
            # Few different ones among many: the times of one cycle.
            given = values[place::wide]
            stored = {value: process(value) for value in set(given)}
            values[place::wide] = [stored[value] for value in given]
        elif process:
            values[place::wide] = [process(value) for value in values[place::wide]]
    return values


def _rows(values: list[Any], wide: int) -> Iterator[tuple[Any, ...]]:
    return zip(*[iter(values)] * wide, strict=True)
