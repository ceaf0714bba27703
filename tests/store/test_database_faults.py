"""A database that is locked, gone, full or damaged: one clear line, and nothing half done. Two of us at once: no loss."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from postgres_server import drop_database, make_database, running_postgres
from wardkeep.core.errors import Unavailable
from wardkeep.core.findings import Finding, Severity, Verdict
from wardkeep.core.profiles import HIPAA
from wardkeep.engine.findings import Assessment, deadlines, record
from wardkeep.store import Store, open_store
from wardkeep.store.browse import Wanted, count
from wardkeep.store.schema import findings, hosts, users

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
LIMITS = deadlines(HIPAA.numbers)


def look(store: Store, host: str, n: int, at: datetime = NOW, verdict: Verdict = Verdict.FAIL) -> None:
    found = [
        Finding("keys", "keys.x", "Keys.", host, f"k{i}", verdict, Severity.LOW, "seen " * 20)
        for i in range(n)
    ]
    record(store, [Assessment(host, at, frozenset({"keys"}), found)], LIMITS)


def total(store: Store) -> int:
    with store.read() as connection:
        return count(connection, Wanted(), NOW).n


def test_a_locked_database_is_said_in_one_line_and_readers_go_on(store_url: str) -> None:
    holder, store = open_store(store_url), open_store(store_url, patience=0.2)
    look(store, "app-1", 1)
    with holder.begin() as held:
        holder.lock(held, "host:app-1")
        held.execute(insert(hosts).values(name="h", url="local:", added=NOW))
        with pytest.raises(Unavailable, match="stayed locked") as told:
            look(store, "app-1", 5, NOW + timedelta(hours=1))
        assert "\n" not in told.value.line()
        assert total(store) == 1
    look(store, "app-1", 5, NOW + timedelta(hours=1))
    assert total(store) == 5
    holder.close()
    store.close()


@pytest.mark.parametrize("instead", ["nothing", "another"])
def test_a_file_that_is_moved_away_under_a_running_platform_is_said(tmp_path: Path, instead: str) -> None:
    file, other = tmp_path / "state.sqlite3", tmp_path / "other.sqlite3"
    store = open_store(f"sqlite:///{file}")
    look(store, "app-1", 3)
    open_store(f"sqlite:///{other}").close()
    kept = file.rename(tmp_path / "kept")
    if instead == "another":
        other.rename(file)
    for act in (lambda: total(store), lambda: look(store, "app-2", 1)):
        with pytest.raises(Unavailable, match="gone, or another has taken its place") as told:
            act()
        assert str(file) in told.value.line()
    kept.rename(file)
    assert total(store) == 3
    store.close()


def test_a_full_disk_leaves_the_state_as_it_was(tmp_path: Path) -> None:
    """SQLite says the same for a full disk and for its own limit of pages; PostgreSQL has its log on the same disk."""
    store = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    look(store, "app-1", 3)

    def fill() -> None:
        with store.begin() as connection:
            pages = connection.execute(text("PRAGMA page_count")).scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
            for n in range(2000):
                row = {"name": f"h{n}", "url": "x" * 500, "added": NOW, "host_keys": [], "labels": {}}
                connection.execute(insert(hosts).values(**row))

    with pytest.raises(Unavailable, match="the disk is full"):
        fill()
    store.close()
    store = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    with store.read() as connection:
        assert connection.execute(select(hosts)).all() == []
        assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"
    assert total(store) == 3
    store.close()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.write_bytes(b"not a database at all, but long enough to be one" * 20), "damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "damaged|cannot be used"),
    ],
)
def test_a_damaged_file_is_said(
    migrated_file: Path, tmp_path: Path, spoil: Callable[[Path], object], says: str
) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(migrated_file.read_bytes())
    spoil(path)

    def use() -> None:
        store = open_store(f"sqlite:///{path}")
        try:
            look(store, "app-1", 1)
        finally:
            store.close()

    with pytest.raises(Unavailable, match=says):
        use()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be used"):
        open_store(f"sqlite:///{tmp_path / 'none' / 'state.db'}")


def test_a_server_that_goes_and_comes_back() -> None:
    with running_postgres() as folder:
        name, url = make_database(folder)
        store = open_store(url, patience=2)
        look(store, "app-1", 30)

        def lose_it_halfway() -> None:
            with store.begin() as connection:
                connection.execute(insert(hosts).values(name="h", url="local:", added=NOW))
                with psycopg.connect(
                    host=folder, user="wardkeep", dbname="postgres", autocommit=True
                ) as admin:
                    admin.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
                    )
                connection.execute(select(hosts))

        with pytest.raises(Unavailable, match="cannot be used"):
            lose_it_halfway()
        assert total(store) == 30
        with store.read() as connection:
            assert connection.execute(select(hosts)).all() == []
        drop_database(folder, name)
    with pytest.raises(Unavailable, match="cannot be used") as told:
        total(store)
    assert "\n" not in told.value.line()
    store.close()


def test_a_password_is_never_in_an_error() -> None:
    with pytest.raises(Unavailable) as told:
        open_store("postgresql://wardkeep:hunter2@127.0.0.1:1/state", patience=1)
    assert "hunter2" not in told.value.line()


def test_a_broken_constraint_stays_a_defect_and_holds_no_values(store: Store) -> None:
    row = {"name": "jane", "role": "auditor", "created": NOW, "totp_sealed": b"hunter2"}

    def add_twice() -> None:
        with store.begin() as connection:
            connection.execute(insert(users).values(**row))
            connection.execute(insert(users).values(**row))

    with pytest.raises(IntegrityError) as told:
        add_twice()
    assert "hunter2" not in str(told.value)


def test_two_writers_on_one_state_lose_nothing(store_url: str) -> None:
    """Each records its own hosts and the same ones; afterwards every host has all of its findings once."""
    stores = [open_store(store_url), open_store(store_url)]

    def work(store: Store, mine: int) -> None:
        for n in range(6):
            look(store, f"own-{mine}", 20, NOW + timedelta(minutes=n))
            look(store, "shared", 20 + n, NOW + timedelta(minutes=n, seconds=mine))

    with ThreadPoolExecutor(2) as two:
        list(two.map(work, stores, range(2)))
    with stores[0].read() as connection:
        live = connection.execute(select(findings.c.host).where(findings.c.gone_at.is_(None))).scalars().all()
        assert len(live) == count(connection, Wanted(), NOW).n
        assert (live.count("own-0"), live.count("own-1"), live.count("shared")) == (20, 20, 25)
    for store in stores:
        store.close()


def test_two_programs_that_start_at_once_migrate_once(empty_store_url: str) -> None:
    program = f"from wardkeep.store import open_store; open_store({empty_store_url!r}).close()"
    started = [
        subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, env={"PYTHONPATH": "src"})
        for _ in range(3)
    ]
    said = [process.communicate(timeout=600)[1] for process in started]
    assert [(process.returncode, text) for process, text in zip(started, said, strict=True)] == [(0, b"")] * 3


def test_a_file_that_cannot_be_opened_is_not_said_to_be_a_server_to_start(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"cannot be used: .*whether its disk has room") as told:
        open_store(f"sqlite:///{tmp_path / 'gone' / 'state.db'}")
    assert "Start it" not in told.value.line()
