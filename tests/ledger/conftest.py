"""A ledger to put entries in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.ledger.entries import entry

from wardkeep.ledger import Ledger, export


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.create(tmp_path / "ledger", "log.test/one", witness=tmp_path / "witness")


@pytest.fixture
def reopen(tmp_path: Path) -> Callable[[], Ledger]:
    return lambda: Ledger.open(tmp_path / "ledger", witness=tmp_path / "witness")


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """600 entries, each fiftieth with a blob of its own, after 520 the checkpoint that an auditor kept."""
    made = Ledger.create(tmp_path_factory.mktemp("verify") / "ledger", "log.test/one")
    for first, count in ((0, 520), (520, 80)):
        batch = []
        for n in range(first, first + count):
            blobs = []
            if n % 50 == 0:
                answer = b"answer %d" % n
                blobs = [{"name": "snapshot", "digest": made.put_blob(answer), "size": len(answer)}]
            batch.append(entry(n, blobs=blobs, kind="drill" if n % 3 else "observe"))
        made.append(batch)
        if first == 0:
            (made.folder.parent / "kept").write_bytes(made.signed_checkpoint())
    return made


@pytest.fixture(scope="session")
def kept(packed: Ledger) -> bytes:
    return (packed.folder.parent / "kept").read_bytes()


@pytest.fixture(scope="session")
def whole(packed: Ledger) -> Path:
    export(packed, packed.folder.parent / "whole.tgz")
    return packed.folder.parent / "whole.tgz"


@pytest.fixture(scope="session")
def small(packed: Ledger) -> Path:
    """Ten entries, one with a blob."""
    export(packed, packed.folder.parent / "small.tgz", 95, 105)
    return packed.folder.parent / "small.tgz"


@pytest.fixture
def pack(whole: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "pack.tgz"
    copy.write_bytes(whole.read_bytes())
    return copy
