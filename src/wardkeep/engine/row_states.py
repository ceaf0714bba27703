"""The matrix's rows on each host, as an assessment counted them: now, at the end of each day, and the worst of the day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Table, and_, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from wardkeep.core.findings import Finding, Verdict
from wardkeep.store.browse import VERDICTS
from wardkeep.store.bulk import insert_many
from wardkeep.store.schema import row_days, row_states, strips, tallies

GONE = "gone"  # how a day closed for a host that left


def worst_of(counts: Mapping[Verdict, int]) -> Verdict:
    """Fail before unknown before pass; nothing said at all is unknown."""
    return next((verdict for verdict in VERDICTS if counts.get(verdict)), Verdict.UNKNOWN)


def write_rows(
    connection: Connection,
    host: str,
    controls: Sequence[str],
    at: datetime,
    entry: int | None,
    found: Iterable[Finding],
) -> None:
    """The rows' state on this host: exactly as this assessment counted it, so that the ledger gives the same."""
    day = at.astimezone(UTC).date().isoformat()
    seen: dict[str, Counter[Verdict]] = {control: Counter() for control in controls}
    for finding in found:
        seen[finding.control][finding.verdict] += 1
    states: list[dict[str, Any]] = []
    days: list[dict[str, Any]] = []
    for control, n in sorted(seen.items()):
        worst = str(worst_of(n))
        counts = {"passes": n[Verdict.PASS], "fails": n[Verdict.FAIL], "unknowns": n[Verdict.UNKNOWN]}
        key = {"host": host, "control": control}
        states.append({**key, "at": at, "worst": worst, "entry": entry, **counts})
        days.append({**key, "day": day, "worst": worst, "closing": worst, "last_at": at, **counts})
    upsert(connection, row_states, states, ("at", "worst", "entry", "passes", "fails", "unknowns"))
    worst_today = select(row_days.c.control, row_days.c.worst).where(
        row_days.c.day == day, row_days.c.host == host, row_days.c.control.in_(controls)
    )
    before = {str(row.control): str(row.worst) for row in connection.execute(worst_today)}
    for row in days:
        if row["control"] in before:
            row["worst"] = max(row["worst"], before[row["control"]], key=_badness)
    upsert(connection, row_days, days, ("worst", "closing", "last_at", "passes", "fails", "unknowns"))
    _mark_day(connection, day, {row["control"]: row["worst"] for row in days})


def _mark_day(connection: Connection, day: str, worst: Mapping[str, str]) -> None:
    """The fleet's worst of the day: written only when it gets worse, so that hosts do not wait for each other."""
    today = select(strips.c.control, strips.c.worst).where(strips.c.day == day)
    marked = {str(row.control): str(row.worst) for row in connection.execute(today)}
    worse = [
        {"control": control, "day": day, "worst": verdict}
        for control, verdict in sorted(worst.items())
        if control not in marked or _badness(verdict) > _badness(marked[control])
    ]
    upsert(connection, strips, worse, ("worst",))


def write_tallies(
    connection: Connection, host: str, controls: Sequence[str], counted: Mapping[tuple[str, int], int]
) -> None:
    """How many open findings of each band the host has in these rows: `counted` is (control, band) → how many."""
    where = (tallies.c.host == host, tallies.c.control.in_(controls))
    stored = select(tallies.c.control, tallies.c.pressing, tallies.c.n).where(*where)
    had = {(control, band): n for control, band, n in connection.execute(stored)}
    if had == dict(counted):
        return
    connection.execute(delete(tallies).where(*where))
    if counted:
        rows = [{"host": host, "control": c, "pressing": band, "n": n} for (c, band), n in counted.items()]
        insert_many(connection, tallies, rows)


def upsert(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], change: Sequence[str]
) -> None:
    """Insert the rows, or set the columns `change` where the primary key is there already."""
    if not rows:
        return
    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = make(table)
    keys = [column.name for column in table.primary_key.columns]
    changed = {name: statement.excluded[name] for name in change}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), list(rows))


def close_rows(connection: Connection, host: str, at: datetime) -> None:
    """The host left: from this day on it counts no more in what was true on a day."""
    states = select(row_states.c.control, row_states.c.worst).where(row_states.c.host == host)
    day = at.astimezone(UTC).date().isoformat()
    none = {"closing": GONE, "passes": 0, "fails": 0, "unknowns": 0, "last_at": at}
    rows = [
        {"control": control, "host": host, "day": day, "worst": worst, **none}
        for control, worst in connection.execute(states)
    ]
    upsert(connection, row_days, rows, tuple(none))


def rows_on(connection: Connection, day: str) -> dict[str, dict[Verdict, int]]:
    """Control → counts over all hosts as the day (`2026-11-22`, UTC) ended, by the last assessment until then.

    For a moment within a day, and for a proof, ask the ledger (`ledger.rows_as_of`).
    """
    d = row_days.c
    last = (
        select(d.control, d.host, func.max(d.day).label("day"))
        .where(d.day <= day)
        .group_by(d.control, d.host)
        .subquery()
    )
    same = and_(d.control == last.c.control, d.host == last.c.host, d.day == last.c.day)
    query = select(d.control, func.sum(d.passes), func.sum(d.fails), func.sum(d.unknowns))
    query = query.join(last, same).where(d.closing != GONE).group_by(d.control)
    return {
        control: {Verdict.PASS: int(p), Verdict.FAIL: int(f), Verdict.UNKNOWN: int(u)}
        for control, p, f, u in connection.execute(query)
    }


def _badness(verdict: str) -> int:
    return -VERDICTS.index(Verdict(verdict))
