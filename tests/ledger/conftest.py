"""A ledger to put entries in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wardkeep.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.create(tmp_path / "ledger", "log.test/one", witness=tmp_path / "witness")


@pytest.fixture
def reopen(tmp_path: Path) -> Callable[[], Ledger]:
    return lambda: Ledger.open(tmp_path / "ledger", witness=tmp_path / "witness")
