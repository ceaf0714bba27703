"""Trivy's JSON: images, file systems, repositories and clusters, of every schema since the first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wardkeep.scans.model import (
    Malformed,
    Report,
    Result,
    State,
    inner,
    listing,
    mapping,
    severity_of,
    text,
    texts,
)

FOUND = ("Vulnerabilities", "Misconfigurations", "Secrets", "Licenses", "CustomResources", "Findings")


def matches(value: Any) -> bool:
    if isinstance(value, dict):
        clusters = "ClusterName" in value and ("Resources" in value or "Vulnerabilities" in value)
        return ("ArtifactName" in value and "SchemaVersion" in value) or clusters or "Findings" in value
    return isinstance(value, list) and bool(value) and all(_is_old(one) for one in value)


def _is_old(one: Any) -> bool:
    return isinstance(one, dict) and "Target" in one and ("Type" in one or "Vulnerabilities" in one)


def read(value: Any, report: Report) -> None:
    if value is None:
        report.notes.append("the report is `null`: Trivy before 0.20 wrote that when it had found nothing")
        return
    if isinstance(value, list):
        _results(value, "", report, "")
        return
    report.version = text(inner(value, "Trivy"), "Version")
    report.target = text(value, "ArtifactName", "ClusterName")
    report.at = text(value, "CreatedAt")
    if "Results" in value or "ArtifactName" in value:
        _results(value.get("Results"), "/Results", report, report.target)
    for key in ("Resources", "Vulnerabilities", "Misconfigurations", "Findings"):
        if "ClusterName" in value or key == "Findings":
            for n, resource in enumerate(listing(value, key)):
                _resource(resource, f"/{key}/{n}", report)


def _resource(resource: Any, pointer: str, report: Report) -> None:
    if not isinstance(resource, dict):
        report.refuse(pointer, "no resource")
        return
    name = "/".join(part for part in (text(resource, k) for k in ("Namespace", "Kind", "Name")) if part)
    if error := text(resource, "Error"):
        report.one(resource, pointer, lambda _, p: [Result("error", error, State.UNKNOWN, p, target=name)])
    if not resource.get("Results"):
        empty = Result("resource", "nothing was reported", State.INFO, pointer, target=name)
        if not error:
            report.one(resource, pointer, lambda _, p: [empty])
        return
    _results(resource.get("Results"), f"{pointer}/Results", report, name)


def _results(results: Any, pointer: str, report: Report, owner: str) -> None:
    if results is not None and not isinstance(results, list):
        report.refuse(pointer, "the results are no list")
        return
    for n, one in enumerate(results or []):
        where = f"{pointer}/{n}"
        if not isinstance(one, dict):
            report.refuse(where, "no result")
            continue
        target = text(one, "Target") or owner
        if owner and owner not in target and "ArtifactName" not in one:
            target = f"{owner}: {target}" if report.target != owner else target
        _one(one, where, report, target)


def _one(one: dict[str, Any], where: str, report: Report, target: str) -> None:
    before = report.items
    readers = {
        "Vulnerabilities": _vulnerability,
        "Misconfigurations": _misconfiguration,
        "Secrets": _secret,
        "Licenses": _licence,
        "ExperimentalModifiedFindings": _modified,
        "ModifiedFindings": _modified,
        "CustomResources": _custom,
    }
    for key, reader in readers.items():
        report.each(one.get(key), f"{where}/{key}", lambda i, p, r=reader: r(i, p, target))  # type: ignore[misc]
    for key, held in one.items():
        if isinstance(held, list) and key not in readers and key != "Packages":
            report.refuse(f"{where}/{key}", "a list that this reader does not know")
    summary = one.get("MisconfSummary")
    if isinstance(summary, dict) and isinstance(summary.get("Successes"), int) and summary["Successes"] > 0:
        told = f"{summary['Successes']} checks passed; the report counts them and does not list them"
        report.one(
            one,
            f"{where}/MisconfSummary",
            lambda _, p: [Result("passed-checks", told, State.PASS, p, target=target)],
        )
    if report.items == before and not (text(one, "Target") or text(one, "Class") or text(one, "Type")):
        report.refuse(where, "does not say what was looked at")
    elif report.items == before:
        kind = " ".join(part for part in (text(one, "Class"), text(one, "Type")) if part)
        told = f"looked at ({kind or 'no class named'}), nothing reported"
        report.one(one, where, lambda _, p: [Result("looked-at", told, State.PASS, p, target=target)])


def _vulnerability(item: Any, pointer: str, target: str) -> Iterator[Result]:
    name = text(item, "VulnerabilityID")
    if not name:
        raise Malformed("a vulnerability without its id")
    status = text(item, "Status")
    path = text(item, "PkgPath")
    yield Result(
        name,
        text(item, "Title", "Description") or name,
        State.PASS if status == "not_affected" else State.FAIL,
        pointer,
        severity_of(item.get("Severity")),
        text(item, "SeveritySource") or ("trivy" if item.get("Severity") else ""),
        ", ".join(part for part in (text(item, "Severity"), status) if part),
        target,
        path,
        text(item, "PkgName"),
        text(item, "InstalledVersion"),
        text(item, "FixedVersion"),
        (*texts([item.get("PrimaryURL")]), *texts(item.get("CweIDs")), *texts(item.get("VendorIDs"))),
    )


def _misconfiguration(item: Any, pointer: str, target: str) -> Iterator[Result]:
    status = text(item, "Status")
    states = {"FAIL": State.FAIL, "PASS": State.PASS, "EXCEPTION": State.SKIPPED}
    if status not in states:
        raise Malformed(f"a misconfiguration's status `{status}`")
    cause = inner(item, "CauseMetadata")
    line = text(cause, "StartLine")
    yield Result(
        text(item, "ID", "AVDID") or "misconfiguration",
        text(item, "Title") or text(item, "Message"),
        states[status],
        pointer,
        severity_of(item.get("Severity")),
        "trivy",
        ", ".join(part for part in (text(item, "Severity"), status) if part),
        target,
        text(item, "Message") + (f" (line {line})" if line else ""),
        text(cause, "Resource"),
        references=texts([item.get("PrimaryURL"), item.get("AVDID")]),
    )


def _secret(item: Any, pointer: str, target: str) -> Iterator[Result]:
    # `Match` and `Code` hold the secret or a part of it: they never leave the file.
    line = text(item, "StartLine")
    name = text(item, "RuleID") or "secret"
    place = f"line {line}" if line else ""
    severity = severity_of(mapping(item).get("Severity"))
    yield Result(
        name, text(item, "Title") or name, State.FAIL, pointer, severity, "trivy",
        text(item, "Severity"), target, place, text(item, "Category"),
    )  # fmt: skip


def _licence(item: Any, pointer: str, target: str) -> Iterator[Result]:
    name = text(item, "Name")
    if not name:
        raise Malformed("a licence without its name")
    severity = severity_of(item.get("Severity"))
    fails = severity in ("critical", "high", "medium") or not severity
    category = text(item, "Category")
    yield Result(
        f"license:{name}", f"{name}, category {category or 'not told'}", State.FAIL if fails else State.INFO,
        pointer, severity, "trivy", text(item, "Severity"), target, text(item, "FilePath"), text(item, "PkgName"),
        references=texts([item.get("Link")]),
    )  # fmt: skip


def _modified(item: Any, pointer: str, target: str) -> Iterator[Result]:
    finding = inner(item, "Finding")
    name = text(finding, "VulnerabilityID", "ID", "RuleID", "Name")
    if not name:
        raise Malformed("a finding that was set aside, without its id")
    said = ", ".join(part for part in (text(item, "Status"), text(item, "Statement")) if part)
    yield Result(
        name, text(finding, "Title") or name, State.SKIPPED, pointer, severity_of(finding.get("Severity")),
        text(finding, "SeveritySource"), f"set aside: {said}", target, "", text(finding, "PkgName"),
        text(finding, "InstalledVersion"), text(finding, "FixedVersion"),
    )  # fmt: skip


def _custom(item: Any, pointer: str, target: str) -> Iterator[Result]:
    kind = text(item, "Type") or "custom"
    yield Result(
        kind,
        f"a custom resource: {kind}",
        State.INFO,
        pointer,
        target=target,
        location=text(item, "FilePath"),
    )
