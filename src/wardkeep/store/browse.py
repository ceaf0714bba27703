"""Reading findings: pages by what needs somebody most, search by words, and the counts of the matrix.

Every answer comes from an index, whatever the number of findings: a page is read band by band (`pressing`, a verdict
and severity) in the order of the deadline; counts come from `tallies` and `totals`, which are kept when findings are recorded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Row,
    Select,
    and_,
    column,
    func,
    literal,
    literal_column,
    select,
    table,
    tuple_,
    union_all,
)

from wardkeep.core.errors import BadInput
from wardkeep.core.findings import Severity, Verdict
from wardkeep.store.columns import NEVER
from wardkeep.store.schema import GONE, findings, row_states, strips, tallies, totals, waivers

VERDICTS = (Verdict.FAIL, Verdict.UNKNOWN, Verdict.PASS)
_BANDS = {(v, s): 4 * place + s.rank for place, v in enumerate(VERDICTS) for s in Severity}
COUNTED_AT_MOST = 1_000  # beyond it a search says "more than 1,000"
_TEXT_INDEX = table("findings_text", column("rowid", Integer))  # of SQLite alone


def pressing(verdict: Verdict, severity: Severity) -> int:
    """0 for a failing critical finding, 11 for a passing one of low severity."""
    return _BANDS[verdict, severity]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which findings. Empty fields do not filter. `words` finds those with every word given,
    of which the last may be the beginning of one."""

    verdicts: frozenset[Verdict] = frozenset()
    severities: frozenset[Severity] = frozenset()
    control: str = ""
    host: str = ""
    rule: str = ""
    words: str = ""
    waived: bool | None = None
    overdue: bool | None = None
    gone: bool = False  # only those no longer spoken of

    def bands(self) -> list[int]:
        if self.gone:
            return [GONE]
        return [
            pressing(verdict, severity)
            for verdict in VERDICTS
            if not self.verdicts or verdict in self.verdicts
            for severity in Severity
            if not self.severities or severity in self.severities
        ]


@dataclass(frozen=True)
class Page:
    """Rows of `findings` with `last_seen` made whole, and the cursor of the next page ("" at the end)."""

    rows: Sequence[Row[Any]]
    after: str


@dataclass(frozen=True)
class Count:
    """How many; `more` when counting stopped at COUNTED_AT_MOST."""

    n: int
    more: bool = False


class Listing:
    """The findings that are wanted, at one moment within one transaction: a page of them, and how many they are."""

    def __init__(self, connection: Connection, wanted: Wanted, now: datetime) -> None:
        self.connection, self.wanted, self.now = connection, wanted, now

    @cached_property
    def few(self) -> list[int] | None:
        """The ids of what a search finds when they are few enough to be sorted; None when they are many, or no words were
        given. Many are read in the order of their id within a band, which both text indexes give unsorted."""
        return _few_matches(self.connection, self.wanted, self.now) if self.wanted.words.strip() else None

    def page(self, *, after: str = "", limit: int = 50) -> Page:
        """The next `limit` findings, most pressing first. Raises BadInput for a cursor that is none of ours."""
        place = _read_cursor(after)
        by_id = bool(self.wanted.words.strip()) and self.few is None
        rows: list[Row[Any]] = []
        for band in self.wanted.bands() if self.few != [] else []:
            if place is not None and band < place[0]:
                continue
            query = self._band(band)
            if place is not None and band == place[0]:
                query = query.where(
                    _id(self.connection) > place[2]
                    if by_id
                    else tuple_(findings.c.due, findings.c.id) > tuple_(place[1], place[2])
                )
            rows.extend(self.connection.execute(query.limit(limit + 1 - len(rows))))
            if len(rows) > limit:
                break
        more = len(rows) > limit
        rows = rows[:limit]
        return Page(rows, _cursor(rows[-1]) if more else "")

    def count(self) -> Count:
        """How many are wanted: exact from the tallies, or counted up to COUNTED_AT_MOST where those do not say."""
        wanted = self.wanted
        if wanted.words.strip():
            return Count(COUNTED_AT_MOST, more=True) if self.few is None else Count(len(self.few))
        if not (wanted.rule or wanted.gone) and wanted.waived is None and wanted.overdue is None:
            kept = tallies if wanted.host else totals
            total = select(func.coalesce(func.sum(kept.c.n), 0)).where(kept.c.pressing.in_(wanted.bands()))
            if wanted.control:
                total = total.where(kept.c.control == wanted.control)
            if wanted.host:
                total = total.where(tallies.c.host == wanted.host)
            return Count(int(self.connection.execute(total).scalar_one()))
        n = 0
        for band in wanted.bands():
            inner = select(findings.c.id).where(findings.c.pressing == band, *_conditions(wanted, self.now))
            inner = inner.limit(COUNTED_AT_MOST + 1 - n)
            n += self.connection.execute(select(func.count()).select_from(inner.subquery())).scalar_one()
            if n > COUNTED_AT_MOST:
                return Count(COUNTED_AT_MOST, more=True)
        return Count(n)

    def _band(self, band: int) -> Select[Any]:
        if not self.wanted.words.strip():
            query = _columns(findings).where(*_conditions(self.wanted, self.now))
        elif self.few is not None:
            query = _columns(findings).where(findings.c.id.in_(self.few))
        else:
            found = _matching(self.connection, self.wanted, self.now, [band])
            return _columns(found.place).where(*found.conditions).order_by(_id(self.connection))
        return query.where(findings.c.pressing == band).order_by(findings.c.due, findings.c.id)


def page(connection: Connection, wanted: Wanted, now: datetime, *, after: str = "", limit: int = 50) -> Page:
    """The next `limit` findings, most pressing first. Raises BadInput for a cursor that is none of ours."""
    return Listing(connection, wanted, now).page(after=after, limit=limit)


def count(connection: Connection, wanted: Wanted, now: datetime) -> Count:
    """How many are wanted."""
    return Listing(connection, wanted, now).count()


def one(connection: Connection, fingerprint: str) -> Row[Any] | None:
    """One finding, gone or not."""
    return connection.execute(_columns(findings).where(findings.c.fingerprint == fingerprint)).one_or_none()


@dataclass(frozen=True)
class RowCounts:
    """One row of the matrix over all hosts, now. `failing` is by severity; waived ones are still counted in it."""

    control: str
    passes: int = 0
    unknowns: int = 0
    failing: Mapping[Severity, int] = field(default_factory=dict)
    overdue: int = 0
    waived: int = 0
    newest: datetime | None = None  # the last assessment of any host
    oldest: datetime | None = None  # of the host that waits longest
    hosts: int = 0

    @property
    def fails(self) -> int:
        return sum(self.failing.values())

    @property
    def worst(self) -> Verdict:
        """Nothing seen is unknown, never pass."""
        if self.fails:
            return Verdict.FAIL
        return Verdict.UNKNOWN if self.unknowns or not self.passes else Verdict.PASS


def matrix(connection: Connection, now: datetime, *, host: str = "") -> dict[str, RowCounts]:
    """Control → counts, for every control that was ever assessed (on `host`, or anywhere)."""
    kept = tallies if host else totals
    sums = select(kept.c.control, kept.c.pressing, kept.c.n)
    seen = select(
        row_states.c.control, func.max(row_states.c.at), func.min(row_states.c.at), func.count()
    ).group_by(row_states.c.control)
    late = (
        select(findings.c.control, func.count())
        .where(findings.c.pressing.in_(range(8)), findings.c.due < now)
        .group_by(findings.c.control)
    )
    accepted = (  # "+ 0" keeps the planner on the few waivers, away from the many findings that fail
        select(findings.c.control, func.count())
        .where(findings.c.fingerprint.in_(select(waivers.c.fingerprint).where(in_force(now))))
        .where(findings.c.pressing + 0 < 8)
        .group_by(findings.c.control)
    )
    if host:
        sums, seen = sums.where(tallies.c.host == host), seen.where(row_states.c.host == host)
        late, accepted = late.where(findings.c.host == host), accepted.where(findings.c.host == host)
    counts: dict[str, dict[int, int]] = {}
    for control, band, n in connection.execute(sums):
        counts.setdefault(control, {})[band] = int(n)
    overdue = {control: n for control, n in connection.execute(late)}
    waived = {control: n for control, n in connection.execute(accepted)}
    found = {}
    for control, newest, oldest, n_hosts in connection.execute(seen):
        bands = counts.get(control, {})
        found[control] = RowCounts(
            control,
            passes=sum(n for band, n in bands.items() if 8 <= band < 12),
            unknowns=sum(n for band, n in bands.items() if 4 <= band < 8),
            failing={severity: bands.get(severity.rank, 0) for severity in Severity},
            overdue=overdue.get(control, 0),
            waived=waived.get(control, 0),
            newest=newest,
            oldest=oldest,
            hosts=n_hosts,
        )
    return found


def oldest_looks(controls: Sequence[str]) -> Select[Any]:
    """(control, when the host that waits longest was last assessed) for each of these rows; none for a row never assessed.
    A place in the index for each row, instead of going over every row of every host."""
    r = row_states.c
    longest = [
        select(
            literal(name).label("control"), select(func.min(r.at)).where(r.control == name).scalar_subquery()
        )
        for name in controls
    ]
    return select(union_all(*longest).subquery())


def in_force(now: datetime) -> ColumnElement[bool]:
    """The condition on `waivers` for those that hold at `now`."""
    return and_(waivers.c.created <= now, waivers.c.expires > now, waivers.c.revoked.is_(None))


def _columns(place: FromClause) -> Select[Any]:
    shown = [c for c in findings.c if c.name != "last_seen"]
    seen = func.coalesce(findings.c.last_seen, row_states.c.at, type_=findings.c.last_seen.type)
    return select(*shown, seen.label("last_seen")).select_from(
        place.outerjoin(
            row_states, and_(row_states.c.host == findings.c.host, row_states.c.control == findings.c.control)
        )
    )


def _conditions(
    wanted: Wanted, now: datetime, column: Callable[[str], ColumnElement[Any]] = findings.c.__getitem__
) -> list[ColumnElement[bool]]:
    """Everything that is wanted but the band and the words."""
    kept: list[ColumnElement[bool]] = []
    for name, value in (
        ("control", wanted.control or wanted.rule.partition(".")[0]),
        ("host", wanted.host),
        ("rule", wanted.rule),
    ):
        if value:
            kept.append(column(name) == value)
    if wanted.overdue is not None:
        late = column("due") < now
        kept.append(late if wanted.overdue else ~late)
    if wanted.waived is not None:
        accepted = column("fingerprint").in_(select(waivers.c.fingerprint).where(in_force(now)))
        kept.append(accepted if wanted.waived else ~accepted)
    return kept


@dataclass(frozen=True)
class _Matching:
    """Where a search reads from, and its conditions."""

    place: FromClause
    conditions: list[ColumnElement[bool]]


def _matching(connection: Connection, wanted: Wanted, now: datetime, bands: Sequence[int]) -> _Matching:
    if connection.dialect.name == "sqlite":
        # The text index leads, row by row in the order of the ids, so that a limit ends the search; "+" keeps the planner
        # from leading with another index and asking the text index anew for each of its rows.
        def behind(name: str) -> ColumnElement[Any]:
            return literal_column(f"+findings.{name}", findings.c[name].type)

        text_index = _TEXT_INDEX.join(findings, findings.c.id == _TEXT_INDEX.c.rowid)
        return _Matching(
            text_index,
            [_fts5(wanted, bands), behind("pressing").in_(bands), *_conditions(wanted, now, behind)],
        )
    *whole, last = _tokens(wanted.words)
    query = " & ".join([*whole, f"{last}:*" if len(last) > 1 else last])
    found: ColumnElement[bool] = literal_column("findings.words").op("@@")(
        func.to_tsquery(literal_column("'simple'"), query)
    )
    among: ColumnElement[bool] = findings.c.pressing.in_(bands)
    if len(bands) == len(
        _BANDS
    ):  # nearly everything: "+ 0" keeps the planner from an index that narrows nothing
        among = findings.c.pressing + 0 != GONE
    return _Matching(findings, [found, among, *_conditions(wanted, now)])


def _few_matches(connection: Connection, wanted: Wanted, now: datetime) -> list[int] | None:
    if not _tokens(wanted.words):
        return []
    found = _matching(connection, wanted, now, wanted.bands())
    query = select(_id(connection)).select_from(found.place).where(*found.conditions)
    query = query.limit(COUNTED_AT_MOST + 1)
    if connection.dialect.name == "sqlite":
        ids = list(connection.execute(query).scalars())
    else:
        # Left to itself the planner goes along another index, or the whole table, until it has found enough: quick where
        # what matches is spread evenly, and a second where it lies together at the end, as the findings of a host do.
        connection.exec_driver_sql(
            "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_indexscan', 'off', true)"
        )
        ids = list(connection.execute(query).scalars())
        connection.exec_driver_sql("SELECT set_config('enable_indexscan', 'on', true)")
    return ids if len(ids) <= COUNTED_AT_MOST else None


def _id(connection: Connection) -> ColumnElement[int]:
    """The id that a search goes along."""
    return _TEXT_INDEX.c.rowid if connection.dialect.name == "sqlite" else findings.c.id


def _fts5(wanted: Wanted, bands: Sequence[int]) -> ColumnElement[bool]:
    """The words, and the filters as far as the text index knows them, so that it need not return all that match."""
    *whole, last = _tokens(wanted.words)
    parts = ["{host rule subject seen says} : (" + " AND ".join(f'"{token}"' for token in (*whole, last))]
    parts[0] += "*)" if len(last) > 1 else ")"
    parts += [f'host : "{token}"' for token in _tokens(wanted.host)]
    parts += [f'rule : "{token}"' for token in _tokens(wanted.control or wanted.rule)]
    if len(bands) < len(_BANDS):
        parts.append("band : (" + " OR ".join(f"b{band}" for band in bands) + ")")
    return literal_column("findings_text").op("MATCH")(" AND ".join(parts))


def _tokens(words: str) -> list[str]:
    """The words as both databases cut them: letters and digits, lower case. The last may be the beginning of a word.

    Each of the others once: PostgreSQL takes every further "0" of 0.0.0.0 for one that narrows, expects a handful of matches, and
    sorts two hundred thousand.
    """
    *whole, last = re.findall(r"[^\W_]+", words.lower())[:8] or [""]
    return [token for token in dict.fromkeys(whole) if token != last or len(last) > 1] + [last] * bool(last)


def _cursor(row: Row[Any]) -> str:
    due = NEVER if row.due is None else findings.c.due.type.process_bind_param(row.due, None)  # type: ignore[attr-defined]
    return f"{row.pressing}.{due}.{row.id}"


def _read_cursor(after: str) -> tuple[int, Any, int] | None:
    if not after:
        return None
    if not re.fullmatch(r"\d{1,2}\.\d{1,18}\.\d{1,18}", after, re.ASCII):
        raise BadInput("this is not a place in a list of findings", todo="Start from the first page.")
    band, due, row = (int(part) for part in after.split("."))
    return band, literal_column(str(due)), row


def strip(connection: Connection, days: Iterable[str]) -> dict[tuple[str, str], str]:
    """(control, day) → the worst verdict any host had that day. A day nobody looked is not in it."""
    wanted = list(days)
    return {(c, d): w for c, d, w in connection.execute(select(strips).where(strips.c.day.in_(wanted)))}
