"""Fixtures of the whole suite. Every test that takes `store` or `store_url` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from lab_hosts import debian_host, host, lab, lab_for, pytest_terminal_summary  # noqa: F401 fixtures
from postgres_server import drop_database, empty_database, make_database, running_postgres
from wardkeep.engine.folder import CONFIG
from wardkeep.engine.platform import Platform, open_platform
from wardkeep.store import Store, open_store

# A test never fails because the machine had something else to do, nor by the luck of what was drawn: the same code meets the same
# examples. New ones are looked for by `make search`.
settings.register_profile(
    "patient",
    deadline=None,
    derandomize="WARDKEEP_SEARCH" not in os.environ,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The socket folder of a running PostgreSQL."""
    with running_postgres() as folder:
        yield folder


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("state") / "state.db"
    open_store(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def migrated_database(postgres: str) -> tuple[str, str]:
    """Name and URL of a database with every table: emptied after each test, since making one takes half a second."""
    name, url = make_database(postgres)
    open_store(url).close()
    return name, url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'state.db'}"
        return
    folder = request.getfixturevalue("postgres")
    name, url = make_database(folder)
    yield url
    drop_database(folder, name)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a state with all tables and no rows."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "state.db")
        yield f"sqlite:///{tmp_path / 'state.db'}"
        return
    name, url = request.getfixturevalue("migrated_database")
    yield url
    empty_database(request.getfixturevalue("postgres"), name)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = open_store(store_url)
    yield opened
    opened.close()


@pytest.fixture
def platform(store_url: str, tmp_path: Path) -> Iterator[Platform]:
    """A new platform with an empty inventory, on each database."""
    folder = tmp_path / "platform"
    folder.mkdir(mode=0o700)
    (folder / CONFIG).write_text(f'[database]\nurl = "{store_url}"\n')
    with open_platform(folder, create=True) as opened:
        yield opened
