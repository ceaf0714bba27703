"""A PostgreSQL of Debian's own, in a temporary folder and on a unix socket only; gone when the tests are, even killed."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from wardkeep.store.migrating import HEAD
from wardkeep.store.schema import metadata

PREFIX = "wardkeep-test-pg-"
_numbers = itertools.count()


def server_programs() -> Path | None:
    """The newest `bin` folder of Debian's PostgreSQL, or None when it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[4]))
    return found[-1].parent if found else None


@contextmanager
def running_postgres() -> Iterator[str]:
    """Start one; gives the socket folder. The user is `postgres` for root (the server refuses root), else ourselves."""
    programs = server_programs()
    if programs is None:
        raise FileNotFoundError("Debian's package postgresql is not installed: apt-get install postgresql")
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    (folder / "by").write_text(str(os.getpid()))
    become: list[str] = []
    if os.getuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        become = [f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
    # The kernel ends the server when this process dies in whatever way: SIGQUIT is its immediate shutdown.
    command = ["setpriv", "--pdeathsig", "QUIT", *become]
    data = folder / "data"
    subprocess.run(
        [
            *command,
            programs / "initdb",
            "-D",
            data,
            "-A",
            "trust",
            "-U",
            "wardkeep",
            "--no-sync",
            "-E",
            "UTF8",
        ],
        check=True,
        capture_output=True,
        cwd="/",
    )
    quick = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "64MB", "max_connections": "60"}
    options = [part for key, value in quick.items() for part in ("-c", f"{key}={value}")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, programs / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", *options],
            stdout=log,
            stderr=log,
            cwd="/",
        )
    try:
        _wait(server, folder)
        yield str(folder)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(120)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(server: subprocess.Popen[bytes], folder: Path) -> None:
    for _ in range(2400):
        if server.poll() is not None:
            raise RuntimeError((folder / "log").read_text())
        try:
            psycopg.connect(host=str(folder), user="wardkeep", dbname="postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("PostgreSQL did not start in 2 minutes")


def _sweep() -> None:
    """Remove what a killed run left: its server is dead already, its folder is not."""
    for folder in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        by = folder / "by"
        if by.exists() and not Path(f"/proc/{by.read_text()}").exists():
            shutil.rmtree(folder, ignore_errors=True)


def make_database(folder: str) -> tuple[str, str]:
    """A new database without tables: its name and its URL."""
    name = f"wk{next(_numbers)}"
    with psycopg.connect(host=folder, user="wardkeep", dbname="postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    return name, f"postgresql://wardkeep@/{name}?host={folder}"


def drop_database(folder: str, name: str) -> None:
    with psycopg.connect(host=folder, user="wardkeep", dbname="postgres", autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def empty_database(folder: str, name: str) -> None:
    tables = ", ".join(metadata.tables)
    with psycopg.connect(host=folder, user="wardkeep", dbname=name, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        admin.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
        admin.execute("DROP SCHEMA IF EXISTS dbos CASCADE")  # the durable workflows' own tables
        admin.execute(f"UPDATE alembic_version SET version_num = '{HEAD}'")
