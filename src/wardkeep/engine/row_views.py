"""One row of the matrix in full: its rules with what they serve, its hosts, its drills, its policy; now or as of a day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import Connection, func, select

from wardkeep.controls.matrix import BY_ID, ROWS, Row
from wardkeep.core.changes import Cannot
from wardkeep.core.control import Control
from wardkeep.core.errors import BadInput
from wardkeep.core.findings import Citation, Verdict
from wardkeep.core.profiles import did_you_mean, show_duration
from wardkeep.engine.finding_views import serves
from wardkeep.engine.platform import Platform
from wardkeep.engine.settings import Setting, settings_in_force
from wardkeep.engine.views import RowView, matrix
from wardkeep.ledger.asof import rows_as_of
from wardkeep.ledger.selection import Look
from wardkeep.store.browse import VERDICTS
from wardkeep.store.schema import drills, findings, row_states

HOSTS_SHOWN = 200
PASSES_COUNTED = 5_000


@dataclass(frozen=True)
class RuleView:
    """A rule of the row: its sentence, what it serves, how its findings stand, whether and why not it can be mended.

    `exact` is false when the row has so many passing findings that only some were counted for this rule.
    """

    id: str
    says: str
    severity: str
    serves: tuple[Citation, ...]
    findings: dict[str, int]
    exact: bool
    mends: bool
    why_not: str

    @property
    def verdict(self) -> str:
        """Nothing seen is unknown."""
        if self.findings["fail"]:
            return "fail"
        return "pass" if self.findings["pass"] and not self.findings["unknown"] else "unknown"


@dataclass(frozen=True)
class HostState:
    """How the row stands on one host. `entry` is the ledger's index of the assessment."""

    host: str
    verdict: str
    passes: int
    fails: int
    unknowns: int
    at: datetime
    entry: int | None


@dataclass(frozen=True)
class DrillView:
    """The last drill on one host."""

    host: str
    at: datetime
    verdict: str
    seconds: int
    summary: str
    entry: int | None


@dataclass(frozen=True)
class RowDetail:
    """A row in full. `hosts` are the worst first, at most HOSTS_SHOWN of `host_count`."""

    row: RowView
    citations: tuple[Citation, ...]
    rules: tuple[RuleView, ...]
    missing: tuple[str, ...]
    hosts: tuple[HostState, ...]
    host_count: int
    drills: tuple[DrillView, ...]
    settings: tuple[Setting, ...]
    cadence: dict[str, str]


@dataclass(frozen=True)
class AsOf:
    """How the row stood at the end of a day (UTC), from each host's last assessment up to then."""

    day: date
    verdict: str
    hosts: tuple[HostState, ...]
    host_count: int

    def counts(self) -> dict[str, int]:
        return dict(Counter(host.verdict for host in self.hosts))


def row_titles() -> list[tuple[str, str]]:
    """(id, title) of every row, in the matrix's order."""
    return [(row.id, row.title) for row in ROWS]


def find_row(platform: Platform, control_id: str, now: datetime | None = None) -> RowDetail:
    """The row in full, now. Raises BadInput naming the nearest row."""
    control, known = _control(platform, control_id), BY_ID[control_id]
    now = now or datetime.now(UTC)
    with platform.store.read() as read:
        counted = [
            *_by_rule(read, control_id, range(8)),
            *_by_rule(read, control_id, range(8, 12), PASSES_COUNTED),
        ]
        states = read.execute(
            select(row_states)
            .where(row_states.c.control == control_id)
            .order_by(row_states.c.fails.desc(), row_states.c.unknowns.desc(), row_states.c.host)
            .limit(HOSTS_SHOWN)
        ).all()
        in_all = read.execute(
            select(func.count()).select_from(row_states).where(row_states.c.control == control_id)
        ).scalar_one()
        tried = read.execute(
            select(drills).where(drills.c.control == control_id).order_by(drills.c.at).limit(HOSTS_SHOWN)
        ).all()
    by_rule: dict[str, dict[str, int]] = {}
    for rule, band, n in counted:
        by_verdict, verdict = by_rule.setdefault(rule, {}), VERDICTS[band // 4].value
        by_verdict[verdict] = by_verdict.get(verdict, 0) + n
    view = next(row for row in matrix(platform, now) if row.id == control_id)
    exact = view.findings["pass"] <= PASSES_COUNTED
    return RowDetail(
        row=view,
        citations=known.citations,
        rules=tuple(_rule(control, rule, by_rule.get(rule.id, {}), exact) for rule in control.rules),
        missing=control.missing,
        hosts=tuple(HostState(s.host, s.worst, s.passes, s.fails, s.unknowns, s.at, s.entry) for s in states),
        host_count=in_all,
        drills=tuple(DrillView(d.host, d.at, d.verdict, d.seconds, d.summary, d.entry) for d in tried),
        settings=tuple(_settings(platform, control, known)),
        cadence=_cadence(platform, control_id),
    )


def row_as_of(platform: Platform, control_id: str, day: date) -> AsOf:
    """How the row stood at the end of `day` (UTC), read from the ledger and held against its tree.

    Raises BadInput for a day that has not come, Tampered if an entry is not what was recorded.
    """
    _control(platform, control_id)
    if day > datetime.now(UTC).date():
        raise BadInput(f"{day} has not come yet", where="as_of", todo="Give a day up to today (UTC).")
    end = datetime.combine(day, time(), UTC) + timedelta(days=1)
    looks = [look for look in rows_as_of(platform.ledger, end).looks if control_id in look.rows]
    hosts = sorted((_then(look, control_id) for look in looks), key=lambda h: (-h.fails, -h.unknowns, h.host))
    said = {host.verdict for host in hosts}
    verdict = next((v.value for v in VERDICTS if v.value in said), "unknown")
    return AsOf(day, verdict, tuple(hosts[:HOSTS_SHOWN]), len(hosts))


def _then(look: Look, control_id: str) -> HostState:
    n = look.rows[control_id]
    verdict = next((v.value for v in VERDICTS if n[v.value]), "unknown")
    at = datetime.fromisoformat(look.at)
    return HostState(look.host, verdict, n["pass"], n["fail"], n["unknown"], at, look.index)


def _by_rule(
    read: Connection, control: str, bands: Sequence[int], at_most: int = 0
) -> list[tuple[str, int, int]]:
    """(rule, band, how many) of a row's findings. What passes is most of them, so it is counted up to `at_most`:
    enough to know which rules pass anywhere, without reading a hundred thousand rows for a number nobody acts on."""
    inner = select(findings.c.rule, findings.c.pressing).where(
        findings.c.control == control, findings.c.pressing.in_(bands)
    )
    some = (inner.limit(at_most) if at_most else inner).subquery()
    query = select(some.c.rule, some.c.pressing, func.count()).group_by(some.c.rule, some.c.pressing)
    return [(rule, band, n) for rule, band, n in read.execute(query)]


def _control(platform: Platform, control_id: str) -> Control:
    found = next((c for c in platform.controls if c.id == control_id), None)
    if found is None:
        raise BadInput(f"no control is called `{control_id[:60]}`", todo=did_you_mean(control_id[:60], BY_ID))
    return found


def _rule(control: Control, rule: Any, counts: dict[str, int], exact: bool) -> RuleView:
    return RuleView(
        id=rule.id,
        says=rule.says,
        severity=rule.severity.value,
        serves=serves(control, rule.id),
        findings={v.value: counts.get(v.value, 0) for v in Verdict},
        exact=exact,
        mends=not isinstance(rule.remedy, Cannot),
        why_not=rule.remedy.why if isinstance(rule.remedy, Cannot) else "",
    )


def _settings(platform: Platform, control: Control, row: Row) -> list[Setting]:
    """The control's own policy, and the numbers of the profile that it draws on."""
    drawn = {f"numbers.{f.metadata['number']}" for f in fields(control.policy) if f.metadata.get("number")}
    return [
        one
        for one in settings_in_force(platform.config, platform.controls)
        if f"policy.{row.id}." in one.key or one.key in drawn
    ]


def _cadence(platform: Platform, control_id: str) -> dict[str, str]:
    known = platform.config.cadence(control_id)
    return {
        f.name: show_duration(value) for f in fields(known) if (value := getattr(known, f.name)) is not None
    }
