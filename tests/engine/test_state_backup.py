"""A backup is everything, sealed; it comes back whole into an empty place, or not at all."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from postgres_server import drop_database, empty_database, make_database
from wardkeep.core.errors import BadInput, Unavailable
from wardkeep.core.findings import Finding, Severity, Verdict
from wardkeep.engine.findings import Assessment, deadlines, record
from wardkeep.engine.folder import DATABASE, hold
from wardkeep.engine.platform import Platform, open_platform
from wardkeep.engine.sealed_file import Opener, Sealer
from wardkeep.engine.state_backup import back_up, restore
from wardkeep.ledger import Tampered
from wardkeep.store import open_store
from wardkeep.store.browse import Wanted, page
from wardkeep.store.copying import export_rows, import_rows
from wardkeep.store.migrating import HEAD
from wardkeep.store.schema import findings, hosts, metadata, users

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
WORDS = "correct horse battery"
CHEAP = (10, 8, 1)


LIST = '[[allow]]\nnetwork = "192.0.2.7"\nservice = "22/tcp"\n'


def finding(subject: str) -> Finding:
    return Finding(
        "keys", "keys.x", "Keys are fine.", "app-1", subject, Verdict.FAIL, Severity.LOW, "not fine"
    )


@pytest.fixture
def lived(platform: Platform) -> Platform:
    """A platform with something in every place: database, ledger with blobs, keys, configuration."""
    with platform.store.begin() as connection:
        host = {"name": "app-1", "url": "local:", "added": NOW, "labels": {"a": "ü"}, "host_keys": ["k"]}
        connection.execute(insert(hosts).values(**host))
        connection.execute(
            insert(users).values(name="alice", role="operator", created=NOW, totp_sealed=b"\x00\xff")
        )
    given = Assessment("app-1", NOW, frozenset({"keys"}), [finding("one"), finding("two")])
    record(platform.store, [given], deadlines(platform.config.numbers))
    for n in range(4):
        data = b"blob %d" % n
        digest = platform.ledger.put_blob(data)
        if n % 2 == 0:
            blob = {"name": "x", "digest": digest, "size": len(data)}
            platform.record("state", "engine", {"n": n}, blobs=[blob])
    (platform.folder / "keys" / "seal").write_bytes(b"the key of seals")
    (platform.folder / "allowlist.toml").write_text(LIST)
    return platform


def aside(platform: Platform, request: pytest.FixtureRequest) -> Path:
    """Make the place empty: another folder, and for PostgreSQL an emptied database."""
    if not platform.store.is_sqlite:
        platform.store.close()
        name, _ = request.getfixturevalue("migrated_database")
        empty_database(request.getfixturevalue("postgres"), name)
    else:
        url = Path(platform.store.engine.url.database or "")
        url.rename(url.with_name("old.db"))
    return platform.folder.with_name("restored")


def test_everything_comes_back(lived: Platform, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    file = tmp_path / "state.wkb"
    manifest = back_up(lived, file, WORDS, cost=CHEAP)
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"alice" not in file.read_bytes()
    platform_size = lived.ledger.size
    folder = aside(lived, request)
    restored = restore(file, folder, WORDS)
    assert (restored.manifest, restored.entries) == (manifest, manifest.entries)
    assert platform_size == manifest.entries + 1  # that it was backed up is on record, after it
    with open_platform(folder) as again, again.store.read() as connection:
        assert again.ledger.origin == lived.ledger.origin
        assert connection.execute(select(users.c.totp_sealed)).scalar_one() == b"\x00\xff"
        assert connection.execute(select(hosts.c.labels)).scalar_one() == {"a": "ü"}
        assert len(page(connection, Wanted(words="fine keys"), NOW).rows) == 2
    with open_platform(folder) as again:
        given = Assessment("app-1", NOW, frozenset({"keys"}), [finding("one"), finding("three")])
        record(again.store, [given], deadlines(again.config.numbers))  # new rows get new numbers
        assert again.record("state", "engine", {}) == manifest.entries
    assert (folder / "keys" / "seal").read_bytes() == b"the key of seals"
    assert (folder / "allowlist.toml").read_text() == LIST
    assert [p.name for p in folder.iterdir() if p.name.startswith(".")] == []
    assert folder.stat().st_mode & 0o777 == 0o700


def test_one_databases_rows_come_back_on_the_other(lived: Platform, postgres: str, tmp_path: Path) -> None:
    name = ""
    if lived.store.is_sqlite:
        name, url = make_database(postgres)
    else:
        url = f"sqlite:///{tmp_path / 'other.db'}"
    other = open_store(url)
    with lived.store.read() as source, other.begin() as target:
        n = import_rows(target, export_rows(source), metadata, HEAD)
    assert n >= 5
    with lived.store.read() as a, other.begin() as b:
        for table in metadata.sorted_tables:
            assert sorted(map(str, a.execute(select(table)))) == sorted(map(str, b.execute(select(table))))
        values = b.execute(select(findings)).mappings().first()
        assert values is not None
        fresh = {**values, "fingerprint": "f" * 16}
        del fresh["id"]
        b.execute(insert(findings).values(**fresh))
    other.close()
    if name:
        drop_database(postgres, name)


def test_a_wrong_passphrase_a_cut_and_a_damaged_file_leave_nothing(lived: Platform, tmp_path: Path) -> None:
    file, folder = tmp_path / "state.wkb", tmp_path / "restored"
    back_up(lived, file, WORDS, cost=CHEAP)
    with pytest.raises(BadInput, match="this passphrase does not open the file"):
        restore(file, folder, "not the one it was")
    whole = file.read_bytes()
    for cut in (0, 10, 200, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:cut])
        with pytest.raises(BadInput):
            restore(file, folder, WORDS)
    file.write_bytes(whole[:-50] + b"x" + whole[-49:])
    with pytest.raises(BadInput, match="damaged"):
        restore(file, folder, WORDS)
    assert not folder.exists()
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(Unavailable, match="No such file"):
        restore(tmp_path / "none", folder, WORDS)


def test_only_an_empty_place_is_filled(lived: Platform, tmp_path: Path) -> None:
    file, folder = tmp_path / "state.wkb", tmp_path / "restored"
    back_up(lived, file, WORDS, cost=CHEAP)
    with pytest.raises(BadInput, match="exists already"):
        back_up(lived, file, WORDS, cost=CHEAP)
    with pytest.raises(BadInput, match="empty folder only"):
        restore(file, lived.folder, WORDS)
    with pytest.raises(BadInput, match="database is not empty"):
        restore(file, folder, WORDS)
    folder.mkdir()
    with hold(folder), pytest.raises(BadInput, match="is serving"):
        restore(file, folder, WORDS)
    assert not (folder / DATABASE).exists()


def test_a_ledger_edited_before_the_backup_is_not_restored(
    lived: Platform, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    file = tmp_path / "state.wkb"
    entries = [e for e in lived.ledger.read() if e["blobs"]]
    digest = entries[0]["blobs"][0]["digest"].removeprefix("sha256:")
    for path in (lived.folder / "ledger" / "blobs").glob("**/*"):
        if path.is_file() and digest[-20:] in path.as_posix().replace("/", ""):
            path.unlink()
    back_up(lived, file, WORDS, cost=CHEAP)
    folder = aside(lived, request)
    with pytest.raises(Tampered):
        restore(file, folder, WORDS)
    assert not folder.exists()


def test_a_sealed_file_of_something_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x"
    with file.open("wb") as out:
        sealer = Sealer(out, WORDS, CHEAP)
        sealer.write(b"hello")
        sealer.finish()
    with pytest.raises(BadInput, match="not what a backup holds"):
        restore(file, tmp_path / "restored", WORDS)
    with file.open("rb") as source:
        assert Opener(source, WORDS).read() == b"hello"
    assert re.match(r"wardkeep-sealed/1\n", file.read_bytes()[:18].decode())
