"""RPM's database in its three forms: SQLite, ndb and Berkeley DB's hash; each holds one header for each package.

Headers: rpm.org, manual/format_header. ndb: rpm's lib/backend/ndb/rpmpkg.c. Berkeley DB: pages of type hash, values that do not fit
into a page stand in a chain of overflow pages (db-5.3, dbinc/db_page.h).
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wardkeep.core.errors import NotUnderstood

NAME, VERSION, RELEASE, EPOCH, VENDOR = 1000, 1001, 1002, 1003, 1011
DIRINDEXES, BASENAMES, DIRNAMES = 1116, 1117, 1118
STRING, STRINGS, TRANSLATED, NUMBER = 6, 8, 9, 4
LARGEST_HEADER = 64 << 20


@dataclass(frozen=True, slots=True)
class RpmPackage:
    """One installed package. `files` are the paths it owns, without the leading slash."""

    name: str
    version: str  # epoch:version-release
    vendor: str
    files: tuple[str, ...]


def read_rpm(data: bytes) -> list[RpmPackage]:
    """The packages of a database file of any of the three forms. Raises NotUnderstood."""
    try:
        if data[:16] == b"SQLite format 3\0":
            headers: Iterable[bytes] = _sqlite(data)
        elif data[:4] == b"RpmP":
            headers = _ndb(data)
        elif data[12:16] in (b"\x61\x15\x06\x00", b"\x00\x06\x15\x61"):
            headers = _berkeley(data)
        else:
            raise NotUnderstood("it is no RPM database of a form known here")
        made = [one for one in map(_package, headers) if one.name != "gpg-pubkey"]
    except (struct.error, IndexError, ValueError, sqlite3.Error, MemoryError) as e:
        raise NotUnderstood(f"the RPM database is damaged: {str(e)[:100]}") from None
    if not made:
        raise NotUnderstood("the RPM database names not one package")
    return made


def _sqlite(data: bytes) -> Iterator[bytes]:
    # In memory there is no write-ahead log: the marks that ask for one are set to the plain form (sqlite.org/fileformat2, 18 and 19).
    size, pages = struct.unpack_from(">H", data, 16)[0], struct.unpack_from(">I", data, 28)[0]
    if len(data) < (65536 if size == 1 else size) * pages:
        raise ValueError("it is cut")
    plain = data[:18] + b"\x01\x01" + data[20:]
    db = sqlite3.connect(":memory:")
    try:
        db.execute("PRAGMA trusted_schema = OFF")
        db.deserialize(plain)
        db.set_authorizer(_reads_only)
        for (blob,) in db.execute("SELECT blob FROM Packages"):
            if not isinstance(blob, bytes):
                raise ValueError("a package is no header")
            yield blob
    finally:
        db.close()


def _reads_only(action: int, *_: object) -> int:
    allowed = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ)
    return sqlite3.SQLITE_OK if action in allowed else sqlite3.SQLITE_DENY


def _ndb(data: bytes) -> Iterator[bytes]:
    pages = struct.unpack_from("<I", data, 12)[0]
    for at in range(32, min(pages * 4096, len(data)), 16):
        mark, number, begin, _ = struct.unpack_from("<4sIII", data, at)
        if mark != b"Slot":
            raise ValueError("a slot has another mark")
        if number == 0:
            continue
        blob_mark, owner, _, length = struct.unpack_from("<4sIII", data, begin * 16)
        if blob_mark != b"BlbS" or owner != number or length > LARGEST_HEADER:
            raise ValueError("a package is not where its slot says")
        blob = data[begin * 16 + 16 : begin * 16 + 16 + length]
        if len(blob) != length:
            raise ValueError("it is cut")
        yield blob


def _berkeley(data: bytes) -> Iterator[bytes]:
    order = "<" if data[12:16] == b"\x61\x15\x06\x00" else ">"
    size, last = struct.unpack_from(order + "I", data, 20)[0], struct.unpack_from(order + "I", data, 32)[0]
    if size < 512 or size > 65536 or size * (last + 1) > len(data):
        raise ValueError("it is cut")
    for page in range(1, last + 1):
        start = page * size
        entries, kind = struct.unpack_from(order + "H", data, start + 20)[0], data[start + 25]
        if kind not in (2, 13):
            continue
        places = struct.unpack_from(f"{order}{entries}H", data, start + 26)
        for index in range(1, entries, 2):  # key, value, key, value …
            at = start + places[index]
            if data[at] == 3:
                first, length = struct.unpack_from(order + "II", data, at + 4)
                yield _chain(data, order, size, first, length)
            elif data[at] == 1:
                end = start + places[index - 1]
                value = data[at + 1 : end]
                if len(value) > 16:  # the record that counts the packages is shorter
                    yield value


def _chain(data: bytes, order: str, size: int, page: int, length: int) -> bytes:
    if length > LARGEST_HEADER:
        raise ValueError("a package has no end")
    made = bytearray()
    while page and len(made) < length:
        start = page * size
        page, held = (
            struct.unpack_from(order + "I", data, start + 16)[0],
            struct.unpack_from(order + "H", data, start + 22)[0],
        )
        if data[start + 25] != 7 or not held:
            raise ValueError("a package's pages are torn")
        made += data[start + 26 : start + 26 + held]
    if len(made) != length:
        raise ValueError("a package's pages are torn")
    return bytes(made)


def _package(blob: bytes) -> RpmPackage:
    count, length = struct.unpack_from(">II", blob, 0)
    if count > 100_000 or 8 + count * 16 + length > len(blob):
        raise ValueError("a header is cut")
    store = 8 + count * 16
    places = {}
    for number in range(count):
        tag, kind, offset, values = struct.unpack_from(">IIII", blob, 8 + number * 16)
        places[tag] = (kind, store + offset, values)

    def texts(tag: int) -> list[str]:
        kind, at, values = places.get(tag, (0, 0, 0))
        made = []
        for _ in range(1 if kind == STRING else values if kind in (STRINGS, TRANSLATED) else 0):
            end = blob.index(b"\0", at)
            made.append(blob[at:end].decode("utf-8", "replace"))
            at = end + 1
        return made

    def numbers(tag: int) -> tuple[int, ...]:
        kind, at, values = places.get(tag, (0, 0, 0))
        return struct.unpack_from(f">{values}I", blob, at) if kind == NUMBER else ()

    name, version, release = ("".join(texts(tag)[:1]) for tag in (NAME, VERSION, RELEASE))
    if not (name and version and release):
        raise ValueError("a header has no name, version or release")
    epoch = numbers(EPOCH)
    folders, which = texts(DIRNAMES), numbers(DIRINDEXES)
    files = tuple(
        f"{folders[index]}{base}".lstrip("/") for index, base in zip(which, texts(BASENAMES), strict=True)
    )
    return RpmPackage(
        name, f"{epoch[0] if epoch else 0}:{version}-{release}", "".join(texts(VENDOR)[:1]), files
    )
