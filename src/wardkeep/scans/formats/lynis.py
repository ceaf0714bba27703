"""Lynis's report file (`lynis-report.dat`): warnings, suggestions, and which tests were carried out or left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wardkeep.scans.model import Malformed, Report, Result, State, clean

TOLD = {
    "warning[]": (State.FAIL, "medium"),
    "suggestion[]": (State.FAIL, "low"),
    "vulnerable_package[]": (State.FAIL, "high"),
    "exception_event[]": (State.UNKNOWN, ""),
    "exception[]": (State.UNKNOWN, ""),
    "manual[]": (State.UNKNOWN, ""),
    "manual_event[]": (State.UNKNOWN, ""),
    "details[]": (State.INFO, ""),
    "weak_banner_file[]": (State.FAIL, "low"),
    "deprecated_file_permissions[]": (State.FAIL, "low"),
}


def matches(value: Any) -> bool:
    return isinstance(value, str) and (
        value.startswith("# Lynis Report") or "\nlynis_version=" in value[:20000]
    )


def read(value: str, report: Report) -> None:
    facts = 0
    told: set[str] = set()
    tests: list[tuple[str, str, int]] = []
    for number, line in enumerate(value.split("\n"), 1):
        line = line.rstrip("\r")
        if not line.strip() or line.startswith("#"):
            continue
        key, equals, rest = line.partition("=")
        where = f"line {number}: {clean(key, 40)}"
        if not equals:
            report.refuse(where, "is no `key=value`")
        elif key in TOLD:
            told.add(rest.partition("|")[0].partition(":")[0])
            report.one((key, rest), where, lambda i, p: _line(i, p, report.target))
        elif key in ("tests_executed", "tests_skipped"):
            tests += [(key, name.strip(), number) for name in rest.split("|") if name.strip()]
        else:
            facts += 1
            if key == "lynis_version":
                report.version = clean(rest)
            elif key == "hostname":
                report.target = clean(rest)
            elif key == "report_datetime_end":
                report.at = clean(rest)
            elif key == "hardening_index":
                report.notes.append(f"Lynis's hardening index is {clean(rest, 20)}")
    for key, name, number in tests:
        if key == "tests_executed" and name in told:
            continue  # what it said stands above
        report.one((key, name), f"line {number}: {key} {clean(name, 60)}", lambda i, p: _test(i, p, report.target))  # fmt: skip
    report.notes.append(f"{facts} lines describe the host and are no results")
    if not report.at:
        report.refuse("the end", "the report has no end: the scan was stopped or the file was cut")


def _line(item: tuple[str, str], pointer: str, target: str) -> Iterator[Result]:
    key, rest = item
    parts = [clean(part) for part in rest.split("|")]
    state, severity = TOLD[key]
    title = parts[1] if len(parts) > 1 and parts[1] not in ("", "-") else parts[0]
    if not title:
        raise Malformed("says nothing")
    more = " ".join(part for part in parts[2:] if part not in ("", "-"))
    kind = key.removesuffix("[]")
    # Lynis has no severities; this scale is ours, and says so.
    yield Result(
        parts[0] if len(parts) > 1 else kind, title, state, pointer, severity, "Wardkeep" if severity else "", kind,
        target, more,
    )  # fmt: skip


def _test(item: tuple[str, str], pointer: str, target: str) -> Iterator[Result]:
    key, name = item
    if key == "tests_skipped":
        yield Result(clean(name), "was left out", State.SKIPPED, pointer, said="skipped", target=target)
    else:
        told = "was carried out, and nothing was said"
        yield Result(clean(name), told, State.PASS, pointer, said="executed", target=target)
