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
from wardkeep.engine.platform_facts import ask_platform

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
