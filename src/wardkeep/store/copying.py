"""The state as lines of JSON: one form for both databases, so a copy of one can be read into the other."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from sqlalchemy import Boolean, Connection, MetaData, Table, func, select, text

from wardkeep.core.errors import BadInput
from wardkeep.store.textindex import relearn

FORMAT = "wardkeep-rows/1"
_BATCH = 2_000


def export_rows(connection: Connection) -> Iterator[bytes]:
    """Every table as lines: `{"format", "version"}`, then per table `{"table", "columns"}`, its rows as arrays, and
    `{"end", "rows"}`; at last `{"complete": tables}`. Reads the tables as they are, not as this program would have them;
    call inside one `read` transaction for a consistent copy."""
    found = MetaData()
    found.reflect(connection, only=lambda name, _: _is_ours(name))
    version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    yield _line({"format": FORMAT, "version": version})
    tables = [table for table in found.sorted_tables if table.name != "alembic_version"]
    for table in tables:
        names = [str(column.name) for column in table.columns if column.computed is None]
        yield _line({"table": str(table.name), "columns": names})
        quoted = ", ".join(connection.dialect.identifier_preparer.quote(name) for name in names)
        source = connection.dialect.identifier_preparer.format_table(table)
        # Names come from the database's own catalogue and are quoted by the dialect.
        rows = connection.execution_options(yield_per=_BATCH).execute(text(f"SELECT {quoted} FROM {source}"))  # noqa: S608
        n = 0
        for row in rows:
            n += 1
            yield _line([_plain(value) for value in row])
        yield _line({"end": str(table.name), "rows": n})
    yield _line({"complete": len(tables)})


def import_rows(connection: Connection, lines: Iterable[bytes], metadata: MetaData, version: str) -> int:
    """Fill the empty tables of `metadata` from `export_rows` lines of the same version; returns the number of rows.

    Raises BadInput for a copy that is cut short, of another version, or names tables or columns we do not have."""
    stream = iter(lines)
    head = _read(next(stream, b""))
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise BadInput(
            "this is not a copy of a state", todo="Give a file written by `wardkeep state backup`."
        )
    if head.get("version") != version:
        raise BadInput(
            f"the copy is of version {head.get('version')}, this program reads {version}",
            todo="Restore it with the Wardkeep that wrote it, then upgrade.",
        )
    total = 0
    while "complete" not in (start := _read(next(stream, b""))):
        name = start.get("table") if isinstance(start, dict) else None
        if name not in metadata.tables:
            raise BadInput("the copy is damaged or cut short")
        total += _import_table(connection, metadata.tables[str(name)], start["columns"], stream)
    _number_on(connection, metadata)
    relearn(connection)
    return total


def _number_on(connection: Connection, metadata: MetaData) -> None:
    """PostgreSQL counts up in a sequence of its own, which knows nothing of rows that came with their numbers."""
    if connection.dialect.name != "postgresql":
        return
    for table in metadata.sorted_tables:
        counted = table.autoincrement_column
        if counted is not None and counted.autoincrement is True:
            highest = connection.execute(select(func.max(counted))).scalar()
            if highest is not None:
                sequence = func.pg_get_serial_sequence(table.name, counted.name)
                connection.execute(select(func.setval(sequence, highest)))


def _import_table(connection: Connection, table: Table, columns: list[str], stream: Iterator[bytes]) -> int:
    if unknown := set(columns) - set(table.columns.keys()):
        raise BadInput(f"the copy has a column {table.name}.{min(unknown)} that is not known here")
    quote = connection.dialect.identifier_preparer.quote
    binds = ", ".join(f":{name}" for name in columns)
    insert = text(f"INSERT INTO {quote(table.name)} ({', '.join(map(quote, columns))}) VALUES ({binds})")  # noqa: S608
    flags = {column.name for column in table.columns if isinstance(column.type, Boolean)}
    n, batch = 0, list[dict[str, Any]]()
    while True:
        row = _read(next(stream, b""))
        if isinstance(row, list) and len(row) == len(columns):
            batch.append(
                {name: _stored(value, name in flags) for name, value in zip(columns, row, strict=True)}
            )
            n += 1
        elif not isinstance(row, dict) or row != {"end": table.name, "rows": n}:
            raise BadInput("the copy is damaged or cut short", where=table.name)
        if batch and (isinstance(row, dict) or len(batch) >= _BATCH):
            connection.execute(insert, batch)
            batch = []
        if isinstance(row, dict):
            return n


def _is_ours(name: str) -> bool:
    return not name.startswith(("findings_text", "sqlite_"))  # the text index is made again by triggers


def _line(value: object) -> bytes:
    return msgspec.json.encode(value) + b"\n"


def _read(line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except msgspec.DecodeError:
        raise BadInput("the copy is damaged or cut short") from None


def _plain(value: Any) -> Any:
    """A value as JSON. Bytes are wrapped; JSON columns arrive as text (SQLite) or parsed (PostgreSQL)."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    return value


def _stored(value: Any, is_flag: bool) -> Any:
    if is_flag and value is not None:
        return bool(value)  # SQLite says 0 and 1
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value
