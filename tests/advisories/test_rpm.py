"""RPM's database in its three forms, and every cut of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.advisories.small_images import docker_save
from tests.advisories.small_rpm import berkeley_database, header, ndb_database, sqlite_database

from wardkeep.advisories.inventories import read_path
from wardkeep.advisories.inventories.rpm import read_rpm
from wardkeep.core.errors import NotUnderstood

OWNED = "/usr/lib/python3.9/site-packages/six-1.15.0.dist-info/METADATA"
HEADERS = (
    header("bash", "5.1.8", "9.el9", vendor="AlmaLinux", files=[f"/usr/share/bash/{i}" for i in range(200)]),
    header("python3-six", "1.15.0", "9.el9", epoch=2, vendor="AlmaLinux", files=[OWNED, "/usr/bin/x"]),
    header("docker-ce", "27.0", "1.el9", vendor="Docker"),
    header("gpg-pubkey", "aa", "bb"),
)
FORMS: dict[str, tuple[str, Callable[..., bytes]]] = {
    "sqlite": ("var/lib/rpm/rpmdb.sqlite", sqlite_database),
    "sqlite in /usr": ("usr/lib/sysimage/rpm/rpmdb.sqlite", sqlite_database),
    "ndb": ("usr/lib/sysimage/rpm/Packages.db", ndb_database),
    "Berkeley DB": ("var/lib/rpm/Packages", berkeley_database),
}


@pytest.mark.parametrize("form", FORMS)
def test_an_image_with_an_rpm_database(form: str, tmp_path: Path) -> None:
    place, make = FORMS[form]
    layer = {
        "etc/os-release": b'ID="almalinux"\nVERSION_ID="9.4"\n',
        place: make(*HEADERS),
        OWNED.lstrip("/"): b"Name: six\nVersion: 1.15.0\n",
        "usr/local/lib/python3.9/site-packages/idna-3.4.dist-info/METADATA": b"Name: idna\nVersion: 3.4\n",
    }
    made = read_path(docker_save(tmp_path / "i.tar", layer))
    assert {(one.ecosystem, one.name, one.version, one.foreign) for one in made.components} == {
        ("AlmaLinux:9", "bash", "0:5.1.8-9.el9", ""),
        ("AlmaLinux:9", "python3-six", "2:1.15.0-9.el9", ""),
        ("AlmaLinux:9", "docker-ce", "0:27.0-1.el9", "its vendor is Docker"),
        ("PyPI", "idna", "3.4", ""),
    }
    assert (made.covered, made.notices) == (1, [])


@pytest.mark.parametrize("form", FORMS)
def test_every_cut_is_refused(form: str) -> None:
    data = FORMS[form][1](*HEADERS)
    whole = len(read_rpm(data))
    assert whole == 3
    for cut in range(0, len(data) - 520, 997):
        with pytest.raises(NotUnderstood):
            read_rpm(data[:cut])


@pytest.mark.parametrize("form", FORMS)
def test_a_flipped_byte_is_no_traceback(form: str) -> None:
    data = bytearray(FORMS[form][1](*HEADERS))
    for at in range(0, len(data), 13):
        data[at] ^= 0xFF
        try:
            made = read_rpm(bytes(data))
        except NotUnderstood as e:
            told = e.line()
        else:
            told = made[0].name
        assert "\n" not in told
        data[at] ^= 0xFF


def test_a_damaged_database_and_a_log_beside_it_are_unknown(tmp_path: Path) -> None:
    release = {"etc/os-release": b'ID="almalinux"\nVERSION_ID="9.4"\n'}
    for files, words in (
        ({"var/lib/rpm/rpmdb.sqlite": b"SQLite format 3\0" + b"x" * 200}, "damaged"),
        ({"var/lib/rpm/Packages": b"x" * 2000}, "no RPM database of a form known here"),
        ({"var/lib/rpm/rpmdb.sqlite": sqlite_database()}, "names not one package"),
        (
            {"var/lib/rpm/rpmdb.sqlite": sqlite_database(*HEADERS), "var/lib/rpm/rpmdb.sqlite-wal": b"x"},
            "write-ahead log",
        ),
    ):
        made = read_path(docker_save(tmp_path / "i.tar", {**release, **files}))
        assert [(one.is_unknown, words in one.why) for one in made.notices] == [(True, True)]


def test_a_database_that_would_run_something_is_refused() -> None:
    """A view in the place of the table could call functions; only tables are read."""
    import sqlite3

    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIEW Packages AS SELECT zeroblob(100000000) AS blob")
    with pytest.raises(NotUnderstood):
        read_rpm(bytes(db.serialize()))
    db.close()
