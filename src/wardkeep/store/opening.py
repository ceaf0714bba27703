"""Opening the state: one code path, the difference between SQLite and PostgreSQL is the URL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError

from wardkeep.core.errors import BadInput, Unavailable
from wardkeep.store.migrating import migrate

BUSY_SECONDS = 10  # a writer waits this long for another before it says so
_FULL, _NORMAL = "FULL", "NORMAL"


@dataclass(frozen=True)
class Store:
    """The state. `begin` for writing, `read` for looking; both give a SQLAlchemy Connection.

    Every database fault leaves here as `Unavailable`, one line that names the database and never its password.
    `file` is the device and inode of SQLite's file when it was opened.
    """

    engine: Engine
    file: tuple[int, int] | None = None

    @property
    def where(self) -> str:
        """The database's name for people: a path, or a URL without its password."""
        return self.engine.url.database or "" if self.is_sqlite else self.engine.url.render_as_string()

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def begin(self, *, rebuildable: bool = False) -> Iterator[Connection]:
        """One writing transaction: all of it or nothing.

        `rebuildable` is for what the ledger already holds safely on disk (assessments, the entry index): the commit
        does not wait for its own fsync. After a power cut such a commit may be missing, never half there, and is made
        again from the ledger. Everything else is on disk when this returns.
        """
        with self._faults_said(), self.engine.connect() as connection:
            if self.is_sqlite:
                connection = connection.execution_options(
                    wardkeep_begin="IMMEDIATE", wardkeep_sync=_NORMAL if rebuildable else _FULL
                )
            with connection.begin():
                if rebuildable and not self.is_sqlite:
                    connection.execute(text("SET LOCAL synchronous_commit = off"))
                yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view of everything, however many queries are asked of it. Writers are not kept waiting."""
        with self._faults_said(), self.engine.connect() as connection:
            if not self.is_sqlite:
                connection = connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            with connection.begin():
                yield connection

    def lock(self, connection: Connection, name: str) -> None:
        """Until the end of this transaction, nobody else holds the lock `name` (SQLite has one writer anyway)."""
        if not self.is_sqlite:
            connection.execute(
                text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 2547))"), {"name": name}
            )

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _faults_said(self) -> Iterator[None]:
        if self.file and self.file != _file_of(self.engine.url):
            # SQLite would go on in the file that nobody finds any more, or mix it with the one that took its place.
            raise Unavailable(
                "the database's file is gone, or another has taken its place",
                where=self.where,
                todo="Put it back, or end Wardkeep and run `wardkeep state rebuild` or restore a backup. The ledger has what it recorded.",
            )
        try:
            yield
        except (DBAPIError, psycopg.Error) as e:  # psycopg's own from COPY, which SQLAlchemy does not know
            fault = said(e, self.where)
            if fault is None:
                raise
            raise fault from e


def said(error: DBAPIError | psycopg.Error, where: str) -> Unavailable | None:
    """The fault in one line for a person; None for a broken constraint, which is a defect of ours and stays as it is."""
    cause = " ".join(str(error.orig if isinstance(error, DBAPIError) else error).split())
    lower = cause.lower()
    if "locked" in lower or "lock timeout" in lower:
        return Unavailable(
            "the database stayed locked",
            where=where,
            todo="Another program is writing to it; end it, or try again. Nothing was lost.",
        )
    if "disk is full" in lower or "no space left" in lower or "could not extend file" in lower:
        return Unavailable(
            "the disk is full", where=where, todo="Free some space and try again. Nothing was lost."
        )
    if "malformed" in lower or "not a database" in lower:
        return Unavailable(
            "the database is damaged",
            where=where,
            todo="Restore a backup; or move it away and run `wardkeep state rebuild`: then only users are lost.",
        )
    # `OperationalError`, `InterfaceError`: the driver's names (PEP 249) for a database that cannot be used now.
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    if lost or isinstance(error, OperationalError | InterfaceError | psycopg.OperationalError):
        # SQLite is started by nobody: its file, its folder or their disk is at fault.
        todo = "Start it, then try again."
        if not where.startswith("postgresql"):
            todo = "See whether its disk has room (`df`) and its folder may be written, then try again."
        return Unavailable(f"the database cannot be used: {cause[:200]}", where=where, todo=todo)
    return None


FROZEN_SECONDS = 20  # a session silent for this long within a transaction is taken for frozen


def open_store(url: str, *, backups: Path | None = None, patience: float = BUSY_SECONDS) -> Store:
    """Open (and when needed create or migrate) the state at `url`.

    `url` is `sqlite:////path/to/file.db` or `postgresql://user@host/name`. Before an older state is migrated, a copy
    goes into `backups` (default: beside a SQLite file). `patience` is how many seconds a writer waits for another. Raises BadInput for a URL that cannot be one, Unavailable when
    the database cannot be reached or is newer than this program.
    """
    parsed = _parse(url)
    store = Store(_make_engine(parsed, patience))
    try:
        with store._faults_said():
            migrate(store.engine, backups or _beside(parsed))
    except BaseException:
        store.close()
        raise
    return replace(store, file=_file_of(parsed))


def _file_of(url: URL) -> tuple[int, int] | None:
    """Device and inode of SQLite's file; None where there is none."""
    if not url.drivername.startswith("sqlite"):
        return None
    try:
        told = os.stat(url.database or "")
    except OSError:
        return None
    return told.st_dev, told.st_ino


def _parse(url: str) -> URL:
    todo = "Give sqlite:////path/to/file.db or postgresql://user@host/name."
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise BadInput("this is not the URL of a database", where="state", todo=todo) from None
    if parsed.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername in {"sqlite", "sqlite+pysqlite"} and parsed.database not in {None, "", ":memory:"}:
        return parsed.set(drivername="sqlite+pysqlite")
    raise BadInput(f"{parsed.drivername} databases are not supported", where="state", todo=todo)


def _beside(url: URL) -> Path | None:
    return Path(url.database or "").parent if url.drivername.startswith("sqlite") else None


def _make_engine(url: URL, patience: float) -> Engine:
    # Errors must not carry what was to be stored: it may be a digest, or evidence.
    pool: dict[str, Any] = {"pool_size": 5, "max_overflow": 15, "hide_parameters": True}
    if url.drivername.startswith("postgresql"):
        # A process that freezes within a transaction keeps its locks: the server ends its session, so that others go on.
        waits = {
            "options": f"-c lock_timeout={int(patience * 1000)} "
            f"-c idle_in_transaction_session_timeout={FROZEN_SECONDS * 1000}",
            "connect_timeout": int(max(patience, 2)),
        }
        return create_engine(url, pool_pre_ping=True, connect_args=waits, **pool)
    engine = create_engine(url, connect_args={"timeout": patience}, **pool)

    @event.listens_for(engine, "connect")
    def prepare(raw: Any, _record: object) -> None:
        raw.isolation_level = None  # the driver must not begin transactions by itself; `begin` below does
        for pragma in (
            # Of a new database: rows of half a kilobyte and four indices cost a fifth less to write than with the usual 4096.
            "page_size=8192",
            "journal_mode=WAL",  # readers never wait for a writer
            "foreign_keys=ON",
            # FULL: who was told "revoked" or "signed out" is told the truth even after a power cut.
            # `begin(rebuildable=True)` lowers it for what the ledger holds anyway.
            "synchronous=FULL",
            "cache_size=-65536",
            # A cycle over a thousand hosts writes hundreds of megabytes: copying them back every 4 MB costs more than it.
            "wal_autocheckpoint=10000",
            "temp_store=MEMORY",
            "mmap_size=1073741824",
        ):
            raw.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if "wardkeep_begin" in options:
            connection.exec_driver_sql(f"PRAGMA synchronous={options['wardkeep_sync']}")
        connection.exec_driver_sql(f"BEGIN {options.get('wardkeep_begin', 'DEFERRED')}")

    return engine
