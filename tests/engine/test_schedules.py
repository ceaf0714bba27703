"""Silence is never clean: what did not run in its time is a finding."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select

from wardkeep.core.control import Control
from wardkeep.core.errors import BadInput
from wardkeep.core.findings import Finding, Severity, Verdict
from wardkeep.engine.clock import clock_finding, tick
from wardkeep.engine.findings import Assessment, deadlines, record
from wardkeep.engine.platform import Platform
from wardkeep.engine.schedules import attest, due, duties, ran_in_time
from wardkeep.store.schema import drills, hosts, schedules

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def small(platform: Platform) -> Platform:
    """A platform of two built rows, so that a test can name every duty."""
    built = []
    for name in ("system_access", "keys"):
        control = Control(name)
        control.rule("A sentence.", severity=Severity.LOW, serves={})(lambda: iter(()))
        control.drilled_by(lambda: iter(()))
        built.append(control)
    return replace(platform, controls=(*built, Control("backups")))


def look(platform: Platform, host: str, at: datetime, *controls: str) -> None:
    found = Assessment(host, at, frozenset(controls), ())
    record(platform.store, [found], deadlines(platform.config.numbers))


def add(platform: Platform, *names: str, at: datetime = NOW) -> None:
    with platform.store.begin() as connection:
        connection.execute(insert(hosts), [{"name": n, "url": "local:", "added": at} for n in names])


def by_subject(found: list[Finding]) -> dict[str, Finding]:
    return {f"{f.control} {f.subject}": f for f in found}


def test_every_built_row_has_its_duties_and_an_unbuilt_one_has_none(platform: Platform) -> None:
    keys = {duty.key: duty.cadence for duty in duties(small(platform), NOW)}
    assert keys == {
        "observe:system_access": DAY,
        "drill:system_access": 90 * DAY,
        "review:system_access": 90 * DAY,
        "observe:keys": DAY,
        "drill:keys": 366 * DAY,
    }


def test_a_host_that_was_not_looked_at_in_time_fails_the_row(platform: Platform) -> None:
    few = small(platform)
    add(platform, "app-1", "app-2")
    duties(few, NOW)
    look(platform, "app-1", NOW + 20 * HOUR, "system_access", "keys")
    found = by_subject(ran_in_time(few, NOW + 23 * HOUR))
    assert {f.verdict for f in found.values()} == {Verdict.PASS}
    found = by_subject(ran_in_time(few, NOW + 25 * HOUR))
    late = found["keys observe"]
    assert (late.verdict, late.host, late.severity) == (Verdict.FAIL, "platform", Severity.HIGH)
    assert "app-2 (never)" in late.seen
    assert "app-1" not in late.seen
    assert late.rule == "keys.ran_in_time"
    look(platform, "app-2", NOW + 26 * HOUR, "keys")
    found = by_subject(ran_in_time(few, NOW + 27 * HOUR))
    assert found["keys observe"].verdict is Verdict.PASS
    assert found["system_access observe"].verdict is Verdict.FAIL


def test_what_is_seen_does_not_change_with_every_look(platform: Platform) -> None:
    few = small(platform)
    add(platform, "app-1")
    duties(few, NOW)
    assert ran_in_time(few, NOW + 2 * DAY) == ran_in_time(few, NOW + 3 * DAY)


def test_a_new_host_has_its_own_time(platform: Platform) -> None:
    few = small(platform)
    add(platform, "app-1")
    duties(few, NOW)
    look(platform, "app-1", NOW + 2 * DAY, "system_access", "keys")
    add(platform, "app-2", at=NOW + 2 * DAY)
    found = by_subject(ran_in_time(few, NOW + 2 * DAY + HOUR))
    assert found["keys observe"].verdict is Verdict.PASS


def test_a_drill_is_due_by_its_least_drilled_host(platform: Platform) -> None:
    few = small(platform)
    add(platform, "app-1", "app-2")
    duties(few, NOW)
    row = {"control": "system_access", "verdict": "pass", "seconds": 1}
    with platform.store.begin() as connection:
        connection.execute(insert(drills).values(host="app-1", at=NOW + 80 * DAY, **row))
    assert [d.control for d in due(few, "drill", NOW + 91 * DAY)] == ["system_access"]
    found = by_subject(ran_in_time(few, NOW + 91 * DAY))["system_access drill"]
    assert (found.verdict, "app-2 (never)" in found.seen) == (Verdict.FAIL, True)
    with platform.store.begin() as connection:
        connection.execute(insert(drills).values(host="app-2", at=NOW + 91 * DAY, **row))
    duty = {d.key: d for d in duties(few, NOW + 92 * DAY)}["drill:system_access"]
    assert (duty.last_done, duty.next_due) == (NOW + 80 * DAY, NOW + 170 * DAY)


def test_a_review_is_a_persons_word_on_record(platform: Platform) -> None:
    few = small(platform)
    duties(few, NOW)
    later = NOW + 91 * DAY
    assert by_subject(ran_in_time(few, later))["system_access review"].verdict is Verdict.FAIL
    entry = attest(
        few, "system_access", says="All 12 accounts have an owner.", by="operator:alice", now=later
    )
    (recorded,) = few.ledger.read(entry)
    assert (recorded["kind"], recorded["actor"]) == ("review", "operator:alice")
    assert by_subject(ran_in_time(few, later))["system_access review"].verdict is Verdict.PASS
    for control, says in (("keys", "fine"), ("system_access", " ")):
        with pytest.raises(BadInput, match="review"):
            attest(few, control, says=says, by="operator:alice")


def test_a_clock_set_back_is_never_taken_for_in_time(platform: Platform) -> None:
    few = small(platform)
    add(platform, "app-1")
    duties(few, NOW)
    look(platform, "app-1", NOW + 30 * DAY, "system_access", "keys")
    found = by_subject(ran_in_time(few, NOW + HOUR))["keys observe"]
    assert found.verdict is Verdict.UNKNOWN
    assert "the clock was set back" in found.seen


def test_a_cadence_of_the_operator_is_followed_and_an_old_duty_forgotten(platform: Platform) -> None:
    few = small(platform)
    duties(few, NOW)
    only = replace(few, controls=few.controls[:1])
    duties(only, NOW)
    with platform.store.read() as connection:
        kept = set(connection.execute(select(schedules.c.control)).scalars())
    assert kept == {"system_access"}


def test_ticks_notice_a_gap_and_a_clock_set_back_once(platform: Platform) -> None:
    minute = timedelta(minutes=1)
    assert clock_finding(platform, NOW).verdict is Verdict.UNKNOWN
    assert tick(platform, NOW, expected=minute) is None
    assert tick(platform, NOW + minute, expected=minute) is None
    assert clock_finding(platform, NOW + minute).verdict is Verdict.PASS
    slept = NOW + 8 * HOUR
    noticed = tick(platform, slept, expected=minute)
    assert noticed is not None
    assert (noticed.what, noticed.before) == ("gap", NOW + minute)
    assert tick(platform, slept + minute, expected=minute) is None
    assert clock_finding(platform, slept + minute).verdict is Verdict.UNKNOWN
    assert clock_finding(platform, slept + 25 * HOUR).verdict is Verdict.PASS
    back = tick(platform, slept - 5 * HOUR, expected=minute)
    assert back is not None
    assert back.what == "set back"
    assert clock_finding(platform, slept - 5 * HOUR).verdict is Verdict.FAIL
    told = [e["body"]["noticed"] for e in platform.ledger.read() if e["kind"] == "state"]
    assert told == ["gap", "set back"]
