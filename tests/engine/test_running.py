"""The loop of a serving Wardkeep: looks when it is time, once for many workers, and says what did not happen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar, Self

import pytest
from sqlalchemy import insert, select, update
from tests.engine.frozen import until

from wardkeep.core.control import Control
from wardkeep.core.facts import Answer, Question, Snapshot
from wardkeep.core.findings import Seen, Severity, Verdict, passes
from wardkeep.engine.durable import Durable
from wardkeep.engine.hosts import list_hosts
from wardkeep.engine.long_looks import with_kept
from wardkeep.engine.own import own_findings
from wardkeep.engine.platform import Platform, open_platform
from wardkeep.engine.running import Running, register, soon_due
from wardkeep.engine.schedules import Duty, duties
from wardkeep.engine.start import take_this_machine
from wardkeep.store.schema import deliveries, findings, hosts


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with open_platform(tmp_path / "state", create=True) as made:
        take_this_machine(made, "operator:test")
        yield made


@pytest.fixture
def durable(platform: Platform) -> Iterator[Durable]:
    made = Durable(platform.store, platform.folder)
    register(platform, made)
    with made:
        yield made


def kinds(platform: Platform) -> list[str]:
    return [entry["kind"] for entry in platform.ledger.read()]


def wait_until_idle(durable: Durable) -> None:
    until(lambda: not durable.unfinished())


def test_a_row_is_looked_at_a_little_before_its_time_is_up() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    day = timedelta(days=1)
    duty = Duty("observe", "firewall", day, None, now + 0.2 * day)
    assert soon_due([duty], now) == []
    assert soon_due([duty], now + 0.11 * day) == [duty]


def test_what_is_due_is_looked_at_once_however_many_turns_there_are(
    platform: Platform, durable: Durable
) -> None:
    running = Running(platform, durable)
    now = datetime.now(UTC)
    due = max(duty.next_due for duty in duties(platform, now) if duty.kind == "observe")
    # Three turns before a worker has come to it: two loops of two processes look like this.
    for _ in range(3):
        running.turn(max(due, now))
    wait_until_idle(durable)
    looks = [e for e in platform.ledger.read() if e["kind"] == "observe" and e["actor"].startswith("engine:")]
    assert [entry["subject"]["host"] for entry in looks].count("platform") == 1


def test_a_duty_that_did_not_happen_is_a_failing_finding_on_record(
    platform: Platform, durable: Durable
) -> None:
    told = []
    running = Running(platform, durable, turned=told.append)
    running.turn(datetime.now(UTC))
    late = datetime.now(UTC) + timedelta(days=400)
    found = {f.rule: f for f in own_findings(platform, late)}
    assert found["firewall.ran_in_time"].verdict is Verdict.FAIL
    assert told
    assert "assess" in kinds(platform)


def test_nothing_changed_is_not_recorded_again(platform: Platform, durable: Durable) -> None:
    running = Running(platform, durable)
    now = datetime.now(UTC)
    running.turn(now)
    wait_until_idle(durable)
    running.turn(now + timedelta(seconds=5))
    wait_until_idle(durable)
    size = platform.ledger.size
    running.turn(now + timedelta(seconds=10))
    assert platform.ledger.size == size


def test_a_channel_that_fails_is_a_finding_at_the_next_turn_and_passes_when_it_takes_again(
    platform: Platform, durable: Durable
) -> None:
    settings = replace(platform.config.settings, alerts_urls=("json://127.0.0.1:1/",))
    platform.config = replace(platform.config, settings=settings)
    running, now = Running(platform, durable), datetime.now(UTC)

    def verdict(at: datetime) -> str:
        running.turn(at)
        wait_until_idle(durable)
        rule = "alerting.channels_deliver"
        with platform.store.read() as connection:
            return str(connection.execute(select(findings.c.verdict).where(findings.c.rule == rule)).scalar())

    assert verdict(now) == "unknown"
    with platform.store.begin() as connection:
        sent = {"id": "a", "channel": "json #1", "title": "t", "body": "b", "created": now, "attempts": 1}
        connection.execute(insert(deliveries).values(**sent, tried=now, problem="status 500"))
    assert verdict(now + timedelta(seconds=5)) == "fail"
    size = platform.ledger.size
    assert verdict(now + timedelta(seconds=10)) == "fail"
    assert platform.ledger.size == size  # it is said once
    with platform.store.begin() as connection:
        connection.execute(update(deliveries).values(tried=now, delivered=now, problem=""))
    assert verdict(now + timedelta(seconds=15)) == "pass"


@dataclass(frozen=True)
class Slow:
    """A long look that is quick, for this test."""

    ask: ClassVar[Question] = Question("slow", "echo seen", root=False, keep=3600)
    text: str

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        return cls(answer.text())


def test_long_looks_are_renewed_by_themselves_and_not_before_their_time(
    platform: Platform, durable: Durable
) -> None:
    made = Control("vm_scans")

    def slow_is_seen(slow: Slow) -> Iterator[Seen]:
        yield passes("host", slow.text)

    slow_is_seen.__annotations__["slow"] = Slow
    made.rule("The slow thing is seen.", severity=Severity.LOW, serves={"164.308(a)(8)": "A toy."})(
        slow_is_seen
    )
    platform.controls = (made,)
    long_ago = datetime.now(UTC) - timedelta(days=1)
    with platform.store.begin() as connection:
        connection.execute(update(hosts).values(added=long_ago))
    running = Running(platform, durable)
    now = datetime.now(UTC)
    for later in (
        0,
        1,
        20,
    ):  # two turns close together, and one after the next question whether anything is due
        running.turn(now + timedelta(minutes=later))
        wait_until_idle(durable)
    assert kinds(platform).count("scan-inside") == 1
    (host,) = list_hosts(platform)
    (seen,) = with_kept(platform, [Snapshot(host.name, now, {})], [made])
    assert seen.learn(Slow) == Slow("seen\n")
