"""Alerts over real loopback services: once per stretch, grouped, resolved, retried, and never with a secret."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from loopback_services import MailServer, Webhook, serving
from sqlalchemy import select

from wardkeep.core.findings import Finding, Severity, Verdict
from wardkeep.engine.alerts import Round, alert, reopen, wait
from wardkeep.engine.channels import channels
from wardkeep.engine.findings import Assessment, deadlines, record
from wardkeep.engine.platform import Platform
from wardkeep.engine.waivers import note_expired, waive
from wardkeep.store.schema import deliveries

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def hook() -> Iterator[Webhook]:
    server = Webhook()
    with serving(server):
        yield server


@pytest.fixture
def mail() -> Iterator[MailServer]:
    server = MailServer()
    with serving(server):
        yield server


def told_by(platform: Platform, *urls: str, **more: object) -> Platform:
    settings = replace(platform.config.settings, alerts_urls=urls, **more)  # type: ignore[arg-type]
    return replace(platform, config=replace(platform.config, settings=settings))


def finding(
    verdict: str, subject: str = "sshd", severity: str = "high", rule: str = "firewall.default_deny"
) -> Finding:
    seen = "user jane.doe, MRN 12345, saw password=hunter2"
    return Finding(
        "firewall", rule, "Inbound is denied.", "app-1", subject, Verdict(verdict), Severity(severity), seen
    )


def look(platform: Platform, *found: Finding, at: datetime = NOW) -> None:
    seen = Assessment("app-1", at, frozenset({"firewall"}), found)
    record(platform.store, [seen], deadlines(platform.config.numbers))


def messages(hook: Webhook) -> list[str]:
    return [json.loads(body)["title"] + "\n" + json.loads(body)["message"] for body in hook.bodies]


def test_one_message_for_a_round_once_and_the_resolution_later(platform: Platform, hook: Webhook) -> None:
    told = told_by(platform, hook.url)
    look(told, finding("fail"), finding("fail", "user:x"), finding("unknown", "z", rule="firewall.named"))
    assert alert(told, NOW) == Round(3, 0, 1, 0)
    assert alert(told, NOW + HOUR) == Round(0, 0, 0, 0)
    look(told, finding("fail"), finding("pass", "user:x"), at=NOW + 2 * HOUR)
    assert alert(told, NOW + 2 * HOUR) == Round(0, 2, 1, 0)
    first, second = messages(hook)
    assert "2 failing, 1 unknown" in first
    assert (
        "▲ fails on app-1: Inbound is denied. (high, firewall.default_deny, 2 subjects, due 2026-12-22)"
        in first
    )
    assert "wardkeep findings show" in first
    assert "2 resolved" in second
    look(told, finding("fail"), finding("fail", "user:x"), at=NOW + 3 * HOUR)
    assert alert(told, NOW + 3 * HOUR).opened == 1


def test_the_text_holds_nothing_that_was_seen_and_no_address(
    platform: Platform, hook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told = told_by(platform, hook.url)
    hook.status = 500
    look(told, finding("fail", "file:/srv/john.doe"))
    alert(told, NOW)
    hook.status = 200
    alert(told, NOW + HOUR)
    (body,) = hook.bodies
    with told.store.read() as connection:
        rows = str(connection.execute(select(deliveries)).all())
    ledger = str(list(told.ledger.read()))
    for secret in ("hunter2", "jane", "MRN", "john.doe", "pa55word", "s3cret-token", "127.0.0.1"):
        assert secret not in body
        assert secret not in rows + ledger + caplog.text
    assert "s3cret" not in repr(channels(told.config.settings))


def test_mail_arrives(platform: Platform, mail: MailServer) -> None:
    told = told_by(platform, mail.url)
    look(told, finding("fail"))
    assert alert(told, NOW).delivered == 1
    (message,) = mail.messages
    assert "Subject: Wardkeep: 1 failing" in message
    assert "sec@example.test" in message


def test_what_cannot_be_delivered_is_kept_tried_later_and_on_record(
    platform: Platform, hook: Webhook, mail: MailServer
) -> None:
    told = told_by(platform, hook.url, mail.url)
    hook.status = 503
    mail.refuse = True
    look(told, finding("fail"))
    assert alert(told, NOW) == Round(1, 0, 0, 2)
    assert alert(told, NOW + timedelta(seconds=30)).undelivered == 2
    mail.refuse = False
    assert alert(told, NOW + timedelta(seconds=61)) == Round(0, 0, 1, 1)
    with told.store.read() as connection:
        row = connection.execute(select(deliveries).where(deliveries.c.delivered.is_(None))).one()
    assert (row.attempts, row.problem) == (2, "the service answered with status 503")
    hook.status = 200
    assert alert(told, NOW + HOUR) == Round(0, 0, 1, 0)
    acts = [(e["body"]["act"], e["body"].get("channel")) for e in told.ledger.read() if e["kind"] == "alert"]
    assert acts == [
        ("told", None),
        ("undelivered", "json #1"),
        ("undelivered", "mailto #1"),
        ("delivered after all", "mailto #1"),
        ("delivered after all", "json #1"),
    ]
    assert len(hook.bodies) == len(mail.messages) == 1


def test_a_dead_service_says_so(platform: Platform) -> None:
    told = told_by(platform, "json://127.0.0.1:1/x", "nonsense://x", "no url at all")
    look(told, finding("fail"))
    alert(told, NOW)
    with told.store.read() as connection:
        rows = connection.execute(select(deliveries).order_by(deliveries.c.channel)).all()
    assert [(row.channel, row.problem) for row in rows] == [
        ("json #1", "the service could not be reached"),
        ("nonsense #1", "the address is none that Apprise understands"),
        ("unreadable #1", "the address is none that Apprise understands"),
    ]


def test_a_kill_between_assessment_and_alert_loses_nothing(platform: Platform, hook: Webhook) -> None:
    told = told_by(platform, hook.url)
    look(told, finding("fail"))  # killed here: nothing but the state knows
    look(told, finding("fail"), at=NOW + HOUR)
    assert alert(told, NOW + HOUR).delivered == 1

    def die(*_: object) -> str:
        raise KeyboardInterrupt

    look(told, finding("fail"), finding("fail", "user:x"), at=NOW + 2 * HOUR)
    with pytest.raises(KeyboardInterrupt):
        alert(told, NOW + 2 * HOUR, send=die)
    assert alert(told, NOW + 2 * HOUR).delivered == 0  # still claimed by the dead one
    assert alert(told, NOW + 3 * HOUR).delivered == 1
    assert len(hook.bodies) == 2


def test_a_passed_deadline_and_a_worse_verdict_are_news(platform: Platform, hook: Webhook) -> None:
    told = told_by(platform, hook.url)
    look(told, finding("unknown", severity="critical"))
    alert(told, NOW)
    look(told, finding("fail", severity="critical"), at=NOW + DAY)
    assert alert(told, NOW + DAY).delivered == 1
    assert alert(told, NOW + 16 * DAY).delivered == 1
    assert alert(told, NOW + 17 * DAY).delivered == 0
    titles = [message.splitlines()[0] for message in messages(hook)]
    assert titles == ["Wardkeep: 1 unknown", "Wardkeep: 1 failing", "Wardkeep: 1 overdue"]


def test_a_waived_finding_is_silent_until_the_waiver_ends(platform: Platform, hook: Webhook) -> None:
    told = told_by(platform, hook.url)
    look(told, finding("fail"))
    words = {"owner": "a", "reason": "b", "compensating": "c", "by": "operator:a"}
    waive(told, finding("fail").fingerprint, **words, expires=NOW + DAY, now=NOW)
    assert alert(told, NOW) == Round(0, 0, 0, 0)
    assert alert(told, NOW + 2 * DAY).opened == 1
    waive(told, finding("fail").fingerprint, **words, expires=NOW + 4 * DAY, now=NOW + 3 * DAY)
    reopen(told, [w.fingerprint for w in note_expired(told, NOW + 5 * DAY)])
    assert alert(told, NOW + 5 * DAY).delivered == 1
    assert "is open again, its waiver expired" in messages(hook)[-1]


def test_little_things_and_promises_are_not_alerted(platform: Platform, hook: Webhook) -> None:
    told = told_by(platform, hook.url, alerts_least_severity="high")
    look(told, finding("fail", severity="medium"), finding("unknown", "promise:1", rule="firewall.not_built"))
    assert alert(told, NOW) == Round(0, 0, 0, 0)
    assert alert(told_by(platform, hook.url, alerts_least_severity="medium"), NOW).opened == 1


def test_without_channels_nothing_is_called_told(platform: Platform, hook: Webhook) -> None:
    look(platform, finding("fail"))
    assert alert(platform, NOW) == Round(1, 0, 0, 0)
    assert alert(told_by(platform, hook.url), NOW + HOUR).delivered == 1


def test_many_lines_are_cut(platform: Platform, hook: Webhook) -> None:
    told = told_by(platform, hook.url)
    look(told, *(finding("fail", rule=f"firewall.rule_{n:03}") for n in range(60)))
    alert(told, NOW)
    assert "and 20 more lines" in messages(hook)[0]


def test_waits_double_up_to_an_hour() -> None:
    assert [wait(n).total_seconds() / 60 for n in (1, 2, 3, 7, 50)] == [1, 2, 4, 60, 60]
