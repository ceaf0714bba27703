"""Opening, migrating and the faults of a database, on both databases."""

from __future__ import annotations

import gzip
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, insert, select, text

from wardkeep.core.errors import BadInput, Unavailable
from wardkeep.store import Store, open_store
from wardkeep.store.migrating import _LOCK, HEAD, MIGRATIONS, _alone, migrate
from wardkeep.store.schema import hosts, metadata, settings, tallies, totals

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
HOST = {"name": "app-1", "url": "ssh://root@192.0.2.1", "added": NOW}


def test_an_empty_database_gets_every_table(empty_store_url: str) -> None:
    store = open_store(empty_store_url)
    with store.read() as connection:
        assert connection.execute(select(hosts)).all() == []
        context = MigrationContext.configure(
            connection, opts={"include_object": lambda _o, name, *_: "words" not in (name or "")}
        )
        differences = [d for d in compare_metadata(context, metadata) if "findings_text" not in str(d)]
    assert differences == []
    store.close()


def test_the_newest_migration_is_the_head() -> None:
    assert max(path.name[:4] for path in (MIGRATIONS / "versions").glob("*.py")) == HEAD


def test_a_time_comes_back_exactly(store: Store) -> None:
    with store.begin() as connection:
        connection.execute(
            insert(hosts).values(**HOST, labels={"tier": "web"}, host_keys=["ssh-ed25519 AAAA"])
        )
    with store.read() as connection:
        row = connection.execute(select(hosts)).one()
    assert (row.added, row.labels, row.host_keys) == (NOW, {"tier": "web"}, ["ssh-ed25519 AAAA"])


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    def fail_halfway() -> None:
        with store.begin() as connection:
            connection.execute(insert(hosts).values(**HOST))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    with store.read() as connection:
        assert connection.execute(select(hosts)).all() == []


def test_a_read_sees_one_moment(store: Store) -> None:
    with store.read() as reading:
        assert reading.execute(select(hosts)).all() == []
        with store.begin() as connection:
            connection.execute(insert(hosts).values(**HOST))
        assert reading.execute(select(hosts)).all() == []
    with store.read() as connection:
        assert len(connection.execute(select(hosts)).all()) == 1


def test_a_rebuildable_commit_is_seen_and_later_ones_are_durable(store: Store) -> None:
    with store.begin(rebuildable=True) as connection:
        connection.execute(insert(hosts).values(**HOST))
    with store.begin() as connection:
        connection.execute(insert(settings).values(key="a", value=1, changed=NOW))
        if store.is_sqlite:
            assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
        else:
            assert connection.execute(text("SHOW synchronous_commit")).scalar() == "on"
    with store.read() as connection:
        assert len(connection.execute(select(hosts)).all()) == 1


def test_an_older_state_is_copied_before_it_is_migrated(empty_store_url: str, tmp_path: Path) -> None:
    old = create_engine(empty_store_url.replace("postgresql:", "postgresql+psycopg:"))
    migrate(old, None, to="0001")
    with old.begin() as connection:
        connection.execute(insert(hosts).values(**HOST))
    old.dispose()
    copies = tmp_path / "copies"
    copies.mkdir()
    store = open_store(empty_store_url, backups=copies)
    with store.read() as connection:
        assert connection.execute(select(hosts.c.name)).scalar_one() == "app-1"
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == HEAD
    store.close()
    (copy,) = copies.iterdir()
    assert "from-0001" in copy.name
    assert copy.stat().st_mode & 0o777 == 0o600
    if copy.suffix == ".db":
        with closing(sqlite3.connect(copy)) as copied:
            assert copied.execute("SELECT name FROM hosts").fetchall() == [("app-1",)]
    else:
        assert b'"app-1"' in gzip.decompress(copy.read_bytes())


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_the_lock_of_a_long_migration_outlives_the_time_for_frozen_sessions(store_url: str) -> None:
    url = store_url.replace("postgresql:", "postgresql+psycopg:")
    engine = create_engine(url, pool_size=1, connect_args={"options": "-c lock_timeout=1234"})
    others = create_engine(url)
    with engine.connect() as connection:  # the one connection of the pool: the lock's, later on
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text("SET idle_in_transaction_session_timeout = 50"))
    with _alone(engine):
        time.sleep(0.5)
        with others.connect() as other:
            assert not other.execute(text(f"SELECT pg_try_advisory_lock({_LOCK})")).scalar_one()
    with engine.connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        assert connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar_one() == "50ms"
        assert connection.execute(text("SHOW lock_timeout")).scalar_one() == "1234ms"
    with others.connect() as other:
        assert other.execute(text(f"SELECT pg_try_advisory_lock({_LOCK})")).scalar_one()
    engine.dispose()
    others.dispose()


def test_the_counts_of_an_older_state_are_summed_up(empty_store_url: str, tmp_path: Path) -> None:
    old = create_engine(empty_store_url.replace("postgresql:", "postgresql+psycopg:"))
    migrate(old, None, to="0005")
    with old.begin() as connection:
        row = {"control": "keys", "pressing": 1}
        connection.execute(insert(tallies), [{**row, "host": "a", "n": 2}, {**row, "host": "b", "n": 5}])
    old.dispose()
    store = open_store(empty_store_url, backups=tmp_path)
    with store.read() as connection:
        assert [tuple(row) for row in connection.execute(select(totals))] == [("keys", 1, 7)]
    store.close()


def test_a_newer_state_is_refused(store_url: str) -> None:
    store = open_store(store_url)
    with store.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()
    with pytest.raises(Unavailable, match="newer Wardkeep"):
        open_store(store_url)


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://a/b", "sqlite://", "sqlite:///:memory:"])
def test_a_url_that_cannot_be_a_state_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="sqlite:////path"):
        open_store(url)
