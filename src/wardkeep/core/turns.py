"""How long a thread that computes may keep one waiting that only wants its next row."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

SHORT = 0.0001  # seconds; the interpreter's own is 0.005


@contextmanager
def short_turns() -> Iterator[None]:
    """SQLite's driver lets go of the interpreter for every row it stores, and beside a thread that computes waits a whole turn
    to get it back: rows then take three to six times as long. With short turns they take a tenth longer, and the other
    thread loses nothing that can be measured (PEP 703 tells of the lock; `sys.setswitchinterval` of its turns)."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(min(usual, SHORT))
    try:
        yield
    finally:
        sys.setswitchinterval(usual)
