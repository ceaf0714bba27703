"""Telling people: what newly fails or is unknown, what passed its deadline, and what is resolved again.

Alerts are derived from the state and not from events in memory, so a kill between an assessment and its alert loses
none. There is one for each stretch of a finding; those of one round go out as one message. A message is a row in the
database until every channel took it: what cannot be delivered is tried again, later and later, and is itself shown.
The text names rules, hosts and counts, never what was seen: evidence may hold what must not travel by e-mail.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, func, insert, select, update

from wardkeep.core.findings import Severity
from wardkeep.engine.channels import Channel, channels, send
from wardkeep.engine.platform import Platform
from wardkeep.store.browse import in_force
from wardkeep.store.schema import alerts, deliveries, findings, waivers

Send = Callable[[Channel, str, str], str]
MOST_LINES = 40
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=1)
GIVEN_UP_AFTER = timedelta(days=7)
_CLAIM = timedelta(minutes=5)  # a sender that dies leaves its message to the next after this
SHAPES = {"fail": "▲", "unknown": "?", "overdue": "▲", "expired": "▲", "resolved": "●"}
WORDS = {
    "fail": "fails",
    "unknown": "is unknown",
    "overdue": "is overdue",
    "expired": "is open again, its waiver expired",
}


@dataclass(frozen=True)
class Round:
    """What one round did. `undelivered` counts messages that wait for another try."""

    opened: int
    resolved: int
    delivered: int
    undelivered: int


def alert(platform: Platform, now: datetime | None = None, *, send: Send = send) -> Round:
    """One round: notice what is new, write the message, hand over whatever waits. Safe to call from two workers."""
    now = now or datetime.now(UTC)
    opened, resolved = _notice(platform, now)
    _write(platform, now)
    delivered = _deliver(platform, now, send)
    with platform.store.read() as connection:
        waiting = connection.execute(
            select(func.count()).select_from(deliveries).where(deliveries.c.next_try.is_not(None))
        ).scalar_one()
    return Round(opened, resolved, delivered, waiting)


def reopen(platform: Platform, fingerprints: Iterable[str]) -> None:
    """Their waivers ran out: tell of these findings again."""
    wanted = list(fingerprints)
    if not wanted:
        return
    with platform.store.begin() as connection:
        connection.execute(
            update(alerts)
            .where(alerts.c.fingerprint.in_(wanted), alerts.c.resolved.is_(None))
            .values(why="expired", told=None)
        )


def _least(platform: Platform) -> list[str]:
    least = Severity(platform.config.settings.alerts_least_severity)
    return [str(severity) for severity in Severity if severity.rank <= least.rank]


def _notice(platform: Platform, now: datetime) -> tuple[int, int]:
    """Bring the table of alerts up to what the findings say. Returns how many began and how many ended."""
    f, a = findings.c, alerts.c
    same = and_(a.fingerprint == f.fingerprint, a.opened == f.failing_since)
    waived = f.fingerprint.in_(select(waivers.c.fingerprint).where(in_force(now)))
    with platform.store.begin() as connection:
        platform.store.lock(connection, "alerts")
        fresh = connection.execute(
            select(f.fingerprint, f.failing_since, f.verdict, f.control, f.host)
            .outerjoin(alerts, same)
            .where(f.pressing < 8, f.severity.in_(_least(platform)), a.fingerprint.is_(None), ~waived)
            .where(~f.rule.endswith(".not_built", autoescape=True))  # known to everybody, and no event
        ).all()
        if fresh:
            connection.execute(
                insert(alerts),
                [
                    {"fingerprint": one.fingerprint, "opened": one.failing_since, "why": one.verdict}
                    | {"control": one.control, "host": one.host}
                    for one in fresh
                ],
            )
        ended = connection.execute(
            update(alerts)
            .where(a.resolved.is_(None), ~select(f.id).where(same).exists())
            .values(resolved=now)
        ).rowcount
        # An unknown that turns out to fail, and a deadline that passes, are news about a known stretch.
        worse = select(f.id).where(same, f.verdict == "fail").exists()
        connection.execute(
            update(alerts)
            .where(a.resolved.is_(None), a.why == "unknown", worse)
            .values(why="fail", told=None)
        )
        late = select(f.id).where(same, f.due < now).exists()
        connection.execute(
            update(alerts)
            .where(a.resolved.is_(None), a.why != "overdue", late, ~a.fingerprint.in_(_held(now)))
            .values(why="overdue", told=None)
        )
        # What came and went before anybody was told needs no message.
        connection.execute(
            update(alerts)
            .where(a.resolved.is_not(None), a.told.is_(None), a.resolution_told.is_(None))
            .values(told=now, resolution_told=now)
        )
    return len(fresh), ended


def _held(now: datetime) -> Any:
    return select(waivers.c.fingerprint).where(in_force(now))


def _write(platform: Platform, now: datetime) -> None:
    """Everything untold becomes one message, queued for each channel. Without channels it stays untold."""
    ways = channels(platform.config.settings)
    if not ways:
        return
    a = alerts.c
    with platform.store.begin() as connection:
        platform.store.lock(connection, "alerts")
        untold = connection.execute(_told_about(and_(a.told.is_(None), a.resolved.is_(None)))).all()
        over = connection.execute(
            _told_about(and_(a.resolved.is_not(None), a.resolution_told.is_(None)))
        ).all()
        if not untold and not over:
            return
        title, body = compose(untold, over, platform.config.settings.console_url)
        told = {"opened": len(untold), "resolved": len(over), "channels": [way.name for way in ways]}
        platform.record("alert", "engine", {"act": "told", "title": title, **told})
        for way in ways:
            row = {"id": secrets.token_hex(16), "channel": way.name, "title": title, "body": body}
            connection.execute(insert(deliveries).values(**row, created=now, next_try=now))
        connection.execute(update(alerts).where(a.told.is_(None), a.resolved.is_(None)).values(told=now))
        connection.execute(
            update(alerts)
            .where(a.resolved.is_not(None), a.resolution_told.is_(None))
            .values(resolution_told=now)
        )


def _told_about(which: Any) -> Any:
    f, a = findings.c, alerts.c
    return (
        select(a.why, a.host, a.control, f.rule, f.says, f.severity, f.due, f.fingerprint)
        .join(findings, f.fingerprint == a.fingerprint)
        .where(which)
        .order_by(f.pressing, f.rule, f.host, f.id)
    )


def compose(untold: Iterable[Row[Any]], over: Iterable[Row[Any]], console_url: str = "") -> tuple[str, str]:
    """Title and text of one message: a line for each rule and host, the most pressing first."""
    groups: dict[tuple[str, str, str], list[Row[Any]]] = {}
    for row in untold:
        groups.setdefault((row.why, row.rule, row.host), []).append(row)
    ended: dict[tuple[str, str, str], list[Row[Any]]] = {}
    for row in over:
        ended.setdefault(("resolved", row.rule, row.host), []).append(row)
    counts = {why: sum(len(rows) for (w, *_), rows in groups.items() if w == why) for why in WORDS}
    counts["fail"] += counts.pop("expired")
    counts["resolved"] = sum(map(len, ended.values()))
    words = {"fail": "failing", "unknown": "unknown", "overdue": "overdue", "resolved": "resolved"}
    title = "Wardkeep: " + ", ".join(f"{n} {words[why]}" for why, n in counts.items() if n)
    lines = [_line(why, rows) for (why, _, _), rows in (*groups.items(), *ended.items())]
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], f"and {len(lines) - MOST_LINES} more lines: see `wardkeep findings`."]
    where = console_url.rstrip("/")
    lines += ["", f"All of them: {where}/findings" if where else "All of them: `wardkeep findings`."]
    return title, "\n".join(lines)


def _line(why: str, rows: list[Row[Any]]) -> str:
    one = rows[0]
    many = f", {len(rows)} subjects" if len(rows) > 1 else ""
    if why == "resolved":
        return f"{SHAPES[why]} resolved on {one.host}: {one.says} ({one.rule}{many})"
    due = min((row.due for row in rows if row.due is not None), default=None)
    by = f", due {due.date().isoformat()}" if due else ""
    show = f" `wardkeep findings show {one.fingerprint}`"
    return (
        f"{SHAPES[why]} {WORDS[why]} on {one.host}: {one.says} ({one.severity}, {one.rule}{many}{by}){show}"
    )


def _deliver(platform: Platform, now: datetime, send: Send) -> int:
    """Hand over what waits. A message is claimed first, so that two senders do not both send it at once."""
    d = deliveries.c
    with platform.store.begin() as connection:
        platform.store.lock(connection, "deliveries")
        waiting = connection.execute(select(deliveries).where(d.next_try <= now).order_by(d.created)).all()
        connection.execute(
            update(deliveries).where(d.id.in_([one.id for one in waiting])).values(next_try=now + _CLAIM)
        )
    return sum(not _hand_over(platform, one, now, send) for one in waiting)


def _hand_over(platform: Platform, one: Row[Any], now: datetime, send: Send) -> str:
    """Send one message that is claimed, and note what came of it: "" or the problem."""
    way = next((way for way in channels(platform.config.settings) if way.name == one.channel), None)
    problem = send(way, one.title, one.body) if way else "this channel is not in the configuration any more"
    with platform.store.begin() as connection:
        _note(platform, connection, one, problem, now, keep=way is not None)
    return problem


def _note(
    platform: Platform, connection: Connection, one: Row[Any], problem: str, now: datetime, *, keep: bool
) -> None:
    attempts = one.attempts + 1
    values: dict[str, Any] = {"attempts": attempts, "tried": now, "problem": problem, "next_try": None}
    if not problem:
        values["delivered"] = now
    elif keep and now - one.created < GIVEN_UP_AFTER:
        values["next_try"] = now + wait(attempts)
    if (problem and attempts == 1) or (not problem and one.problem):
        said = {"act": "undelivered" if problem else "delivered after all", "channel": one.channel}
        platform.record("alert", "engine", {**said, "problem": problem, "attempts": attempts})
    connection.execute(update(deliveries).where(deliveries.c.id == one.id).values(**values))


def send_test(
    platform: Platform, channel: str, actor: str, now: datetime | None = None, *, send: Send = send
) -> str:
    """A test alert over this channel, now. Returns "" when it was taken, else why not; then it is tried again like any other.

    It is a message like every other: its delivery is kept, shown by the row and counted by the metrics.
    """
    now = now or datetime.now(UTC)
    title = "Wardkeep: test alert"
    body = f"Nothing has happened: {actor} tries whether alerts arrive ({now:%Y-%m-%d %H:%M} UTC)."
    row = {"id": secrets.token_hex(16), "channel": channel, "title": title, "body": body, "created": now}
    with platform.store.begin() as connection:
        connection.execute(insert(deliveries).values(**row, next_try=now + _CLAIM))
        made = connection.execute(select(deliveries).where(deliveries.c.id == row["id"])).one()
    return _hand_over(platform, made, now, send)


def wait(attempts: int) -> timedelta:
    """Time until the next try: one minute, then twice as long each time, at most an hour."""
    return min(FIRST_WAIT * (1 << min(attempts - 1, 10)), LONGEST_WAIT)
