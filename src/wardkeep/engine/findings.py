"""Recording what an assessment found: first and last seen, changes of verdict, deadlines, and what became of the rest.

The state keeps one row for each fingerprint. A row is written only when something about it changed, so a quiet
cycle costs a few small writes a host, however many findings it has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, Row, Select, bindparam, delete, func, literal, select, update

from wardkeep.core.findings import Finding, Severity, Verdict
from wardkeep.engine.deadlines import Deadlines, due_at, keep_to
from wardkeep.engine.deadlines import deadlines as deadlines
from wardkeep.engine.finding_history import Change, remember, remember_gone
from wardkeep.engine.row_states import Counted, Moved, close_rows, drop_tallies, move_totals, write_rows
from wardkeep.store import Store, textindex
from wardkeep.store.browse import pressing
from wardkeep.store.bulk import insert_tuples
from wardkeep.store.columns import Moment
from wardkeep.store.schema import GONE, findings, row_states

WHOLE_HOST = "host"  # the subject of the one unknown finding that a blind rule yields (engine.assess)
BATCH = 100  # hosts
# What is written of a finding seen for the first time: in tuples, since a first cycle makes them by the hundred thousand.
_NEW = (
    "fingerprint", "control", "rule", "host", "subject", "first_seen", "says", "verdict", "severity", "pressing", "seen",
    "todo", "since", "changed_at", "failing_since", "due", "entry",
)  # fmt: skip
# Verdict and severity as a row has them, and its band.
_WRITTEN = {(v, s): (str(v), str(s), pressing(v, s)) for v in Verdict for s in Severity}
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Assessment:
    """Everything one cycle said about the rows `controls` on one host. `entry` is its index in the ledger.

    Taking an entry in twice changes nothing, so whoever finds the state behind the ledger may bring it up to it.
    """

    host: str
    at: datetime
    controls: frozenset[str]
    found: Sequence[Finding]
    entry: int | None = None


@dataclass(frozen=True)
class Turn:
    """A finding that began to need somebody (`fail`, `unknown`), or ceased to (`resolved`)."""

    kind: str
    finding: Finding
    at: datetime
    opened: datetime  # start of the stretch that began or ended
    due: datetime | None = None


@dataclass
class Recorded:
    """What recording changed. `turns` are what alerts are made of."""

    turns: list[Turn] = field(default_factory=list)
    written: int = 0
    unchanged: int = 0
    gone: int = 0


def record(store: Store, assessments: Iterable[Assessment], limits: Deadlines) -> Recorded:
    """Take assessments into the state, all of them in one transaction.

    A subject that a rule no longer speaks of is gone (a deleted account is no finding). A rule that could not look
    says nothing about its subjects: those that failed stay open as last seen, since nobody saw them mended.
    The ledger holds these assessments already; the commit need not wait for the disk.
    """
    recorded = Recorded()
    given = list(assessments)
    with store.begin(rebuildable=True) as connection:
        if given:
            keep_to(store, connection, limits, given[0].at)
        # Everybody takes the hosts' locks in one order, or two writers could wait for each other.
        for host in sorted({one.host for one in given}):
            store.lock(connection, f"host:{host}")
        moved = Moved()
        for batch in _batches(given):
            moved.update(_Batch(connection, batch, limits, recorded).write())
        move_totals(connection, moved)
    return recorded


def _batches(given: Iterable[Assessment]) -> Iterator[list[Assessment]]:
    """In their order, each host at most once in a batch, and not more than fits into memory with ease."""
    batch: dict[str, Assessment] = {}
    for one in given:
        if one.host in batch or len(batch) == BATCH:
            yield list(batch.values())
            batch = {}
        batch[one.host] = one
    if batch:
        yield list(batch.values())


class _Batch:
    """Assessments of different hosts: read what is known of all of them, decide, write all of it."""

    def __init__(
        self, connection: Connection, given: Sequence[Assessment], limits: Deadlines, to: Recorded
    ) -> None:
        self.connection, self.given, self.limits, self.to = connection, given, limits, to
        self.inserts: list[tuple[Any, ...]] = []  # of _NEW
        self.updates: list[dict[str, Any]] = []
        self.before: list[Mapping[str, Any]] = []  # what is about to be written over
        self.history: list[tuple[str, Change]] = []
        hosts = [one.host for one in given]
        r, f = row_states.c, findings.c
        states = connection.execute(select(r.host, r.control, r.at, r.entry).where(r.host.in_(hosts)))
        self.rows = {(row.host, row.control): row for row in states}
        self.known: dict[str, dict[str, Row[Any]]] = {host: {} for host in hosts}
        compared: Select[Any] = select(
            f.fingerprint, f.verdict, f.seen, f.severity, f.todo, f.since, f.says, f.control, f.rule, f.host, f.id,
            (f.gone_at.is_(None) & f.last_seen.is_(None)).label("live"), f.gone_at.is_not(None).label("gone"),
        )  # fmt: skip
        for row in connection.execute(compared.where(f.host.in_(hosts))):
            self.known[row.host][row.fingerprint] = row
        self._whole: dict[str, dict[int, Mapping[str, Any]]] = {}

    def whole(self, known: Row[Any]) -> Mapping[str, Any]:
        """All that is stored of a finding. Read for the hosts where something changed alone: times cost most of the reading."""
        if known.host not in self._whole:
            rows = self.connection.execute(select(findings).where(findings.c.host == known.host)).mappings()
            self._whole[known.host] = {row["id"]: row for row in rows}  # type: ignore[misc]
        return self._whole[known.host][known.id]

    def write(self) -> Moved:
        counted = [done for one in self.given if (done := _Recording(self, one).take())]
        self.to.written += len(self.inserts) + len(self.updates)
        before = textindex.newest(self.connection)
        insert_tuples(self.connection, findings, _NEW, self.inserts)
        textindex.learn_since(self.connection, before)
        if self.updates:
            ids = [row["row"] for row in self.updates]
            textindex.forget(self.connection, ids)
            self.connection.execute(update(findings).where(findings.c.id == bindparam("row")), self.updates)
            textindex.learn(self.connection, ids)
        remember(self.connection, self.before, self.history)
        return write_rows(self.connection, counted)


class _Recording:
    """One assessment, held against what is known of its host."""

    def __init__(self, batch: _Batch, given: Assessment) -> None:
        self.batch, self.given, self.limits, self.to = batch, given, batch.limits, batch.to
        self.controls = sorted(control for control in given.controls if not self._is_taken_in(control))
        self.open: Counter[tuple[str, int]] = Counter()

    def _is_taken_in(self, control: str) -> bool:
        """Whether the row knows this entry, or a later one, already."""
        row = self.batch.rows.get((self.given.host, control))
        if row is None or row.entry is None or self.given.entry is None:
            return False
        return bool(row.entry >= self.given.entry)

    def take(self) -> Counted | None:
        if not self.controls:
            return None
        self.at = self._later_than_the_last()
        wanted = set(self.controls)
        found = _worst_of_each([f for f in self.given.found if f.control in wanted])
        blind = {f.rule for f in found.values() if _is_blind(f)}
        if blind:
            blind -= {f.rule for f in found.values() if f.rule in blind and not _is_blind(f)}
        counts: dict[str, Counter[Verdict]] = {control: Counter() for control in self.controls}
        told = Counter([(f.control, f.verdict, f.severity) for f in found.values()])
        for (control, verdict, severity), n in told.items():
            counts[control][verdict] += n
            self.open[control, pressing(verdict, severity)] += n
        known = {fp: row for fp, row in self.batch.known[self.given.host].items() if row.control in wanted}
        if known:
            for fingerprint, finding in found.items():
                self._spoken_of(fingerprint, finding, known.pop(fingerprint, None))
            for row in known.values():
                if not row.gone:
                    self._silent(self.batch.whole(row), row.rule in blind)
        else:
            self.batch.inserts += map(self._first_seen, found.values())
        return Counted(self.given.host, self.at, self.given.entry, counts, self.open)

    def _later_than_the_last(self) -> datetime:
        """The ledger's order decides, not the clock: when that was set back, time stands still here, never runs back."""
        rows = [self.batch.rows.get((self.given.host, control)) for control in self.controls]
        last: datetime | None = max((row.at for row in rows if row is not None), default=None)
        at = to_the_millisecond(self.given.at)
        return at if last is None or at > last else last + _TICK

    def _spoken_of(self, fingerprint: str, finding: Finding, known: Row[Any] | None) -> None:
        if known is None:
            self.batch.inserts.append(self._first_seen(finding))
        elif known.live and _same(known, finding):
            self.to.unchanged += 1
        else:
            self._changed(fingerprint, finding, self.batch.whole(known))

    def _changed(self, fingerprint: str, finding: Finding, old: Mapping[str, Any]) -> None:
        was_gone = old["gone_at"] is not None
        verdict_changed = was_gone or old["verdict"] != finding.verdict
        stretch = None if was_gone else old["failing_since"]
        passes = finding.verdict is Verdict.PASS
        since = None if passes else stretch or self.at
        due = None if since is None else due_at(self.limits, finding.severity, finding.since, since)
        values = {
            "says": finding.says,
            "verdict": str(finding.verdict),
            "severity": str(finding.severity),
            "pressing": pressing(finding.verdict, finding.severity),
            "seen": finding.seen,
            "todo": finding.todo,
            "since": finding.since,
            "changed_at": self.at if verdict_changed else old["changed_at"],
            "failing_since": since,
            "due": due,
            "entry": self.given.entry,
            "last_seen": None,
            "gone_at": None,
        }
        self.batch.updates.append({**values, "row": old["id"]})
        self.batch.before.append(old)
        if verdict_changed:
            self._remember(fingerprint, str(finding.verdict), finding.severity, finding.seen)
        if not passes and since is not None and (stretch is None or verdict_changed):
            self.to.turns.append(Turn(str(finding.verdict), finding, self.at, since, due))
        elif passes and stretch is not None:
            self.to.turns.append(Turn("resolved", finding, self.at, stretch))

    def _first_seen(self, finding: Finding) -> tuple[Any, ...]:
        """Its row, of _NEW."""
        at = self.at
        verdict, severity, band = _WRITTEN[finding.verdict, finding.severity]
        since = due = None
        if finding.verdict is not Verdict.PASS:
            since, due = at, due_at(self.limits, finding.severity, finding.since, at)
            self.to.turns.append(Turn(verdict, finding, at, at, due))
        return (
            finding.fingerprint, finding.control, finding.rule, finding.host, finding.subject, at, finding.says, verdict, severity,
            band, finding.seen, finding.todo, finding.since, at, since, due, self.given.entry,
        )  # fmt: skip

    def _silent(self, old: Mapping[str, Any], blind: bool) -> None:
        """A known finding that this assessment did not speak of."""
        if blind and old["verdict"] == Verdict.FAIL:
            self.open[old["control"], old["pressing"]] += 1
            if old["last_seen"] is None:
                self.batch.updates.append(_unchanged(old) | {"last_seen": self._seen_before(old)})
            return
        self.to.gone += 1
        self.batch.updates.append(
            _unchanged(old)
            | {
                "pressing": GONE,
                "due": None,
                "failing_since": None,
                "changed_at": self.at,
                "gone_at": self.at,
            }
            | {"last_seen": old["last_seen"] or self._seen_before(old), "entry": self.given.entry}
        )
        self.batch.before.append(old)
        self._remember(old["fingerprint"], "gone", old["severity"], "no longer spoken of")
        # A passing subject, or an unknown one that can be looked at again, just goes; a fault that went is news.
        if old["failing_since"] is not None:
            self.to.turns.append(Turn("resolved", _as_finding(old), self.at, old["failing_since"]))

    def _seen_before(self, old: Mapping[str, Any]) -> datetime:
        before = self.batch.rows.get((old["host"], old["control"]))
        seen: datetime = before.at if before is not None else old["changed_at"]
        return seen

    def _remember(self, fingerprint: str, verdict: str, severity: str, seen: str) -> None:
        change = Change(self.at, verdict, str(severity), seen, self.given.entry)
        self.batch.history.append((fingerprint, change))


def retire_host(store: Store, host: str, at: datetime) -> None:
    """The host left the fleet: its findings are gone, its rows count no more. History and the ledger keep them."""
    at = to_the_millisecond(at)
    with store.begin() as connection:
        store.lock(connection, f"host:{host}")
        here = (findings.c.host == host, findings.c.gone_at.is_(None))
        remember_gone(connection, at, "host removed", *here)
        left = {"pressing": GONE, "due": None, "failing_since": None, "changed_at": at, "gone_at": at}
        last = select(row_states.c.at).where(
            row_states.c.host == host, row_states.c.control == findings.c.control
        )
        seen = func.coalesce(findings.c.last_seen, last.scalar_subquery(), literal(at, Moment()))
        ids = list(connection.execute(select(findings.c.id).where(*here)).scalars())
        textindex.forget(connection, ids)
        connection.execute(update(findings).where(*here).values(**left, last_seen=seen))
        textindex.learn(connection, ids)
        close_rows(connection, host, at)
        connection.execute(delete(row_states).where(row_states.c.host == host))
        drop_tallies(connection, host)


def to_the_millisecond(at: datetime) -> datetime:
    """The precision of the ledger's times, so that the state can be made from it again exactly."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _worst_of_each(found: Iterable[Finding]) -> dict[str, Finding]:
    """By fingerprint. A rule that spoke twice of one subject is believed where it said worse."""
    storable = list(map(_storable, found))
    kept = {finding.fingerprint: finding for finding in storable}
    if len(kept) == len(storable):
        return kept
    kept = {}
    for finding in storable:
        other = kept.get(finding.fingerprint)
        if other is None or _order(finding) < _order(other):
            kept[finding.fingerprint] = finding
    return kept


def _storable(finding: Finding) -> Finding:
    """PostgreSQL's texts hold no zero byte, and what a host says may: it is shown as the replacement character."""
    if not ("\0" in finding.seen or "\0" in finding.subject or "\0" in finding.todo or "\0" in finding.since):
        return finding
    said = {name: getattr(finding, name) for name in ("subject", "seen", "todo", "since")}
    return replace(finding, **{name: text.replace("\x00", "\ufffd") for name, text in said.items()})


def _order(finding: Finding) -> int:
    return pressing(finding.verdict, finding.severity)


def _is_blind(finding: Finding) -> bool:
    return finding.subject == WHOLE_HOST and finding.verdict is Verdict.UNKNOWN


def _same(old: Row[Any], new: Finding) -> bool:
    # By place (see `compared`): a name costs a row more than the comparison.
    said = (new.fingerprint, new.verdict, new.seen, new.severity, new.todo, new.since, new.says)
    return bool(tuple(old)[:7] == said)


_CHANGING = (
    "says",
    "verdict",
    "severity",
    "pressing",
    "seen",
    "todo",
    "since",
    "changed_at",
    "failing_since",
)


def _unchanged(old: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: old[name] for name in (*_CHANGING, "due", "entry", "last_seen", "gone_at")}
    return kept | {"row": old["id"]}


def _as_finding(row: Mapping[str, Any]) -> Finding:
    return Finding(
        row["control"],
        row["rule"],
        row["says"],
        row["host"],
        row["subject"],
        Verdict(row["verdict"]),
        Severity(row["severity"]),
        row["seen"],
        row["todo"],
        row["since"],
    )
