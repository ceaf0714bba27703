"""What presses most, as `check` and `up` show it."""

from __future__ import annotations

import io

from rich.console import Console

from wardkeep.cli.pressing import show_pressing
from wardkeep.core.findings import Finding, Severity, Verdict


def finding(rule: str, host: str, subject: str = "host", severity: Severity = Severity.HIGH) -> Finding:
    said = f"{rule} holds."
    return Finding(
        "row", rule, said, host, subject, Verdict.FAIL, severity, f"{subject} is wrong", "Mend it."
    )


def shown(found: list[Finding], limit: int = 6) -> list[str]:
    file = io.StringIO()
    show_pressing(Console(file=file, width=100, highlight=False), found, limit)
    return file.getvalue().splitlines()


def test_a_rule_that_fails_on_many_hosts_takes_one_paragraph() -> None:
    lines = shown([finding("row.a", f"host-{n:02}") for n in range(40)] + [finding("row.b", "host-07")])
    assert [line for line in lines if line.startswith("▲")] == ["▲ row.a holds.", "▲ row.b holds."]
    assert lines[4:7] == [f"  Fails on host-0{n}, host: host is wrong" for n in range(3)]
    assert "  and 37 more on 37 hosts" in lines
    assert lines.count("  Mend it.") == 2


def test_many_subjects_of_one_host_are_said_to_be_there() -> None:
    lines = shown([finding("row.a", "app-1", f"user:u{n}") for n in range(5)])
    assert "  and 2 more there" in lines


def test_the_most_severe_come_first_and_what_is_left_out_is_counted() -> None:
    found = [finding("row.a", "h"), finding("row.z", "h", severity=Severity.CRITICAL), finding("row.b", "h")]
    lines = shown(found, limit=2)
    assert [line for line in lines if line.startswith("▲")] == ["▲ row.z holds.", "▲ row.a holds."]
    assert lines[-1] == "  and 1 more rules: wardkeep findings"
