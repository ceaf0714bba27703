"""XCCDF results of OpenSCAP and others (`--results`), and ARF files that carry them (`--results-arf`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wardkeep.core.errors import BadInput
from wardkeep.scans.model import Malformed, Report, Result, State, clean, severity_of
from wardkeep.scans.opening import Node

STATES = {
    "pass": State.PASS, "fixed": State.PASS, "fail": State.FAIL, "error": State.UNKNOWN, "unknown": State.UNKNOWN,
    "notapplicable": State.SKIPPED, "notchecked": State.SKIPPED, "notselected": State.SKIPPED,
    "informational": State.INFO,
}  # fmt: skip


def matches(root: Any) -> bool:
    return isinstance(root, Node) and root.name in (
        "Benchmark",
        "TestResult",
        "asset-report-collection",
        "data-stream-collection",
    )


def read(root: Node, report: Report) -> None:
    tests = [root] if root.name == "TestResult" else list(root.walk("TestResult"))
    if not tests:
        raise BadInput(
            "is a checklist, and holds no result of a scan", todo="Import the file that `--results` writes."
        )
    rules = {rule.get("id"): rule for rule in root.walk("Rule")}
    for test in tests:
        system = test.get("test-system")
        name, _, version = system.rpartition(":")
        if "openscap" in name:
            report.tool, report.version = "OpenSCAP", clean(version)
        elif system:
            report.tool = clean(system)
        report.at = clean(test.get("end-time") or test.get("start-time"))
        report.target = target = clean(test.told("target"))
        for result in test.all("rule-result"):
            report.one(result, result.where, lambda n, p, t=target: _result(n, p, t, rules))  # type: ignore[misc]


def _result(node: Node, pointer: str, target: str, rules: Mapping[str, Node]) -> Iterator[Result]:
    name = node.get("idref")
    said = node.told("result")
    if said not in STATES:
        raise Malformed(f"`{clean(said)}` is no result of XCCDF")
    rule = rules.get(name)
    told = rule.told("title") if rule else ""
    severity = node.get("severity") or (rule.get("severity") if rule else "")
    idents = tuple(dict.fromkeys(clean(one.text) for one in (*node.all("ident"), *(rule.all("ident") if rule else ()))))  # fmt: skip
    instance = ", ".join(clean(one.text) for one in node.all("instance"))
    yield Result(
        clean(name), clean(told) or clean(name), STATES[said], pointer, severity_of(severity),
        "the benchmark" if severity_of(severity) else "", said + (f", {clean(severity)}" if severity else ""),
        target, instance, references=idents[:50],
    )  # fmt: skip
