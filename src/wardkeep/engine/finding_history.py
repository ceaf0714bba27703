"""What became of a finding: one row for each change of its verdict.

Most findings are seen once and never change, so the first verdict has no row of its own until there is a second: until
then the finding itself says all of it, and a first look at a fleet writes half as many rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, exists, insert, literal, select

from wardkeep.store.bulk import insert_tuples
from wardkeep.store.columns import Moment
from wardkeep.store.schema import finding_history, findings

_COLUMNS = ("fingerprint", "at", "verdict", "severity", "seen", "entry")
_ASKED = 500  # fingerprints in one query


@dataclass(frozen=True)
class Change:
    """The verdict (`pass`, `fail`, `unknown` or `gone`) from `at` on. `entry` is the ledger's that says so, if it is known."""

    at: datetime
    verdict: str
    severity: str
    seen: str
    entry: int | None


def history_of(connection: Connection, finding: Row[Any], limit: int = 500) -> tuple[Change, ...]:
    """The changes of a row of `findings`, the last first."""
    h = finding_history.c
    mine = select(h.at, h.verdict, h.severity, h.seen, h.entry).where(h.fingerprint == finding.fingerprint)
    told = [Change(*row) for row in connection.execute(mine.order_by(h.at.desc()).limit(limit))]
    first = Change(finding.first_seen, finding.verdict, finding.severity, finding.seen, finding.entry)
    return tuple(told or [first])


def remember(
    connection: Connection, before: Iterable[Mapping[str, Any]], changes: Sequence[tuple[str, Change]]
) -> None:
    """Write the changes, each with its fingerprint; first of all the beginning of those rows of `findings`, as they stood
    `before`, that have none yet. A row belongs into `before` whenever anything is about to be written over it."""
    rows = [*_beginnings(connection, {row["fingerprint"]: row for row in before})]
    rows += [(mark, c.at, c.verdict, c.severity, c.seen, c.entry) for mark, c in changes]
    insert_tuples(connection, finding_history, _COLUMNS, rows)


def remember_gone(connection: Connection, at: datetime, seen: str, *which: ColumnElement[bool]) -> None:
    """The findings that `which` selects are gone from `at` on. To be called before they are changed."""
    f = findings.c
    begun = exists().where(finding_history.c.fingerprint == f.fingerprint)
    first = select(f.fingerprint, f.first_seen, f.verdict, f.severity, f.seen, f.entry).where(*which, ~begun)
    connection.execute(insert(finding_history).from_select(_COLUMNS, first))
    last = select(f.fingerprint, literal(at, Moment()), literal("gone"), f.severity, literal(seen)).where(
        *which
    )
    connection.execute(insert(finding_history).from_select(_COLUMNS[:-1], last))


def _beginnings(connection: Connection, before: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[Any, ...]]:
    marks, h = sorted(before), finding_history.c
    for start in range(0, len(marks), _ASKED):
        some = marks[start : start + _ASKED]
        begun = set(connection.execute(select(h.fingerprint).where(h.fingerprint.in_(some))).scalars())
        for mark in some:
            if mark not in begun:
                row = before[mark]
                yield mark, row["first_seen"], row["verdict"], row["severity"], row["seen"], row["entry"]
