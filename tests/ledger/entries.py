"""Small entries for tests."""

from __future__ import annotations

from typing import Any

Entry = dict[str, Any]


def entry(n: int, host: str = "app-1", kind: str = "assess", **more: Any) -> Entry:
    """Entry number n of a day in which one thing happens each second."""
    at = f"2026-11-22T{n // 3600 % 24:02d}:{n // 60 % 60:02d}:{n % 60:02d}Z"
    body = {"rows": {"firewall": {"pass": n, "fail": 0, "unknown": 1}}, "profile": "hipaa"}
    made = {"kind": kind, "at": at, "actor": "engine", "subject": {"host": host}, "body": body, "blobs": []}
    return {**made, **more}
