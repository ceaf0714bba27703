"""Reading a whole ledger against its signed root, as an auditor of the folder itself would."""

from __future__ import annotations

import json

from wardkeep.core.errors import BadInput
from wardkeep.ledger.blobs import Blobs
from wardkeep.ledger.note import Checkpoint
from wardkeep.ledger.storage import Storage
from wardkeep.ledger.tamper import Tampered
from wardkeep.ledger.tiles import WIDTH, Edge, tile_path


def audit(head: Checkpoint, storage: Storage, blobs: Blobs) -> int:
    """Raises Tampered, naming the first thing that is wrong; returns how many entries there are.

    Every entry is hashed anew and the tree built from nothing; then each tile must be what that tree has, and each blob
    that an entry names must be there with the content that its name says.
    """
    edge, named = Edge(), set[str]()
    storage.forget()
    for n in range(-(-head.size // WIDTH)):
        for i, data in enumerate(storage.bundle(n, head.size)):
            for blob in json.loads(data)["blobs"]:
                if blob["digest"] not in named:
                    named.add(blob["digest"])
                    _check_blob(blobs, blob["digest"], n * WIDTH + i)
            for level, at, tile in edge.hold(data):
                _check_tile(storage, level, at, tile, head.size)
    for level, at, tile in edge.partial():
        _check_tile(storage, level, at, tile, head.size)
    if edge.root() != head.root:
        raise Tampered("the entries do not lead to the signed root", where=str(storage.folder))
    return head.size


def _check_tile(storage: Storage, level: int, n: int, data: bytes, size: int) -> None:
    if storage.tile(level, n, size) != data:
        raise Tampered(
            "the tile is not what the entries lead to", where=str(storage.folder / tile_path(level, n))
        )


def _check_blob(blobs: Blobs, digest: str, index: int) -> None:
    try:
        blobs.get(digest)
    except BadInput:
        raise Tampered(
            "the ledger lacks a blob that an entry names", where=f"entry {index}, {digest}"
        ) from None
