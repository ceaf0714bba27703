"""Packs taken apart and put together again, as someone would who means to deceive."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from wardkeep.ledger.verify import Report, tar_header

Files = list[tuple[str, bytes]]


def take_apart(pack: Path) -> Files:
    data = io.BytesIO(gzip.decompress(pack.read_bytes()))
    files: Files = []
    while (header := data.read(512)) != bytes(512):
        size = int(header[124:135], 8)
        files.append((header[:100].rstrip(b"\0").decode(), data.read(size)))
        data.read(-size % 512)
    return files


def put_together(pack: Path, files: Iterable[tuple[str, bytes]]) -> Path:
    with gzip.GzipFile(pack, "wb", mtime=0, compresslevel=1) as out:
        for name, data in files:
            out.write(tar_header(name, len(data)) + data + bytes(-len(data) % 512))
        out.write(bytes(1024))
    return pack


def edit(pack: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """Change one file in a pack."""
    put_together(pack, [(n, change(data) if n == name else data) for n, data in take_apart(pack)])


def lines(change: Callable[[list[bytes]], Any]) -> Callable[[bytes], bytes]:
    """A change of an entries file, as a change in place of its list of lines."""

    def changed(data: bytes) -> bytes:
        rows = data.splitlines(keepends=True)
        change(rows)
        return b"".join(rows)

    return changed


def renumber(rows: list[bytes], first: int) -> None:
    """Number the lines anew, so that nothing shows in the indices."""
    for i, row in enumerate(rows):
        rows[i] = b'{"index":%d,"entry":' % (first + i) + row.split(b'"entry":', 1)[1]


def manifest(files: Files) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(dict(files)["manifest"].split(b"\n")[1])
    return made


def named(report: Report) -> list[tuple[str, str]]:
    """What a report of a pack that is not verified says: (where, what)."""
    assert not report.verified
    return [(problem["where"], problem["what"]) for problem in report.problems]
