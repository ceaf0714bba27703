"""The platform answers about itself in the same shape as a host, and says when it cannot."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime

from wardkeep.core.facts import PLATFORM, Question
from wardkeep.core.findings import Finding, Severity, Verdict
from wardkeep.engine.alert_loop import AlertLoop
from wardkeep.engine.alerts import alert
from wardkeep.engine.channels import Channel
from wardkeep.engine.findings import Assessment, deadlines, record
from wardkeep.engine.platform import Platform
from wardkeep.engine.platform_facts import ANSWERS, ask_platform

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
QUESTIONS = [Question(name, "", subject=PLATFORM) for name in (*ANSWERS, "platform-dreams")]


def told_by(platform: Platform, *urls: str) -> Platform:
    settings = replace(platform.config.settings, alerts_urls=urls)
    return replace(platform, config=replace(platform.config, settings=settings))


def fail_once(platform: Platform) -> None:
    found = Finding("keys", "keys.x", "X.", "app-1", "x", Verdict.FAIL, Severity.HIGH, "x")
    record(
        platform.store,
        [Assessment("app-1", NOW, frozenset({"keys"}), [found])],
        deadlines(platform.config.numbers),
    )


def test_every_question_is_answered_as_json(platform: Platform) -> None:
    platform.record("state", "engine", {})
    snapshot = ask_platform(platform, QUESTIONS, NOW)
    assert (snapshot.subject, snapshot.problem) == (PLATFORM, "")
    told = {name: json.loads(snapshot.answers[name].stdout) for name in ANSWERS}
    assert told["platform-alerts"] == {"channels": [], "undelivered": 0}
    assert told["platform-ledger"]["size"] == 1
    assert all(duty["late_on"] == [] for duty in told["platform-schedules"]["duties"])
    strange = snapshot.answers["platform-dreams"]
    assert (strange.whole, strange.problem) == (False, "the platform does not know this question")


def test_a_failing_channel_is_told_and_its_recovery(platform: Platform) -> None:
    told = told_by(platform, "json://u:secret@127.0.0.1:1/token", "mailto://x@127.0.0.1:1")
    fail_once(told)
    answers = iter(["no", ""])
    alert(told, NOW, send=lambda *_: next(answers))
    stdout = ask_platform(told, QUESTIONS, NOW).answers["platform-alerts"].stdout
    assert b"secret" not in stdout
    assert b"token" not in stdout
    one, two = json.loads(stdout)["channels"]
    assert sorted([one["problem"], two["problem"]]) == ["", "no"]
    at = "2026-11-22T10:00:00.000Z"
    assert {one["last_try"], two["last_try"]} == {at}
    assert {one["last_ok"], two["last_ok"]} == {None, at}
    assert json.loads(stdout)["undelivered"] == 1


def test_the_loop_goes_on_after_a_failed_round(platform: Platform) -> None:
    told = told_by(platform, "json://127.0.0.1:1/x")
    fail_once(told)
    sent = threading.Event()
    calls: list[Channel] = []

    def send(channel: Channel, title: str, body: str) -> str:
        calls.append(channel)
        if len(calls) == 1:
            fail_more(told)
            raise ValueError("a defect")
        sent.set()
        return ""

    loop = AlertLoop(told, pause=0.02, send=send)
    loop.start()
    try:
        assert sent.wait(120)
    finally:
        loop.stop()
    assert len(calls) == 2


def fail_more(platform: Platform) -> None:
    found = Finding("keys", "keys.y", "Y.", "app-2", "y", Verdict.FAIL, Severity.HIGH, "y")
    record(
        platform.store,
        [Assessment("app-2", NOW, frozenset({"keys"}), [found])],
        deadlines(platform.config.numbers),
    )
