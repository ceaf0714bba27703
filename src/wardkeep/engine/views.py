"""What people look at, as plain data: the matrix, row by row, with what holds it up. Read only."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from wardkeep.controls.matrix import ROWS, Row
from wardkeep.core.changes import Cannot
from wardkeep.core.control import Control
from wardkeep.core.findings import Verdict
from wardkeep.engine.platform import Platform
from wardkeep.store.browse import oldest_looks
from wardkeep.store.schema import drills, findings, schedules, strips, totals, waivers

STRIP_DAYS = 90


@dataclass(frozen=True)
class LastDrill:
    """The oldest of the hosts' newest drills: a row is as proven as its least proven host."""

    at: datetime
    verdict: str


@dataclass(frozen=True)
class RowView:
    """One line of the matrix. `built` is `whole`, `part` or `none`; `strip` has (day, worst verdict), oldest first."""

    number: int
    id: str
    title: str
    party: str
    routine: bool
    status: Verdict
    built: str
    overdue: bool
    waived: int
    verbs: tuple[str, ...]
    without: dict[str, str]  # verb that does not exist → why
    findings: dict[str, int]
    last_observed: datetime | None
    last_drill: LastDrill | None
    next_due: datetime | None
    strip: tuple[tuple[str, str], ...]

    @property
    def reason(self) -> str:
        """Why the status is what it is, in a few words."""
        if self.built == "none":
            return "not built"
        if self.last_observed is None:
            return "never observed"
        if self.status is Verdict.UNKNOWN and not self.findings["unknown"]:
            return "nothing was seen"
        if self.status is Verdict.UNKNOWN and self.built == "part":
            return "not all of it is looked at yet"
        return ""


def matrix(platform: Platform, now: datetime | None = None) -> list[RowView]:
    """The 25 rows in the matrix's order, as of now."""
    now = now or datetime.now(UTC)
    first_day = (now - timedelta(days=STRIP_DAYS - 1)).date().isoformat()
    with platform.store.read() as read:
        looked = read.execute(oldest_looks([control.id for control in platform.controls])).all()
        # Of open findings, not of the last look alone: what failed and is now out of sight was not seen mended.
        bands = read.execute(select(totals.c.control, totals.c.pressing, totals.c.n)).all()
        drilled = read.execute(select(drills.c.control, drills.c.at, drills.c.verdict)).all()
        due = read.execute(select(schedules.c.control, schedules.c.next_due)).all()
        days = read.execute(
            select(strips.c.control, strips.c.day, strips.c.worst)
            .where(strips.c.day >= first_day)
            .order_by(strips.c.day)
        ).all()
        waived = read.execute(
            select(findings.c.control, func.count(func.distinct(waivers.c.fingerprint)))
            .join(findings, findings.c.fingerprint == waivers.c.fingerprint)
            .where(waivers.c.revoked.is_(None), waivers.c.expires > now, findings.c.verdict != "pass")
            .group_by(findings.c.control)
        ).all()
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])  # fail, unknown, pass: the order of the bands
    for control, band, n in bands:
        sums[control][band // 4] += int(n)
    seen = {name: (sums[name][2], sums[name][0], sums[name][1], at) for name, at in looked if at}
    by_control: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for control, day, worst in days:
        by_control[control].append((day, worst))
    known_waived = {control: n for control, n in waived}
    views = []
    for row, control in zip(ROWS, platform.controls, strict=True):
        mine = sorted(((at, verdict) for name, at, verdict in drilled if name == row.id))
        soonest = min((at for name, at in due if name == row.id), default=None)
        views.append(
            _row(
                row,
                control,
                seen.get(row.id, (0, 0, 0, None)),
                LastDrill(*mine[0]) if mine else None,
                soonest,
                now,
                known_waived.get(row.id, 0),
                tuple(by_control[row.id]),
            )
        )
    return views


def _row(
    row: Row,
    control: Control,
    seen: tuple[int, int, int, datetime | None],
    drill: LastDrill | None,
    due: datetime | None,
    now: datetime,
    waived: int,
    strip: tuple[tuple[str, str], ...],
) -> RowView:
    passes, fails, unknowns, observed = seen
    status = Verdict.FAIL if fails else Verdict.UNKNOWN
    if passes and not fails and not unknowns and control.rules and not control.missing:
        status = Verdict.PASS
    return RowView(
        number=row.number,
        id=row.id,
        title=row.title,
        party=row.party,
        routine=row.routine,
        status=status,
        built="none" if not control.rules else "part" if control.missing else "whole",
        overdue=due is not None and due < now,
        waived=waived,
        verbs=control.verbs,
        without=absent(control),
        findings={"pass": passes, "fail": fails, "unknown": unknowns},
        # An assessment that had nothing to look with did not observe the row.
        last_observed=observed if control.rules else None,
        last_drill=drill,
        next_due=due,
        strip=strip,
    )


def absent(control: Control) -> dict[str, str]:
    """The verbs a control does not have, each with the reason."""
    without = {}
    if not control.rules:
        without = {verb: "not built" for verb in ("observe", "assess", "remediate", "drill")}
    elif "remediate" not in control.verbs:
        reasons = dict.fromkeys(rule.remedy.why for rule in control.rules if isinstance(rule.remedy, Cannot))
        without["remediate"] = "; ".join(reasons)
    if isinstance(control.drill, Cannot):
        without["drill"] = control.drill.why
    return without


@dataclass(frozen=True)
class Score:
    """How many of the 25 rows hold. A waived finding does not count as holding."""

    holding: int
    failing: int
    unknown: int
    overdue: int
    of: int

    def sentence(self) -> str:
        parts = [
            f"{self.holding} of {self.of} responsibilities hold",
            f"{self.failing} fail",
            f"{self.unknown} unknown",
        ]
        if self.overdue:
            parts.append(f"{self.overdue} overdue")
        return "; ".join((parts[0], ", ".join(parts[1:]))) + "."


def score(rows: list[RowView]) -> Score:
    by = [row.status for row in rows]
    return Score(
        sum(1 for row in rows if row.status is Verdict.PASS and not row.overdue),
        by.count(Verdict.FAIL),
        by.count(Verdict.UNKNOWN),
        sum(row.overdue for row in rows),
        len(rows),
    )


@dataclass(frozen=True)
class Pressing:
    """A finding that needs somebody, the most pressing first."""

    fingerprint: str
    rule: str
    says: str
    host: str
    subject: str
    verdict: str
    severity: str
    seen: str
    todo: str


def pressing(platform: Platform, limit: int = 5000) -> list[Pressing]:
    """The failing findings that press most, waived ones left out (they are no news)."""
    now = datetime.now(UTC)
    f = findings.c
    waived = select(waivers.c.fingerprint).where(waivers.c.revoked.is_(None), waivers.c.expires > now)
    wanted = (
        select(f.fingerprint, f.rule, f.says, f.host, f.subject, f.verdict, f.severity, f.seen, f.todo)
        .where(f.pressing < 4, f.fingerprint.not_in(waived))
        .order_by(f.pressing, f.due, f.id)
        .limit(limit)
    )
    with platform.store.read() as read:
        return [Pressing(*row) for row in read.execute(wanted).all()]
