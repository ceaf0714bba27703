"""Everything the platform needs, in one sealed file, and back: the operator's file, keys, ledger, and the database's rows.

The rows are in a form of their own (store.copying), so a state of SQLite can come back on PostgreSQL and the other way.
The database is read in one moment, the ledger after it: the ledger is never behind, and what it has more is taken in
after restoring. Left out on purpose: work in flight (it belongs to this machine), and ssh keys outside the folder.
"""

from __future__ import annotations

import gzip
import io
import itertools
import os
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, cast

import msgspec

from wardkeep import __version__, controls
from wardkeep.core.errors import BadInput, Unavailable
from wardkeep.engine.config import read_config
from wardkeep.engine.folder import ALLOWLIST, CONFIG, DATABASE, KEYS, LEDGER, LOCK, WITNESS, is_served
from wardkeep.engine.index import catch_up
from wardkeep.engine.platform import Platform, open_platform, operator, timestamp
from wardkeep.engine.sealed_file import COST, Opener, Sealer
from wardkeep.ledger.disk import locked
from wardkeep.store import open_store
from wardkeep.store.copying import export_rows, import_rows
from wardkeep.store.migrating import HEAD
from wardkeep.store.schema import metadata

FORMAT = "wardkeep-backup/1"
MANIFEST, ROWS = "manifest.json", "rows"
HELD = ".rows"  # where the rows wait for their database, inside a folder of mode 0700
PART = 4 << 20  # bytes of rows in one member of the archive
_KEPT = (CONFIG, ALLOWLIST, WITNESS, KEYS, LEDGER)


class Manifest(msgspec.Struct, frozen=True):
    """The first thing in a backup. `schema` is the version of the database's tables."""

    format: str
    wardkeep: str
    made: str
    schema: str
    origin: str
    entries: int


@dataclass(frozen=True)
class Restored:
    """What came back. `entries` of the ledger were verified, `caught_up` of them the rows did not know yet."""

    manifest: Manifest
    rows: int
    entries: int
    caught_up: int


def back_up(
    platform: Platform, file: Path, passphrase: str, *, cost: tuple[int, int, int] = COST
) -> Manifest:
    """Write the backup while the platform may go on serving. The file appears only when it is whole (mode 0600).

    Raises BadInput when the file exists or the passphrase is too short, Unavailable when it cannot be written.
    """
    if file.exists():
        raise BadInput("this file exists already", where=str(file), todo="Choose another name.")
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        descriptor = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            sealer = Sealer(out, passphrase, cost)
            manifest = _write(platform, sealer)
            sealer.finish()
            out.flush()
            os.fsync(out.fileno())
        os.link(beside, file)  # unlike a rename, it does not replace what came into being meanwhile
    except FileExistsError:
        raise BadInput("this file exists already", where=str(file), todo="Choose another name.") from None
    except OSError as e:
        raise Unavailable(
            f"the backup cannot be written ({e.strerror})", where=str(file), todo="Nothing was kept of it."
        ) from None
    finally:
        beside.unlink(missing_ok=True)
    body = {"act": "backed up", "entries": manifest.entries, "bytes": file.stat().st_size}
    platform.record("state", operator(), body)
    return manifest


def restore(file: Path, folder: Path, passphrase: str) -> Restored:
    """Bring a backup back into an empty (or new) folder, verify its ledger, and let the rows catch up with it.

    All or nothing: the folder stays empty unless everything was good. Raises BadInput for a wrong passphrase, a damaged or
    cut file, a folder or database that is not empty; Tampered when the ledger in the backup is not what was recorded.
    """
    if folder.exists() and (not folder.is_dir() or any(p.name != LOCK for p in folder.iterdir())):
        raise BadInput(
            "a backup is restored into an empty folder only", where=str(folder), todo="Name another."
        )
    if folder.exists() and is_served(folder):
        raise BadInput("another Wardkeep is serving this folder", where=str(folder))
    making = folder.with_name(f".{folder.name}.restoring")
    if making.exists():
        shutil.rmtree(making)
    try:
        making.mkdir(mode=0o700, parents=True)
        with file.open("rb") as source:
            opener = Opener(source, passphrase, str(file))
            manifest = _unpack(opener, making, file)
            opener.finish()
        rows = _fill(making)
        entries, behind = _verify(making)
        if folder.exists():
            (folder / LOCK).unlink(missing_ok=True)
        making.rename(folder)
    except OSError as e:
        raise Unavailable(f"cannot restore ({e.strerror})", where=str(e.filename or folder)) from None
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return Restored(manifest, rows, entries, behind)


def _write(platform: Platform, out: Sealer) -> Manifest:
    with (
        gzip.GzipFile(fileobj=cast(IO[bytes], out), mode="wb", compresslevel=5, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        rows = _parts(platform)
        first = next(rows)
        # From here on the database is read in one moment, and the ledger, read later, is never behind it.
        ledger = platform.ledger
        manifest = Manifest(FORMAT, __version__, timestamp(), HEAD, ledger.origin, ledger.size)
        _add(archive, MANIFEST, msgspec.json.encode(manifest))
        for n, part in enumerate(itertools.chain([first], rows)):
            _add(archive, f"{ROWS}/{n:06}.jsonl", part)
        for name, data in _files(platform.folder):
            _add(archive, name, data)
    return manifest


def _parts(platform: Platform) -> Iterator[bytes]:
    """The rows of the database, as lines, in parts that fit into memory."""
    part = io.BytesIO()
    with platform.store.read() as connection:
        for line in export_rows(connection):
            part.write(line)
            if part.tell() >= PART:
                yield part.getvalue()
                part = io.BytesIO()
    yield part.getvalue()


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file to keep. The ledger's end is read under its lock; the rest of it never changes."""
    ledger = folder / LEDGER
    with locked(ledger / "lock"):
        moving = [folder / WITNESS, ledger / "checkpoint", *ledger.glob("**/*.p/*")]
        end = [(path, path.read_bytes()) for path in moving if path.is_file()]
    done = {path for path, _ in end}
    yield from ((path.relative_to(folder).as_posix(), data) for path, data in end)
    files = (folder / CONFIG, folder / ALLOWLIST)
    for path in (*files, *sorted((folder / KEYS).glob("**/*")), *sorted(ledger.glob("**/*"))):
        skipped = path in done or ".p/" in path.as_posix() or path.name in ("lock",)
        if path.is_file() and not skipped and not path.name.startswith("times.sqlite3"):
            try:
                yield path.relative_to(folder).as_posix(), path.read_bytes()
            except FileNotFoundError:  # a temporary file of a writer, gone between the look and the read
                continue


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(data), 0o600, int(datetime.now(UTC).timestamp())
    archive.addfile(entry, io.BytesIO(data))


def _unpack(opener: Opener, making: Path, file: Path) -> Manifest:
    """Every file into `making`, the rows into one of them; returns the manifest."""
    damaged = BadInput("the backup's content is not what a backup holds", where=str(file))
    manifest = None
    try:
        with (
            gzip.GzipFile(fileobj=cast(IO[bytes], opener), mode="rb") as packed,
            tarfile.open(fileobj=packed, mode="r|") as archive,
            (making / HELD).open("xb") as lines,
        ):
            for entry in archive:
                inner = archive.extractfile(entry) if entry.isreg() else None
                name = PurePosixPath(entry.name)
                if inner is None or name.is_absolute() or ".." in name.parts:
                    raise damaged
                if manifest is None:
                    manifest = _manifest(entry.name, inner.read(1 << 20), file)
                elif name.parts[0] == ROWS:
                    shutil.copyfileobj(inner, lines)
                elif name.parts[0] in _KEPT:
                    _put(making / name, inner)
                else:
                    raise damaged
    except (tarfile.TarError, EOFError, gzip.BadGzipFile):
        raise damaged from None
    if manifest is None:
        raise damaged
    return manifest


def _manifest(name: str, data: bytes, file: Path) -> Manifest:
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError:
        manifest = None
    if name != MANIFEST or manifest is None or manifest.format != FORMAT:
        raise BadInput("this is no backup that this program can read", where=str(file))
    return manifest


def _put(path: Path, source: IO[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        shutil.copyfileobj(source, out)
        out.flush()
        os.fsync(out.fileno())


def _fill(making: Path) -> int:
    configured = read_config(making / CONFIG, controls.all_controls()).settings.database_url
    store = open_store(configured or f"sqlite:///{making / DATABASE}", backups=making)
    try:
        with store.read() as connection:
            for table in metadata.sorted_tables:
                if connection.execute(table.select().limit(1)).first() is not None:
                    raise BadInput(
                        f"the database is not empty (table {table.name})",
                        where=store.where,
                        todo="Give the restored platform an empty database, or drop the old one.",
                    )
        with store.begin() as connection, (making / HELD).open("rb") as lines:
            return import_rows(connection, lines, metadata, HEAD)
    finally:
        store.close()
        (making / HELD).unlink()


def _verify(making: Path) -> tuple[int, int]:
    """The ledger in the folder, every entry and blob of it, then the rows brought up to it."""
    with open_platform(making) as platform:
        entries = platform.ledger.verify()
        behind = catch_up(platform)
    for name in ("-wal", "-shm", ".migrating"):
        (making / f"{DATABASE}{name}").unlink(missing_ok=True)
    return entries, behind
