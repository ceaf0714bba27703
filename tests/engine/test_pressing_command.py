"""What presses most, as `check` and `up` show it."""

from __future__ import annotations

import io
from collections.abc import Iterable

import pytest
from rich.console import Console

from wardkeep.cli.pressing import show_pressing
from wardkeep.cli.terminal import console, table
from wardkeep.core.findings import Finding, Severity, Verdict


def finding(rule: str, host: str, subject: str = "host", severity: Severity = Severity.HIGH) -> Finding:
    said = f"{rule} holds."
    return Finding(
        "row", rule, said, host, subject, Verdict.FAIL, severity, f"{subject} is wrong", "Mend it."
    )


def shown(found: list[Finding], limit: int = 6, unreached: Iterable[tuple[str, str]] = ()) -> list[str]:
    file = io.StringIO()
    show_pressing(Console(file=file, width=100, highlight=False), found, limit, unreached)
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


def test_a_host_that_could_not_be_asked_is_named_with_its_problem_before_all_else() -> None:
    gone = [(f"app-{n}", "the host key changed") for n in range(8)]
    lines = shown([finding("row.a", "h")], limit=2, unreached=gone)
    assert lines[1:4] == [
        "? app-0 could not be looked at: the host key changed",
        "? app-1 could not be looked at: the host key changed",
        "  and 6 more: wardkeep host list",
    ]
    assert "▲ row.a holds." in lines


def test_what_was_seen_is_printed_as_it_was_seen(capsys: pytest.CaptureFixture[str]) -> None:
    seen = "sshd:compression: [::1] [bold]"
    show_pressing(console(), [finding("row.a", "h", seen)])
    made = table("seen")
    made.add_row(seen)
    console().print(made)
    assert capsys.readouterr().out.count(seen) == 3
