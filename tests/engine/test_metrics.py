"""What Prometheus is told agrees with the state, and names nobody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert

from wardkeep.core.findings import Finding, Severity, Verdict
from wardkeep.engine.findings import Assessment, deadlines, record
from wardkeep.engine.index import catch_up
from wardkeep.engine.metrics import render_metrics
from wardkeep.engine.platform import Platform
from wardkeep.store.schema import hosts

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def told(platform: Platform, now: datetime) -> dict[tuple[str, ...], float]:
    samples = {}
    for family in text_string_to_metric_families(render_metrics(platform, now).decode()):
        for sample in family.samples:
            samples[(sample.name, *(v for _, v in sorted(sample.labels.items())))] = sample.value
    return samples


def test_an_empty_platform_has_metrics_too(platform: Platform) -> None:
    samples = told(platform, NOW)
    assert samples["wardkeep_ledger_entries",] == 0
    assert samples["wardkeep_hosts", "never"] == 0
    assert ("wardkeep_oldest_observation_seconds",) not in samples


def test_counts_agree_with_the_state(platform: Platform) -> None:
    found = [
        Finding("keys", "keys.x", "X.", "app-1", f"user:jane{n}", verdict, Severity.HIGH, "hunter2")
        for n, verdict in enumerate((Verdict.FAIL, Verdict.FAIL, Verdict.UNKNOWN, Verdict.PASS))
    ]
    given = Assessment("app-1", NOW, frozenset({"keys"}), found)
    record(platform.store, [given], deadlines(platform.config.numbers))
    with platform.store.begin() as connection:
        connection.execute(
            insert(hosts),
            [
                {"name": "app-1", "url": "local:", "added": NOW, "last_observed": NOW, "last_problem": ""},
                {
                    "name": "app-2",
                    "url": "local:",
                    "added": NOW,
                    "last_observed": NOW,
                    "last_problem": "gone",
                },
            ],
        )
    platform.record("state", "engine", {})
    samples = told(platform, NOW + timedelta(days=31))
    assert samples["wardkeep_findings", "high", "fail"] == 2
    assert samples["wardkeep_row_findings", "keys", "unknown"] == 1
    assert samples["wardkeep_findings_overdue",] == 3
    assert samples["wardkeep_hosts", "answered"] == samples["wardkeep_hosts", "problem"] == 1
    assert samples["wardkeep_oldest_observation_seconds",] == 31 * 86400
    assert samples["wardkeep_index_behind_entries",] == 1
    catch_up(platform)
    assert told(platform, NOW)["wardkeep_index_behind_entries",] == 0
    text = render_metrics(platform, NOW)
    assert b"jane" not in text
    assert b"hunter2" not in text
