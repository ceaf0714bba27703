"""The C2SP tlog-tiles layout: where hashes and entries lie, how bundles are written, and the growing right edge.

Tile `(level, n)` holds up to 256 hashes of 32 bytes: the roots over `256**level` leaves each. A tile that is not
full yet carries its width in its name. Entry bundle `n` holds the leaves of tile `(0, n)`, each behind its length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from wardkeep.ledger.merkle import EMPTY, fold, leaf_hash, peaks

WIDTH = 256
HASH = 32
LARGEST_ENTRY = 0xFFFF  # bytes; the format's length field has 16 bits


def tile_path(level: int | str, n: int, width: int = WIDTH) -> str:
    """Path below the ledger's folder; `level` "entries" names the bundle. `width` below 256 names a partial tile."""
    groups = [f"{n % 1000:03d}"]
    while n := n // 1000:
        groups.insert(0, f"x{n % 1000:03d}")
    return f"tile/{level}/{'/'.join(groups)}" + (f".p/{width}" if width < WIDTH else "")


def write_bundle(entries: Iterable[bytes]) -> bytes:
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def read_bundle(data: bytes) -> list[bytes]:
    """The entries in a bundle. Raises ValueError if it is cut short or longer than a tile."""
    entries, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 2], "big")
        entry = data[at + 2 : at + 2 + size]
        if len(data) - at < 2 or len(entry) != size:
            raise ValueError("the bundle is cut short")
        entries.append(entry)
        at += 2 + size
    if len(entries) > WIDTH:
        raise ValueError("the bundle is too long")
    return entries


class Edge:
    """The tree's right edge: at each level, the hashes of the tile that is not full yet. Grows leaf by leaf."""

    def __init__(self, size: int = 0, rows: Iterable[Iterable[bytes]] = ()) -> None:
        self.size = size
        self.rows: list[list[bytes]] = [list(row) for row in rows] or [[]]

    def copy(self) -> Edge:
        return Edge(self.size, self.rows)

    def add(self, leaf: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Add a leaf; yields each tile (level, n, data) that it fills."""
        self.size += 1
        self.rows[0].append(leaf)
        level = 0
        while len(self.rows[level]) == WIDTH:
            full, self.rows[level] = self.rows[level], []
            yield level, (self.size >> 8 * (level + 1)) - 1, b"".join(full)
            level += 1
            if level == len(self.rows):
                self.rows.append([])
            self.rows[level] += peaks(full)

    def partial(self) -> Iterator[tuple[int, int, bytes]]:
        """The tiles (level, n, data) that have begun and are not full."""
        for level, row in enumerate(self.rows):
            if row:
                yield level, self.size >> 8 * (level + 1), b"".join(row)

    def root(self) -> bytes:
        parts = [peak for row in reversed(self.rows) for peak in peaks(row)]
        return fold(parts) if parts else EMPTY

    def hold(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Add an entry's bytes as a leaf."""
        return self.add(leaf_hash(data))
