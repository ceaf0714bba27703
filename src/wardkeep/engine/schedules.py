"""What is due when: each row's observation, drill and review, from its cadence. Silence is never clean.

A duty is done when it was done on every host: the host that waits longest decides. One that did not happen in its time
becomes the failing finding `<row>.ran_in_time` on the host `platform`, whatever the reason was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, insert, select, update

from wardkeep.core.changes import Cannot
from wardkeep.core.control import Control
from wardkeep.core.errors import BadInput
from wardkeep.core.facts import PLATFORM
from wardkeep.core.findings import Finding, Severity, Verdict
from wardkeep.core.profiles import Numbers, show_duration
from wardkeep.engine.assess import subject_of
from wardkeep.engine.platform import Platform, timestamp
from wardkeep.store.schema import drills, hosts, row_states, schedules

OBSERVE, DRILL, REVIEW = "observe", "drill", "review"
SEVERITY = {OBSERVE: Severity.HIGH, DRILL: Severity.MEDIUM, REVIEW: Severity.MEDIUM}
# Reviews are a person's act; each has its number in the profile.
REVIEWS: Mapping[str, str] = {
    "system_access": "access_review",
    "firewall_audit": "firewall_audit",
    "vm_scans": "penetration_test",
    "vulnerability_review": "vulnerability_review",
}
AHEAD = timedelta(minutes=5)  # an act this far in the future means that the clock was set back since


@dataclass(frozen=True)
class Late:
    """A host on which a duty was not done in its time. `last` is None for never."""

    host: str
    last: datetime | None
    due: datetime


@dataclass(frozen=True)
class Duty:
    """What has to happen again and again. `waiting` are the hosts that are late, the longest waiting first."""

    kind: str
    control: str
    cadence: timedelta
    last_done: datetime | None  # on the host that waits longest; None if never there
    next_due: datetime
    waiting: tuple[Late, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.control}"


def duties(platform: Platform, now: datetime | None = None) -> list[Duty]:
    """Every duty with its times, brought up to date in the table `schedules`."""
    now = now or datetime.now(UTC)
    wanted = _wanted(platform.controls, platform)
    platform_only = {control.id for control in platform.controls if subject_of(control) == {PLATFORM}}
    with platform.store.begin() as connection:
        platform.store.lock(connection, "schedules")
        known = {row.key: row for row in connection.execute(select(schedules))}
        fleet = {name: added for name, added in connection.execute(select(hosts.c.name, hosts.c.added))}
        seen = _by_control(
            connection.execute(select(row_states.c.control, row_states.c.host, row_states.c.at))
        )
        drilled = _by_control(connection.execute(select(drills.c.control, drills.c.host, drills.c.at)))
        made = []
        for (kind, control), cadence in wanted.items():
            old = known.pop(f"{kind}:{control}", None)
            created = old.created if old else now
            if kind == REVIEW:
                done = {PLATFORM: old.last_done if old else None}
                duty = _duty(kind, control, cadence, done, {PLATFORM: created}, now)
            else:
                times = (seen if kind == OBSERVE else drilled).get(control, {})
                alone = kind == DRILL and control in platform_only  # it is exercised once, whatever the fleet
                subjects = dict(fleet) if fleet and not alone else {PLATFORM: created}
                starts = {name: max(added, created) for name, added in subjects.items()}
                duty = _duty(kind, control, cadence, {name: times.get(name) for name in starts}, starts, now)
            values = {"cadence": int(cadence.total_seconds()), "next_due": duty.next_due}
            values["last_done"] = duty.last_done
            if old is None:
                row = {"key": duty.key, "kind": kind, "control": control, "created": now, **values}
                connection.execute(insert(schedules).values(**row))
            elif (old.cadence, old.next_due, old.last_done) != tuple(
                values[name] for name in ("cadence", "next_due", "last_done")
            ):
                connection.execute(update(schedules).where(schedules.c.key == duty.key).values(**values))
            made.append(duty)
        if known:
            connection.execute(delete(schedules).where(schedules.c.key.in_(list(known))))
    return made


def ran_in_time(platform: Platform, now: datetime | None = None) -> list[Finding]:
    """For each duty one finding about the platform: it was done in its time, or it was not, or the clock denies both."""
    now = now or datetime.now(UTC)
    return [_finding(duty, now) for duty in duties(platform, now)]


def due(platform: Platform, kind: str, now: datetime | None = None) -> list[Duty]:
    """The duties of a kind whose time has come, the longest waiting first."""
    now = now or datetime.now(UTC)
    return sorted(
        (duty for duty in duties(platform, now) if duty.kind == kind and duty.next_due <= now),
        key=lambda duty: duty.next_due,
    )


def attest(
    platform: Platform,
    control: str,
    *,
    says: str,
    by: str,
    now: datetime | None = None,
    more: Mapping[str, int] | None = None,
) -> int:
    """A person says that a review was done; returns the ledger's index. Raises BadInput for a row without one.

    `more` are counts of what there was to review.
    """
    now = now or datetime.now(UTC)
    said = " ".join(says.split())
    if control not in REVIEWS:
        raise BadInput(
            f"the row {control} has no review", todo=f"Rows with one: {', '.join(sorted(REVIEWS))}."
        )
    if not said:
        raise BadInput("a review needs a sentence: what was looked at, and what came of it")
    duties(platform, now)  # the duty's row exists from here on
    entry = platform.record(
        "review", by, {**(more or {}), "says": said, "done": timestamp(now)}, subject={"control": control}
    )
    key = f"{REVIEW}:{control}"
    with platform.store.begin() as connection:
        connection.execute(update(schedules).where(schedules.c.key == key).values(last_done=now))
    duties(platform, now)
    return entry


def review_number(control: str, numbers: Numbers) -> timedelta:
    """How often the row is reviewed by a person."""
    span = getattr(numbers, REVIEWS[control])
    if not isinstance(span, timedelta):
        raise TypeError(f"{REVIEWS[control]} is no duration")
    return span


def _wanted(controls: Iterable[Control], platform: Platform) -> dict[tuple[str, str], timedelta]:
    """(kind, row) → cadence. A row without rules has no duty: that it is not built is a finding already."""
    wanted: dict[tuple[str, str], timedelta] = {}
    for control in controls:
        if not control.rules:
            continue
        cadence = platform.config.cadence(control.id)
        wanted[OBSERVE, control.id] = cadence.observe
        if cadence.drill is not None and not isinstance(control.drill, Cannot):
            wanted[DRILL, control.id] = cadence.drill
        if control.id in REVIEWS:
            wanted[REVIEW, control.id] = review_number(control.id, platform.config.numbers)
    return wanted


def _duty(
    kind: str,
    control: str,
    cadence: timedelta,
    done: Mapping[str, datetime | None],
    starts: Mapping[str, datetime],
    now: datetime,
) -> Duty:
    # A person's act is due by the end of its day: who reviews at nine every morning is never late at half past nine.
    spare = day_end if kind == REVIEW else _same
    each = [Late(name, last, spare((last or starts[name]) + cadence)) for name, last in done.items()]
    each.sort(key=lambda one: (one.due, one.host))
    oldest = each[0]
    last = None if any(one.last is None for one in each) else oldest.last
    return Duty(kind, control, cadence, last, oldest.due, tuple(one for one in each if one.due < now))


def day_end(at: datetime) -> datetime:
    """The last microsecond of that day, UTC."""
    return at.astimezone(UTC).replace(hour=23, minute=59, second=59, microsecond=999_999)


def _same(at: datetime) -> datetime:
    return at


def _finding(duty: Duty, now: datetime) -> Finding:
    every = show_duration(duty.cadence)
    if duty.last_done is not None and duty.last_done > now + AHEAD:
        verdict = Verdict.UNKNOWN
        seen = f"last done at {timestamp(duty.last_done)}, which is still to come: the clock was set back"
        todo = "Set the clock of this machine right."
    elif duty.waiting:
        verdict = Verdict.FAIL
        shown = [f"{one.host} ({_last(one.last)})" for one in duty.waiting[:5]]
        more = f" and {len(duty.waiting) - 5} more" if len(duty.waiting) > 5 else ""
        seen = f"due every {every}, not done in time on {', '.join(shown)}{more}"
        todo = {
            OBSERVE: f"Run `wardkeep check {duty.control}` and see why the schedule did not.",
            DRILL: f"Run `wardkeep drill {duty.control}`.",
            REVIEW: f"Review it, then say so by `wardkeep review {duty.control}`.",
        }[duty.kind]
    else:
        verdict, todo = Verdict.PASS, ""
        seen = f"due every {every}, {'done in time' if duty.last_done else 'first due later'}"
    return Finding(
        duty.control,
        f"{duty.control}.ran_in_time",
        "Everything this row has to do regularly was done in its time.",
        PLATFORM,
        duty.kind,
        verdict,
        SEVERITY[duty.kind],
        seen,
        todo,
    )


def _last(at: datetime | None) -> str:
    return f"last {timestamp(at)}" if at else "never"


def _by_control(rows: Iterable[tuple[str, str, datetime]]) -> dict[str, dict[str, datetime]]:
    found: dict[str, dict[str, datetime]] = {}
    for control, host, at in rows:
        found.setdefault(control, {})[host] = at
    return found
