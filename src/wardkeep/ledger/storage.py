"""Reading a ledger's folder: tiles, bundles and any node of the tree, as of a given size."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

from wardkeep.core.errors import Unavailable
from wardkeep.ledger.merkle import leaf_hash, peaks
from wardkeep.ledger.tamper import Tampered
from wardkeep.ledger.tiles import HASH, WIDTH, Edge, read_bundle, tile_path

KEPT_TILES = 64


class Storage:
    """The folder's files. Nothing here trusts them: callers compare with a root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tiles: OrderedDict[tuple[int, int, int], bytes] = OrderedDict()
        self._turn = threading.Lock()

    def read_file(self, level: int | str, n: int, width: int) -> bytes:
        """A tile or bundle of at least `width`. A partial one gives way to a wider one once the log has grown."""
        for _ in range(3):  # a writer may replace a partial file by a wider one between the look and the read
            for path in self._candidates(level, n, width):
                try:
                    return path.read_bytes()
                except FileNotFoundError:
                    continue
                except OSError as e:
                    raise Unavailable(f"cannot read the ledger: {e.strerror}", where=str(path)) from None
        raise Tampered("a file of the ledger is missing", where=str(self.folder / tile_path(level, n, width)))

    def _candidates(self, level: int | str, n: int, width: int) -> Iterator[Path]:
        full = self.folder / tile_path(level, n)
        if width < WIDTH:
            yield self.folder / tile_path(level, n, width)
        yield full
        try:
            names = [int(p.name) for p in full.with_name(full.name + ".p").iterdir() if p.name.isdecimal()]
        except OSError:
            names = []
        for wider in sorted(w for w in names if w > width):
            yield self.folder / tile_path(level, n, wider)

    def tile(self, level: int, n: int, size: int) -> bytes:
        """The hashes of tile (level, n) in the tree of `size` leaves, concatenated."""
        width = min(WIDTH, (size >> 8 * level) - n * WIDTH)
        key = (level, n, width)
        with self._turn:
            if key in self._tiles:
                self._tiles.move_to_end(key)
                return self._tiles[key]
        data = self.read_file(level, n, width)[: width * HASH]
        if len(data) != width * HASH:
            raise Tampered("a tile is cut short", where=str(self.folder / tile_path(level, n, width)))
        with self._turn:
            self._tiles[key] = data
            if len(self._tiles) > KEPT_TILES:
                self._tiles.popitem(last=False)
        return data

    def forget(self) -> None:
        with self._turn:
            self._tiles.clear()

    def node(self, level: int, index: int, size: int) -> bytes:
        """The root of a whole subtree of 2**level leaves, in the tree of `size` leaves."""
        high, low = divmod(level, 8)
        first = index << low
        data = self.tile(high, first // WIDTH, size)
        at = first % WIDTH
        hashes = [data[i * HASH : (i + 1) * HASH] for i in range(at, at + (1 << low))]
        return peaks(hashes)[0]

    def bundle(self, n: int, size: int) -> list[bytes]:
        """The entries of bundle n in the tree of `size` leaves, each held against its leaf hash."""
        width = min(WIDTH, size - n * WIDTH)
        try:
            entries = read_bundle(self.read_file("entries", n, width))[:width]
        except ValueError as e:
            raise Tampered(str(e), where=str(self.folder / tile_path("entries", n, width))) from None
        if len(entries) != width:
            raise Tampered("the ledger is cut short", where=f"entry {n * WIDTH + len(entries)}")
        hashes = self.tile(0, n, size)
        for i, entry in enumerate(entries):
            if leaf_hash(entry) != hashes[i * HASH : (i + 1) * HASH]:
                raise Tampered("the entry is not the one that was recorded", where=f"entry {n * WIDTH + i}")
        return entries

    def edge(self, size: int) -> Edge:
        """The right edge of the tree of `size` leaves, read from its partial tiles."""
        rows = []
        level = 0
        while (count := size >> 8 * level) > 0:
            data = self.tile(level, count // WIDTH, size) if count % WIDTH else b""
            rows.append([data[i : i + HASH] for i in range(0, len(data), HASH)])
            level += 1
        return Edge(size, rows)
