"""Bringing an older state to this program's shape, after a copy of it; refusing a newer one."""

from __future__ import annotations

import fcntl
import gzip
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from wardkeep.core.errors import Unavailable
from wardkeep.store.copying import export_rows

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0009"  # the newest file in migrations/versions; a test keeps it true
_LOCK = 2_547_001  # any constant: PostgreSQL's advisory lock for migrating


def migrate(engine: Engine, backups: Path | None, *, to: str = HEAD) -> None:
    """Create or upgrade the tables. Two programs that start at once take turns; the second finds nothing to do."""
    if _version(engine) == to:
        return
    with _alone(engine):
        found = _version(engine)
        if found == to:
            return
        # Imported here: half of Alembic's weight is needed once in the life of a version, not at every command.
        from alembic import command
        from alembic.config import Config
        from alembic.script import ScriptDirectory

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if found and found not in known:
            raise Unavailable(
                f"the state was written by a newer Wardkeep (its version {found}, this program knows {HEAD})",
                where=engine.url.render_as_string(),
                todo="Upgrade this program, or restore the copy made before the upgrade.",
            )
        if found:
            _copy(engine, backups, found)
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, to)


def _version(engine: Engine) -> str:
    """The migration the state is at, "" for an empty database."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return ""
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or ""


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    if engine.dialect.name == "sqlite":
        path = Path(f"{engine.url.database}.migrating")
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        return
    with engine.connect() as connection:
        # Outside of any transaction: the server ends a session that is idle within one (store.opening), and the copy of a
        # large state takes longer than that.
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text("SET lock_timeout = 0"))  # another's migration may take long
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
            connection.execute(text("RESET lock_timeout"))


def _copy(engine: Engine, backups: Path | None, version: str) -> Path:
    """A copy of the older state, complete before anything is changed. Returns its path."""
    if backups is None:
        raise Unavailable(
            "no folder is known for the copy that must be made before migrating",
            where=engine.url.render_as_string(),
            todo="Open the state through its platform folder.",
        )
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    ending = "db" if engine.dialect.name == "sqlite" else "rows.gz"
    path = backups / f"state-before-upgrade-from-{version}-{stamp}.{ending}"
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    if engine.dialect.name == "sqlite":
        os.close(descriptor)
        with closing(sqlite3.connect(str(engine.url.database))) as old, closing(sqlite3.connect(path)) as new:
            old.backup(new)
        return path
    with os.fdopen(descriptor, "wb") as file:
        with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed, engine.connect() as connection:
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
            _write_rows(connection, packed)
        file.flush()
        os.fsync(file.fileno())
    return path


def _write_rows(connection: Connection, file: gzip.GzipFile) -> None:
    for line in export_rows(connection):
        file.write(line)
