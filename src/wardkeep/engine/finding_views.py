"""Findings as people read them: a page of a list, one with its history and waivers. Read only, every answer by index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select

from wardkeep.controls.matrix import BY_ID
from wardkeep.core.control import Control
from wardkeep.core.errors import BadInput
from wardkeep.core.facts import PLATFORM
from wardkeep.core.findings import Citation, Severity, Verdict
from wardkeep.core.profiles import did_you_mean
from wardkeep.engine.finding_history import Change, history_of
from wardkeep.engine.platform import Platform
from wardkeep.engine.waivers import Waiver, list_waivers
from wardkeep.store import browse
from wardkeep.store.schema import findings, hosts, tallies, waivers

PAGE = 50
STATES = ("open", "waived", "overdue", "gone", "all")


@dataclass(frozen=True)
class FindingView:
    """One finding, now. `due` is the deadline by severity, `waived_until` the end of a waiver in force."""

    fingerprint: str
    control: str
    title: str  # of the control
    rule: str
    says: str
    host: str
    subject: str
    verdict: str
    severity: str
    seen: str
    todo: str
    since: str
    first_seen: datetime
    last_seen: datetime | None
    failing_since: datetime | None
    due: datetime | None
    overdue: bool
    gone: bool
    waived_until: datetime | None
    entry: int | None


@dataclass(frozen=True)
class Filters:
    """What a person may ask for, as it stands in the address. Empty means any; `state` is one of STATES."""

    verdict: str = ""
    severity: str = ""
    control: str = ""
    host: str = ""
    rule: str = ""
    q: str = ""
    state: str = ""


@dataclass(frozen=True)
class FindingPage:
    """`count` findings match (`more` than that when counting stopped); `after` is the next page's place, "" at the end."""

    findings: tuple[FindingView, ...]
    count: int
    more: bool
    after: str


@dataclass(frozen=True)
class FindingDetail:
    """A finding with everything that is known about it."""

    finding: FindingView
    serves: tuple[Citation, ...]
    history: tuple[Change, ...]
    waivers: tuple[Waiver, ...]


def list_findings(
    platform: Platform, filters: Filters, *, after: str = "", limit: int = PAGE, now: datetime | None = None
) -> FindingPage:
    """A page of findings, what needs somebody first. Raises BadInput for a filter or a place that is none."""
    now, wanted = now or datetime.now(UTC), _wanted(filters)
    _check_control(filters)
    with platform.store.read() as read:
        listing = browse.Listing(read, wanted, now)
        page = listing.page(after=after, limit=max(1, min(limit, 500)))
        count = listing.count()
        if not page.rows:
            _check_rule(read, platform, filters)
            _check_host(read, filters)
        accepted = _waived(read, [row.fingerprint for row in page.rows], now)
    shown = tuple(_view(row, now, accepted.get(row.fingerprint)) for row in page.rows)
    return FindingPage(shown, count.n, count.more, page.after)


def find_finding(platform: Platform, fingerprint: str, now: datetime | None = None) -> FindingDetail | None:
    """One finding, gone or not; None when there never was one of this fingerprint."""
    now = now or datetime.now(UTC)
    with platform.store.read() as read:
        row = browse.one(read, fingerprint[:16])
        if row is None:
            return None
        history = history_of(read, row)
    told = tuple(list_waivers(platform, now, fingerprint=row.fingerprint))
    until = max((w.expires for w in told if w.state == "in force"), default=None)
    control = next((c for c in platform.controls if c.id == row.control), None)
    return FindingDetail(
        finding=_view(row, now, until),
        serves=serves(control, row.rule),
        history=history,
        waivers=told,
    )


def serves(control: Control | None, rule: str) -> tuple[Citation, ...]:
    """What the rule serves, with the kind of each paragraph as the row cites it."""
    found = next((r for r in control.rules if r.id == rule), None) if control else None
    if control is None or found is None:
        return ()
    row = BY_ID[control.id]
    kinds = {c.paragraph: c.kind for c in row.citations}
    return tuple(Citation(c.paragraph, c.kind or kinds.get(c.paragraph, ""), c.because) for c in found.serves)


def _wanted(filters: Filters) -> browse.Wanted:
    state = filters.state or "all"
    if state not in STATES:
        raise BadInput(
            f"{state[:40]!r} is no state of a finding", where="state", todo=f"Use {', '.join(STATES)}."
        )
    verdicts = _words(filters.verdict, Verdict, "verdict")
    if state in ("open", "waived", "overdue") and not verdicts:
        verdicts = frozenset({Verdict.FAIL, Verdict.UNKNOWN})
    return browse.Wanted(
        verdicts=verdicts,
        severities=_words(filters.severity, Severity, "severity"),
        control=filters.control,
        host=filters.host,
        rule=filters.rule,
        words=filters.q[:200],
        waived={"open": False, "waived": True}.get(state),
        overdue=True if state == "overdue" else None,
        gone=state == "gone",
    )


# A mistyped name must not look like a host, row or rule of which nothing is wrong.
def _check_control(filters: Filters) -> None:
    if filters.control and filters.control not in BY_ID:
        raise _unknown("control", filters.control, BY_ID)


def _check_rule(read: Connection, platform: Platform, filters: Filters) -> None:
    """Raises BadInput unless there is such a rule, of a row or of the engine's own about it, or has been and left findings."""
    name = filters.rule
    row, _, last = name.partition(".")
    rules = {rule.id for control in platform.controls for rule in control.rules}
    if not name or name in rules or (row in BY_ID and last in ("not_built", "ran_in_time")):
        return
    told = select(findings.c.id).where(findings.c.control == row, findings.c.rule == name)
    if read.execute(told.limit(1)).first() is None:
        raise _unknown("rule", name, rules)


def _check_host(read: Connection, filters: Filters) -> None:
    """Raises BadInput unless a host of that name is there, or has been and left findings."""
    known = {
        PLATFORM,
        *read.execute(select(hosts.c.name)).scalars(),
        *read.execute(select(tallies.c.host).distinct()).scalars(),
    }
    if filters.host and filters.host not in known:
        raise _unknown("host", filters.host, known)


def _unknown(kind: str, name: str, known: Iterable[str]) -> BadInput:
    return BadInput(f"no {kind} is called `{name[:80]}`", where=kind, todo=did_you_mean(name, known))


def _words(text: str, kind: type[Verdict] | type[Severity], name: str) -> frozenset[Any]:
    """`fail,unknown` as members of the enumeration."""
    try:
        return frozenset(kind(word.strip()) for word in text.split(",") if word.strip())
    except ValueError:
        valid = ", ".join(kind)
        raise BadInput(f"{text[:40]!r} is no {name}", where=name, todo=f"Use {valid}.") from None


def _waived(read: Connection, fingerprints: list[str], now: datetime) -> Mapping[str, datetime]:
    query = select(waivers.c.fingerprint, waivers.c.expires).where(
        waivers.c.fingerprint.in_(fingerprints), browse.in_force(now)
    )
    return {row.fingerprint: row.expires for row in read.execute(query)}


def _view(row: Any, now: datetime, waived_until: datetime | None) -> FindingView:
    known = BY_ID.get(row.control)
    return FindingView(
        fingerprint=row.fingerprint,
        control=row.control,
        title=known.title if known else row.control,
        rule=row.rule,
        says=row.says,
        host=row.host,
        subject=row.subject,
        verdict=row.verdict,
        severity=row.severity,
        seen=row.seen,
        todo=row.todo,
        since=row.since,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        failing_since=row.failing_since,
        due=row.due,
        overdue=row.due is not None and row.due < now and row.gone_at is None and row.verdict != "pass",
        gone=row.gone_at is not None,
        waived_until=waived_until,
        entry=row.entry,
    )
