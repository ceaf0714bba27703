"""The portal on a real PostgreSQL: its first release gives everything to whoever asks cleverly, its fix does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from postgres_server import drop_database, make_database
from wardkeep.demo.story import INJECT, PATIENT

CLINIC = Path(__file__).parents[2] / "src" / "wardkeep" / "demo" / "clinic"
QUESTION = INJECT.split("8080")[1].rstrip('"')  # what the neighbour asks


@pytest.fixture(scope="module")
def database(postgres: str) -> Iterator[dict[str, str]]:
    """The clinic's table, made by the clinic's own script; the environment that leads there."""
    name, url = make_database(postgres)
    script = (CLINIC / "patients.sh").read_text()
    table = script[script.index("create table") : script.index("grant select")]
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
        connection.execute(table)
    yield {"PGHOST": postgres, "PGDATABASE": name, "PGUSER": "wardkeep"}
    drop_database(postgres, name)


@contextmanager
def portal(release: str, folder: Path, database: dict[str, str]) -> Iterator[str]:
    """The portal of a release, running; where it is."""
    shutil.copy(CLINIC / "portal.py", folder / "portal.py")
    shutil.copy(CLINIC / f"record-{release}.sql", folder / "record.sql")
    with subprocess.Popen(
        [sys.executable, str(folder / "portal.py")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **database, "PORTAL_PORT": "0"},
    ) as process:
        try:
            assert process.stdout
            yield f"http://localhost:{process.stdout.readline().split()[-1]}"
        finally:
            process.terminate()


def ask(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address, timeout=120) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as e:
        with e:
            return e.code, e.read().decode()


@pytest.mark.parametrize("release", ["flawed", "fixed"])
def test_a_patient_reads_the_own_record_only(release: str, tmp_path: Path, database: dict[str, str]) -> None:
    with portal(release, tmp_path, database) as place:
        assert ask(f"{place}/record?id=2&pin=9037") == (200, "Tomas Adeyemi|1984-11-02|asthma\n")
        assert ask(f"{place}/record?id=2&pin=4821")[0] == 403
        assert ask(f"{place}/health") == (200, "ok: 6 patients\n")
        status, text = ask(place + QUESTION)
        assert (PATIENT in text) == (release == "flawed")
        assert status == (200 if release == "flawed" else 403)
