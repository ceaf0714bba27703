"""The matrix's rows on each host, as an assessment counted them: now, at the end of each day, and the worst of the day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias

from sqlalchemy import Connection, and_, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from wardkeep.core.findings import Verdict
from wardkeep.store.browse import VERDICTS
from wardkeep.store.bulk import insert_many, upsert
from wardkeep.store.schema import row_days, row_states, strips, tallies, totals

_BADNESS = {str(verdict): -place for place, verdict in enumerate(VERDICTS)}
Moved: TypeAlias = Counter[tuple[str, int]]  # (control, band) → how many more, or fewer, are open now
KEPT_DAYS = 400  # a year and what a late comparison needs; 25 rows a host and day would grow for ever
GONE = "gone"  # how a day closed for a host that left


def worst_of(counts: Mapping[Verdict, int]) -> Verdict:
    """Fail before unknown before pass; nothing said at all is unknown."""
    return next((verdict for verdict in VERDICTS if counts.get(verdict)), Verdict.UNKNOWN)


@dataclass(frozen=True)
class Counted:
    """What one assessment came to: per row its verdicts, and how many findings of each band are open on the host now."""

    host: str
    at: datetime
    entry: int | None
    rows: Mapping[str, Mapping[Verdict, int]]
    open: Mapping[tuple[str, int], int]


def write_rows(connection: Connection, counted: Sequence[Counted]) -> Moved:
    """The rows' state on these hosts: exactly as the assessments counted it, so that the ledger gives the same.

    Returns by how much the tallies changed, for `move_totals` at the end of the transaction.
    """
    states: list[dict[str, Any]] = []
    days: dict[tuple[str, str, str], dict[str, Any]] = {}
    for one in counted:
        day = one.at.astimezone(UTC).date().isoformat()
        for control, n in sorted(one.rows.items()):
            worst = str(worst_of(n))
            counts = {"passes": n.get(Verdict.PASS, 0), "fails": n.get(Verdict.FAIL, 0)}
            counts["unknowns"] = n.get(Verdict.UNKNOWN, 0)
            key = {"host": one.host, "control": control}
            states.append({**key, "at": one.at, "worst": worst, "entry": one.entry, **counts})
            closing: dict[str, Any] = {
                **key,
                "day": day,
                "worst": worst,
                "closing": worst,
                "last_at": one.at,
                **counts,
            }
            days[one.host, control, day] = closing
    upsert(connection, row_states, states, ("at", "worst", "entry", "passes", "fails", "unknowns"))
    today = select(row_days.c.host, row_days.c.control, row_days.c.day, row_days.c.worst).where(
        row_days.c.host.in_([one.host for one in counted]), row_days.c.day.in_({day for *_, day in days})
    )
    for host, control, day, worst in connection.execute(today):
        if row := days.get((host, control, day)):
            row["worst"] = max(row["worst"], worst, key=_badness)
    upsert(
        connection,
        row_days,
        list(days.values()),
        ("worst", "closing", "last_at", "passes", "fails", "unknowns"),
    )
    _mark_days(connection, days.values())
    return _write_tallies(connection, counted)


def _mark_days(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """The fleet's worst of the day: written only when it gets worse, so that hosts do not wait for each other."""
    worst: dict[tuple[str, str], str] = {}
    for row in rows:
        key = (row["control"], row["day"])
        worst[key] = max(worst.get(key, row["worst"]), row["worst"], key=_badness)
    stored = select(strips).where(strips.c.day.in_({day for _, day in worst}))
    marked = {(row.control, row.day): str(row.worst) for row in connection.execute(stored)}
    worse = [
        {"control": control, "day": day, "worst": verdict}
        for (control, day), verdict in sorted(worst.items())
        if (control, day) not in marked or _badness(verdict) > _badness(marked[control, day])
    ]
    upsert(connection, strips, worse, ("worst",))


def _write_tallies(connection: Connection, counted: Sequence[Counted]) -> Moved:
    stored = select(tallies).where(tallies.c.host.in_([one.host for one in counted]))
    had: dict[str, dict[tuple[str, int], int]] = {one.host: {} for one in counted}
    for row in connection.execute(stored):
        had[row.host][row.control, row.pressing] = row.n
    rows, moved = [], Moved()
    for one in counted:
        before = {key: n for key, n in had[one.host].items() if key[0] in one.rows}
        if before == one.open:
            continue
        if before:
            of_host = (tallies.c.host == one.host, tallies.c.control.in_(list(one.rows)))
            connection.execute(delete(tallies).where(*of_host))
        rows += [
            {"host": one.host, "control": c, "pressing": band, "n": n} for (c, band), n in one.open.items()
        ]
        moved.update(one.open)
        moved.subtract(before)
    insert_many(connection, tallies, rows)
    return moved


def drop_tallies(connection: Connection, host: str) -> None:
    """The host left: it counts nowhere any more. At the end of a transaction, as `move_totals`."""
    of_host = select(tallies.c.control, tallies.c.pressing, tallies.c.n).where(tallies.c.host == host)
    moved = Moved({(control, band): -n for control, band, n in connection.execute(of_host)})
    connection.execute(delete(tallies).where(tallies.c.host == host))
    move_totals(connection, moved)


def move_totals(connection: Connection, moved: Moved) -> None:
    """Add to the counts over all hosts. As the last act of a transaction and in one order for all: writers on PostgreSQL
    wait for each other here, for as long as a commit takes, and never crosswise."""
    rows = [{"control": c, "pressing": band, "n": n} for (c, band), n in sorted(moved.items()) if n]
    if rows:
        make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        statement = make(totals)
        added = {"n": totals.c.n + statement.excluded.n}
        statement = statement.on_conflict_do_update(index_elements=["control", "pressing"], set_=added)
        connection.execute(statement, rows)


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


def forget_days(connection: Connection, today: date) -> int:
    """Drop the ends of days longer ago than KEPT_DAYS; returns how many. Of each host and row the newest of those stays:
    so what was true on any kept day is said as before. The ledger has them all (`rows_as_of`)."""
    oldest = (today - timedelta(days=KEPT_DAYS)).isoformat()
    d, newer = row_days.c, row_days.alias("newer")
    superseded = select(newer.c.day).where(
        newer.c.control == d.control, newer.c.host == d.host, newer.c.day > d.day, newer.c.day <= oldest
    )
    return connection.execute(delete(row_days).where(d.day < oldest, superseded.exists())).rowcount


def rows_on(connection: Connection, day: str) -> dict[str, dict[Verdict, int]]:
    """Control → counts over all hosts as the day (`2026-11-22`, UTC) ended, by the last assessment until then.

    For a moment within a day, for a day longer ago than KEPT_DAYS, and for a proof, ask the ledger (`ledger.rows_as_of`).
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
    return _BADNESS[verdict]
