"""SARIF 2.1.0 (OASIS), which Semgrep, CodeQL, Trivy, Checkov, Grype, Bandit and many more write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wardkeep.core.errors import BadInput
from wardkeep.scans.model import (
    Malformed,
    Report,
    Result,
    State,
    inner,
    listing,
    mapping,
    severity_of_score,
    text,
    texts,
)

# SARIF 2.1.0, section 3.27.9 (kind) and 3.27.10 (level).
KINDS = {
    "fail": State.FAIL, "pass": State.PASS, "open": State.UNKNOWN, "review": State.UNKNOWN,
    "notApplicable": State.SKIPPED, "informational": State.INFO,
}  # fmt: skip
LEVELS = {"error": "high", "warning": "medium", "note": "low", "none": "none"}


def matches(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("runs"), list) and (
        "sarif" in str(value.get("$schema", "")).lower() or str(value.get("version", "")).startswith(("2.", "1."))
    )  # fmt: skip


def read(value: Any, report: Report) -> None:
    version = text(value, "version")
    if not version.startswith("2."):
        raise BadInput(f"is SARIF {version}; 2.1 is read")
    for n, run in enumerate(value["runs"]):
        if not isinstance(run, dict):
            report.refuse(f"/runs/{n}", "no run")
            continue
        try:
            _run(run, f"/runs/{n}", report)
        except Malformed as e:
            report.refuse(f"/runs/{n}", str(e))
    if not value["runs"]:
        report.notes.append("holds no run")


def _run(run: dict[str, Any], pointer: str, report: Report) -> None:
    driver = inner(run, "tool", "driver")
    tool = text(driver, "name")
    report.tool = f"{tool} (SARIF)" if tool else report.tool
    report.version = text(driver, "semanticVersion", "version")
    parts = [driver, *(mapping(e) for e in listing(inner(run, "tool"), "extensions"))]
    rules = {
        text(rule, "id"): mapping(rule)
        for part in parts
        for rule in listing(part, "rules")
        if isinstance(rule, dict)
    }
    own = [rule if isinstance(rule, dict) else {} for rule in listing(driver, "rules")]
    for m, call in enumerate(listing(run, "invocations")):
        report.at = text(call, "endTimeUtc") or report.at if isinstance(call, dict) else report.at
        if isinstance(call, dict) and call.get("executionSuccessful") is False:
            told = text(call, "exitCodeDescription", "exitSignalName") or "the run did not end well"
            report.one(call, f"{pointer}/invocations/{m}", lambda _, p, t=told: [Result("run", t, State.UNKNOWN, p)])  # type: ignore[misc]  # fmt: skip
    results = run.get("results")
    if results is None:
        report.refuse(f"{pointer}/results", "the run has no results: it did not look, or did not end")
        return
    report.each(results, f"{pointer}/results", lambda i, p: _result(i, p, rules, own, tool))
    said = {result.id for result in report.results}
    for name, rule in rules.items():
        if name and name not in said:
            report.one(rule, f"{pointer} rule {name}", lambda r, p, i=name: [_silent(i, r, p)])  # type: ignore[misc]


def _silent(name: str, rule: Mapping[str, Any], pointer: str) -> Result:
    title = text(inner(rule, "shortDescription"), "text") or text(rule, "name") or name
    return Result(
        name, f"{title} (the rule was loaded and found nothing)", State.PASS, pointer, said="no result"
    )


def _result(
    item: Any, pointer: str, rules: Mapping[str, dict[str, Any]], own: list[dict[str, Any]], tool: str
) -> Iterator[Result]:
    index = mapping(item).get("ruleIndex", inner(item, "rule").get("index"))
    name = text(item, "ruleId") or text(inner(item, "rule"), "id")
    if not name and isinstance(index, int) and 0 <= index < len(own):
        name = text(own[index], "id")
    # A result may name a sub-rule of the rule that is described: `CA1000/1`.
    rule = rules.get(name) or rules.get(name.rpartition("/")[0]) or {}
    message = text(inner(item, "message"), "text", "markdown")
    if not message:
        id_ = text(inner(item, "message"), "id")
        message = text(inner(rule, "messageStrings", id_), "text") if id_ else ""
    if not name and not message:
        raise Malformed("a result without rule and message")
    kind = text(item, "kind") or "fail"
    if kind not in KINDS:
        raise Malformed(f"`{kind}` is no kind of SARIF")
    level = text(item, "level") or text(inner(rule, "defaultConfiguration"), "level") or "warning"
    score = text(inner(rule, "properties"), "security-severity") or text(
        inner(item, "properties"), "security-severity"
    )
    state = KINDS[kind]
    if any(text(one, "status") in ("", "accepted") for one in listing(item, "suppressions") if isinstance(one, dict)):  # fmt: skip
        state = State.SKIPPED
    severity = (severity_of_score(score) or LEVELS.get(level, "")) if state is not State.PASS else ""
    tags = [tag for tag in texts(inner(rule, "properties").get("tags")) if "cwe" in tag.lower()]
    title = text(inner(rule, "shortDescription"), "text")
    yield Result(
        name, message or title or name, state, pointer, severity, tool if severity else "",
        ", ".join(part for part in (level, kind, f"CVSS {score}" if score else "") if part), location=_place(item),
        references=(*texts([rule.get("helpUri")]), *tags),
    )  # fmt: skip


def _place(item: Any) -> str:
    for location in listing(item, "locations"):
        physical = inner(location, "physicalLocation")
        uri = text(inner(physical, "artifactLocation"), "uri")
        line = text(inner(physical, "region"), "startLine")
        if uri:
            return f"{uri}:{line}" if line else uri
        for logical in listing(location, "logicalLocations"):
            if made := text(logical, "fullyQualifiedName", "name"):
                return made
    return ""
