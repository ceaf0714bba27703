"""What other scan tools said of a host, as a person imported it. Not asked of the host: `wardkeep scan import --host` keeps it.

The answer is one JSON object: `{"scans": [{"tool", "version", "target", "file", "sha256", "at", "dated", "imported", "counts": {state:
number}, "open": [{"id", "title", "state", "severity", "where"}], "more"}]}`. `at` and `imported` are ISO times in UTC; `dated` is false where the
file does not say when the tool ran, so that `at` is the time of the import. `open` are the results that fail or are unknown, the
most severe first; `more` counts those left out. All results, passes included, are in the ledger beside it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question

DAY = 86400
STATES = ("fail", "pass", "unknown", "skipped", "info", "refused")
SEVERITIES = ("critical", "high", "medium", "low", "none", "")


@dataclass(frozen=True, slots=True)
class OpenResult:
    """One thing that fails, or that the tool could not decide. `severity` is "" where nobody gave one."""

    id: str
    title: str
    state: str
    severity: str
    where: str


@dataclass(frozen=True, slots=True)
class ImportedScan:
    """The newest report of one tool about one target."""

    tool: str
    version: str
    target: str
    at: datetime
    dated: bool
    counts: tuple[tuple[str, int], ...]
    open: tuple[OpenResult, ...]
    more: int


@dataclass(frozen=True, slots=True)
class ImportedScans:
    ask: ClassVar[Question] = Question("imported_scans", "", keep=30 * DAY)
    scans: tuple[ImportedScan, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        try:
            return cls(tuple(map(_scan, json.loads(answer.text())["scans"])))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise NotUnderstood("what was imported has another shape", where=answer.question) from None


def _scan(one: dict[str, object]) -> ImportedScan:
    at = datetime.fromisoformat(_text(one, "at"))
    counts, found, more = one["counts"], one["open"], one["more"]
    if not (isinstance(counts, dict) and isinstance(found, list) and isinstance(more, int) and at.tzinfo):
        raise ValueError("no scan")
    numbers = tuple((name, int(counts[name])) for name in STATES)
    return ImportedScan(
        _text(one, "tool"),
        _text(one, "version"),
        _text(one, "target"),
        at,
        bool(one["dated"]),
        numbers,
        tuple(map(_result, found)),
        more,
    )


def _result(one: dict[str, object]) -> OpenResult:
    made = OpenResult(*(_text(one, name) for name in ("id", "title", "state", "severity", "where")))
    if made.state not in ("fail", "unknown") or made.severity not in SEVERITIES:
        raise ValueError("no result")
    return made


def _text(one: dict[str, object], name: str) -> str:
    value = one[name]
    if not isinstance(value, str):
        raise TypeError(name)
    return value
