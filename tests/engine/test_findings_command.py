"""`wardkeep findings` as a person uses it, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wardkeep.cli.check import brief_lines
from wardkeep.cli.findings import read_until
from wardkeep.core.errors import BadInput
from wardkeep.core.findings import Finding, Severity, Verdict
from wardkeep.engine.cycle import check
from wardkeep.engine.platform import open_platform
from wardkeep.engine.start import take_this_machine

SOURCE = str(Path(__file__).parents[2] / "src")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("state") / "state"
    with open_platform(made, create=True) as platform:
        take_this_machine(platform, "operator:test")
        check(platform, "operator:test")
    return made


def wardkeep(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wardkeep", *words, "--state", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": SOURCE},
    )


def test_the_matrix_as_json_is_a_list_of_25_with_what_programs_rely_on(folder: Path) -> None:
    ran = wardkeep(folder, "controls", "--json")
    rows = json.loads(ran.stdout)
    assert len(rows) == 25
    promised = {
        "profile",
        "id",
        "title",
        "party",
        "status",
        "verbs",
        "last_observed",
        "last_drill",
        "findings",
    }
    assert all(promised <= row.keys() for row in rows)
    assert all(set(row["findings"]) == {"pass", "fail", "unknown"} for row in rows)
    statuses = {row["status"] for row in rows}
    assert ran.returncode == (1 if "fail" in statuses else 3)


def test_a_waiver_is_seen_and_does_not_make_the_row_hold(folder: Path) -> None:
    listed = json.loads(wardkeep(folder, "findings", "--json").stdout)["findings"]
    one = listed[0]
    refused = wardkeep(folder, "findings", "waive", one["fingerprint"], "--owner", "a", "--reason", "b",
                       "--compensating", "c", "--until", "2001-01-01")  # fmt: skip
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    given = wardkeep(folder, "findings", "waive", one["fingerprint"], "--owner", "alice", "--reason", "vendor",
                     "--compensating", "vpn", "--until", "30 d", "--json")  # fmt: skip
    assert given.returncode == 0
    shown = json.loads(wardkeep(folder, "findings", "show", one["fingerprint"], "--json").stdout)
    assert shown["finding"]["waived_until"]
    assert [waiver["owner"] for waiver in shown["waivers"]] == ["alice"]
    row = next(
        r for r in json.loads(wardkeep(folder, "status", "--json").stdout) if r["id"] == one["control"]
    )
    assert row["waived"] == 1
    assert row["status"] == "fail" if one["verdict"] == "fail" else "unknown"
    waiver = json.loads(given.stdout)["id"]
    ended = wardkeep(folder, "findings", "revoke", waiver, "--reason", "the fix is out", "--json")
    assert (json.loads(ended.stdout)["id"], ended.returncode) == (waiver, 0)


def test_up_tells_the_matrix_as_one_line_of_json(folder: Path) -> None:
    ran = wardkeep(folder, "up", "--once", "--json")
    (line,) = ran.stdout.splitlines()
    told = json.loads(line)
    assert (told["state"], told["new_host"], told["unreached"]) == (str(folder), "", {})
    assert told["rows"] == json.loads(wardkeep(folder, "status", "--json").stdout)
    assert ran.returncode == (1 if "fail" in {row["status"] for row in told["rows"]} else 3)


@pytest.mark.parametrize(
    "words",
    [
        ("findings", "--verdict", "maybe"),
        ("findings", "--after", "nowhere"),
        ("findings", "show", "zz"),
        ("findings", "revoke", "zz", "--reason", "x"),
        ("check", "firewal"),
        ("status", "--bogus"),
    ],
)
def test_wrong_use_is_status_2_and_no_traceback(folder: Path, words: tuple[str, ...]) -> None:
    ran = wardkeep(folder, *words)
    assert ran.returncode == 2
    assert ran.stderr
    assert "Traceback" not in ran.stderr


def test_check_names_the_nearest_word(folder: Path) -> None:
    assert "Did you mean `firewall`" in wardkeep(folder, "check", "firewal").stderr


def test_until_is_a_date_or_a_span() -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert read_until("2026-12-01", now) == datetime(2026, 12, 1, 23, 59, 59, tzinfo=UTC)
    assert read_until("30 d", now) == now + timedelta(days=30)
    with pytest.raises(BadInput, match="neither a date nor a span"):
        read_until("soon", now)


def test_pages_follow_each_other_until_nothing_is_left(folder: Path) -> None:
    whole = json.loads(wardkeep(folder, "findings", "--json", "--limit", "500").stdout)
    assert whole["more"] is False
    assert whole["count"] == len(whole["findings"])
    assert {one["verdict"] for one in whole["findings"]} <= {"fail", "unknown"}
    first = json.loads(wardkeep(folder, "findings", "--json", "--limit", "5").stdout)
    rest = json.loads(
        wardkeep(folder, "findings", "--json", "--limit", "500", "--after", first["after"]).stdout
    )
    assert (first["more"], rest["more"]) == (True, False)
    assert [one["fingerprint"] for one in (*first["findings"], *rest["findings"])] == [
        one["fingerprint"] for one in whole["findings"]
    ]


def test_a_proposed_rule_is_labelled_wherever_its_numbers_count(folder: Path) -> None:
    (folder / "wardkeep.toml").write_text('profile = "hipaa-proposed-2025"\n')
    try:
        for words in (("status",), ("findings",), ("settings",), ("check", "app_access")):
            assert "not law" in wardkeep(folder, *words).stdout, words
        for words in (("status", "--json"), ("findings", "--json"), ("check", "app_access", "--json")):
            assert "not law" in wardkeep(folder, *words).stdout, words
    finally:
        (folder / "wardkeep.toml").write_text("")


def test_the_future_is_not_told(folder: Path) -> None:
    ran = wardkeep(folder, "status", "--as-of", "2999-01-01")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "has not come yet" in ran.stderr


def test_check_in_brief_has_a_line_for_each_rule_that_does_not_pass(folder: Path) -> None:
    ran = wardkeep(folder, "check", "system_access", "firewall", "--brief")
    *lines, counts = ran.stdout.splitlines()
    assert ran.returncode in (1, 3)
    told = json.loads(wardkeep(folder, "check", "system_access", "firewall", "--json").stdout)
    found = [f for host in told["hosts"] for f in host["findings"]]
    named = {(f["verdict"], f["rule"]) for f in found if f["verdict"] != "pass"}
    assert {tuple(line.split()[:2]) for line in lines} == named
    assert named
    rules = {(f["host"], f["rule"]) for f in found}
    assert sum(int(n) for n in counts.split() if n.isdigit()) == len(rules)


def test_check_in_brief_counts_a_rule_by_its_worst_subject() -> None:
    def found(rule: str, subject: str, verdict: Verdict) -> Finding:
        return Finding("firewall", rule, "Says.", "app-1", subject, verdict, Severity.HIGH, "seen")

    lines = brief_lines(
        [
            found("firewall.b", "eth1", Verdict.UNKNOWN),
            found("firewall.b", "eth2", Verdict.FAIL),
            found("firewall.b", "eth0", Verdict.FAIL),
            found("firewall.a", "eth0", Verdict.PASS),
        ]
    )
    assert lines == [
        "fail     firewall.b on app-1: eth0, eth2",
        "unknown  firewall.b on app-1: eth1",
        "rules: 1 fail, 0 unknown, 1 pass",
    ]


@pytest.mark.parametrize(
    ("option", "typed", "said"),
    [("--control", "firewal", "Did you mean `firewall`?"), ("--host", "ap-1", "no host is called `ap-1`")],
)
def test_a_mistyped_filter_is_no_host_or_row_of_which_nothing_is_wrong(
    folder: Path, option: str, typed: str, said: str
) -> None:
    ran = wardkeep(folder, "findings", option, typed, "--json")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_a_row_and_a_host_without_open_findings_are_listed_as_such(folder: Path) -> None:
    # `platform` is a subject like a host; no word of any finding is this one.
    ran = wardkeep(folder, "findings", "--host", "platform", "--search", "zzzz", "--json")
    assert (ran.returncode, json.loads(ran.stdout)["count"]) == (0, 0), ran.stderr
