"""Entries and defects as plain data, for `--json`, pages and the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from wardkeep.allowlists.audit import KINDS, Defect
from wardkeep.allowlists.entry import Entry


def entry_view(entry: Entry, today: date) -> dict[str, Any]:
    """Days are ISO 8601 or null; `network` is the canonical form, `written` what stands in the file."""
    return {
        "id": entry.id,
        "action": entry.action,
        "list": entry.list,
        "network": str(entry.network),
        "written": entry.text,
        "service": entry.service,
        "owner": entry.owner,
        "reason": entry.reason,
        "ticket": entry.ticket,
        "created": _day(entry.created),
        "expires": _day(entry.expires),
        "expired": entry.expired(today),
        "reviewed": _day(entry.reviewed),
        "reviewer": entry.reviewer,
        "file": entry.file,
        "line": entry.line,
    }


def entries_told(count: int) -> str:
    """`1 entry`, `7 entries`."""
    return f"{count:,} {'entry' if count == 1 else 'entries'}"


def defect_view(defect: Defect) -> dict[str, Any]:
    entry = defect.entry
    return {
        "kind": defect.kind,
        "verdict": "unknown" if defect.unknown else "fail",
        "severity": defect.severity,
        "says": KINDS[defect.kind][1],
        **_short(entry),
        "owner": entry.owner,
        "seen": defect.seen,
        "todo": defect.todo,
        "others": [_short(other) for other in defect.others],
    }


def audit_view(entries: Sequence[Entry], defects: Iterable[Defect], today: date) -> dict[str, Any]:
    """`{"today", "entries", "in_force", "counts": {kind: n}, "findings": […]}`."""
    found = list(defects)
    counts = Counter(defect.kind for defect in found)
    return {
        "today": today.isoformat(),
        "entries": len(entries),
        "in_force": sum(not entry.expired(today) for entry in entries),
        "counts": {kind: counts[kind] for kind in KINDS if counts[kind]},
        "findings": [defect_view(defect) for defect in found],
    }


def _short(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "action": entry.action,
        "list": entry.list,
        "network": str(entry.network),
        "written": entry.text,
        "service": entry.service,
        "file": entry.file,
        "line": entry.line,
    }


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
