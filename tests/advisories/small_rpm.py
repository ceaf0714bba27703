"""RPM headers and databases made by hand, byte by byte as their formats are published."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Sequence


def header(
    name: str, version: str, release: str, *, epoch: int = 0, vendor: str = "", files: Sequence[str] = ()
) -> bytes:
    """An RPM header as it stands in a database: entries, then their values."""
    folders = sorted({f"{file.rpartition('/')[0]}/" for file in files})
    entries: list[tuple[int, int, int, bytes]] = [
        (tag, 6, 1, text.encode() + b"\0")
        for tag, text in ((1000, name), (1001, version), (1002, release), (1011, vendor))
        if text
    ]
    if epoch:
        entries.append((1003, 4, 1, struct.pack(">I", epoch)))
    if files:
        which = [folders.index(f"{file.rpartition('/')[0]}/") for file in files]
        entries += [
            (1116, 4, len(files), struct.pack(f">{len(files)}I", *which)),
            (1117, 8, len(files), b"".join(file.rpartition("/")[2].encode() + b"\0" for file in files)),
            (1118, 8, len(folders), b"".join(folder.encode() + b"\0" for folder in folders)),
        ]
    table, store = b"", b""
    for tag, kind, count, data in entries:
        store += b"\0" * (-len(store) % 4 if kind == 4 else 0)
        table += struct.pack(">IIII", tag, kind, len(store), count)
        store += data
    return struct.pack(">II", len(entries), len(store)) + table + store


def sqlite_database(*headers: bytes) -> bytes:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
    db.executemany("INSERT INTO Packages (blob) VALUES (?)", [(one,) for one in headers])
    db.commit()
    data = bytes(db.serialize())
    db.close()
    return data[:18] + b"\x02\x02" + data[20:]  # as rpm leaves it: with a write-ahead log


def ndb_database(*headers: bytes) -> bytes:
    slots, blobs, at = b"", b"", 4096 // 16
    for number, one in enumerate(headers, start=1):
        blob = struct.pack("<4sIII", b"BlbS", number, 0, len(one)) + one
        blob += b"\0" * (-len(blob) % 16)
        slots += struct.pack("<4sIII", b"Slot", number, at, len(blob) // 16)
        blobs, at = blobs + blob, at + len(blob) // 16
    head = struct.pack("<4sIIIIIII", b"RpmP", 0, 1, 1, len(headers) + 1, 0, 0, 0)
    slots += struct.pack("<4sIII", b"Slot", 0, 0, 0) * ((4096 - 32) // 16 - len(headers))
    return head + slots + blobs


def berkeley_database(*headers: bytes, size: int = 512) -> bytes:
    """One page of pairs, the values in chains of overflow pages, as in `Packages` of Enterprise Linux 8."""
    pages, pairs = [], []
    for one in headers:
        first = len(pages) + 2
        parts = [one[i : i + size - 26] for i in range(0, len(one), size - 26)]
        for number, part in enumerate(parts):
            after = first + number + 1 if number + 1 < len(parts) else 0
            head = struct.pack("<8xIIIHHBB", first + number, 0, after, 1, len(part), 0, 7)
            pages.append((head + part).ljust(size, b"\0"))
        pairs.append((b"\x01" + struct.pack("<I", len(pairs) + 1), struct.pack("<B3xII", 3, first, len(one))))
    items, places, end = b"", [], size
    for item in (one for pair in pairs for one in pair):
        end -= len(item)
        items, places = item + items, [*places, end]
    head = struct.pack("<8xIIIHHBB", 1, 0, 0, len(places), end, 0, 13) + struct.pack(
        f"<{len(places)}H", *places
    )
    data_page = head.ljust(end, b"\0") + items
    meta = struct.pack("<12xIII8xI", 0x061561, 9, size, len(pages) + 1).ljust(size, b"\0")
    return meta + data_page + b"".join(pages)
