"""The platform's own row of alerts, from real deliveries: to a loopback service, to a dead one, to none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from loopback_services import Webhook, serving

from wardkeep.controls import control
from wardkeep.core.facts import PLATFORM
from wardkeep.core.findings import Finding, Severity, Verdict
from wardkeep.engine.alerts import alert
from wardkeep.engine.assess import assess, questions
from wardkeep.engine.findings import Assessment, deadlines, record
from wardkeep.engine.platform import Platform
from wardkeep.engine.platform_drills import drill_platform, drills_of
from wardkeep.engine.platform_facts import ask_platform
from wardkeep.engine.schedules import duties
from wardkeep.fleet import Host

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def told_by(platform: Platform, *urls: str) -> Platform:
    settings = replace(platform.config.settings, alerts_urls=urls)
    return replace(platform, config=replace(platform.config, settings=settings))


def fail_something(platform: Platform) -> None:
    found = Finding(
        "firewall", "firewall.x", "It is so.", "app-1", "s", Verdict.FAIL, Severity.HIGH, "no", "mend it"
    )
    seen = Assessment("app-1", NOW, frozenset({"firewall"}), (found,))
    record(platform.store, [seen], deadlines(platform.config.numbers))


def verdicts(platform: Platform, at: datetime = NOW) -> dict[str, str]:
    made = control("alerting")
    found = assess(
        made, ask_platform(platform, questions([made], PLATFORM), at), platform.config.policy(made, PLATFORM)
    )
    return {f"{f.rule.partition('.')[2]} {f.subject}": str(f.verdict) for f in found}


def test_without_an_address_nothing_passes_for_alerting(platform: Platform) -> None:
    assert verdicts(platform) == {
        "channel_exists alerts": "fail",
        "channels_deliver alerts": "fail",
        "nothing_waits alerts": "pass",
    }


def test_a_channel_is_proven_by_what_arrived_and_the_proof_ages(platform: Platform) -> None:
    hook = Webhook()
    with serving(hook):
        told = told_by(platform, hook.url)
        assert verdicts(told)["channels_deliver channel:json #1"] == "unknown"
        fail_something(told)
        assert alert(told, NOW).delivered == 1
        assert verdicts(told)["channels_deliver channel:json #1"] == "pass"
        assert verdicts(told, NOW + timedelta(days=8))["channels_deliver channel:json #1"] == "unknown"


def test_a_dead_service_fails_and_what_waits_is_counted(platform: Platform) -> None:
    told = told_by(platform, "json://127.0.0.1:9/x")
    fail_something(told)
    assert alert(told, NOW).undelivered == 1
    found = verdicts(told)
    assert (found["channels_deliver channel:json #1"], found["nothing_waits alerts"]) == ("fail", "fail")


def test_a_test_alert_goes_out_on_demand_and_its_delivery_is_on_record(platform: Platform) -> None:
    hook, alerting = Webhook(), control("alerting")
    with serving(hook):
        told = told_by(platform, hook.url)
        done = drill_platform(told, alerting, "operator:jane")
        assert (done.verdict, done.host) == ("pass", "platform")
        assert [(s.step, s.verdict) for s in done.steps] == [("A test alert is taken by json #1", "pass")]
        (body,) = hook.bodies
        assert "operator:jane tries whether alerts arrive" in body
        assert alert(told, datetime.now(UTC)).delivered == 0  # once
    entry = next(told.ledger.read(done.entry or 0))
    assert (entry["kind"], entry["actor"]) == ("drill", "operator:jane")
    assert entry["subject"] == {"host": "platform", "control": "alerting"}
    assert "s3cret" not in str(entry)
    assert verdicts(told, datetime.now(UTC))["channels_deliver channel:json #1"] == "pass"
    (duty,) = [duty for duty in duties(told) if duty.key == "drill:alerting"]
    assert duty.last_done is not None


def test_a_test_alert_that_is_not_taken_fails_and_is_tried_again(platform: Platform) -> None:
    hook = Webhook()
    hook.status = 500
    with serving(hook):
        told = told_by(platform, hook.url)
        done = drill_platform(told, control("alerting"), "operator:jane")
        assert (done.verdict, done.steps[0].seen) == ("fail", "the service answered with status 500")
        assert verdicts(told, datetime.now(UTC))["nothing_waits alerts"] == "fail"
        hook.status = 200
        assert alert(told, datetime.now(UTC) + timedelta(minutes=2)).delivered == 1
        assert verdicts(told, datetime.now(UTC))["nothing_waits alerts"] == "pass"


def test_without_a_channel_the_drill_proves_nothing(platform: Platform) -> None:
    done = drill_platform(platform, control("alerting"), "operator:jane")
    assert (done.verdict, done.summary) == ("unknown", "the drill had no step to try")


def test_the_platforms_own_drills_happen_once_and_only_when_meant(platform: Platform) -> None:
    two = [Host("a", "local:"), Host("b", "local:")]
    rows = [control("alerting"), control("system_access")]
    told = [(row.id, host and host.name) for row, host in drills_of(rows, two, platform=True)]
    assert told == [("alerting", None), ("system_access", "a"), ("system_access", "b")]
    assert [row.id for row, _ in drills_of(rows, two[:1], platform=False)] == ["system_access"]
