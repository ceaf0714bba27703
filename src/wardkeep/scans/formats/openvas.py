"""OpenVAS / Greenbone: the XML report and the CSV result list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wardkeep.scans.model import Malformed, Report, Result, State, clean, severity_of, severity_of_score
from wardkeep.scans.opening import Node, Table

HEADER = {"IP", "NVT Name", "NVT OID", "Severity"}


def matches(value: Any) -> bool:
    if isinstance(value, Table):
        return set(value.header) >= HEADER
    if not isinstance(value, Node):
        return False
    if value.name == "get_reports_response":
        return True
    return value.name == "report" and (
        value.find("results") is not None
        or value.find("report", "results") is not None
        or value.find("report", "gmp") is not None
    )


def read(value: Table | Node, report: Report) -> None:
    if isinstance(value, Table):
        width = len(value.header)
        for number, row in value.rows:
            held = dict(zip(value.header, row, strict=False))
            report.one((held, len(row) == width), f"row {number}", _row)
        return
    for node in value.walk("report"):
        if node.find("results") is not None or node.find("scan_end") is not None:
            report.at = clean(node.told("scan_end") or node.told("scan_start")) or report.at
            report.target = clean(node.told("task", "name")) or report.target
        for kind in ("omp", "gmp"):
            report.version = clean(node.told(kind, "version")) or report.version
    for results in value.walk("results"):
        for result in results.all("result"):
            report.one(result, result.where, _result)
    for errors in value.walk("errors"):
        for error in errors.all("error"):
            report.one(error, error.where, _error)
    if report.version:
        report.version = f"GMP {report.version}"


def _state(threat: str, score: str) -> State:
    word = threat.lower()
    if word in ("log", "debug", "none") or (not word and score in ("0", "0.0")):
        return State.INFO
    if word == "false positive":
        return State.SKIPPED
    if word in ("error", "alarm error"):
        return State.UNKNOWN
    return State.FAIL


def _result(node: Node, pointer: str) -> Iterator[Result]:
    nvt = node.find("nvt")
    name = clean(node.told("name")) or clean(node.told("nvt", "name"))
    host = node.find("host")
    if not name or host is None:
        raise Malformed("a result without its name or host")
    threat, score = clean(node.told("threat")), clean(node.told("severity"))
    refs = [clean(one.get("id")) for one in node.walk("ref")]
    refs += [word.strip() for one in node.walk("cve") for word in clean(one.text).split(",")]
    named = clean(node.told("host", "hostname"))
    address = clean(host.text)
    yield Result(
        clean(nvt.get("oid")) if nvt else name, name, _state(threat, score), pointer,
        severity_of_score(score) or severity_of(threat), "OpenVAS" if score or threat else "",
        ", ".join(part for part in (threat, score) if part), f"{address} ({named})" if named else address,
        clean(node.told("port")), references=tuple(dict.fromkeys(r for r in refs if r and r != "NOCVE"))[:50],
    )  # fmt: skip


def _error(node: Node, pointer: str) -> Iterator[Result]:
    told = clean(node.told("description")) or "the scanner reported an error"
    yield Result(
        clean(node.told("nvt", "name")) or "error", told, State.UNKNOWN, pointer, target=clean(node.told("host")),
        location=clean(node.told("port")),
    )  # fmt: skip


def _row(given: tuple[dict[str, str], bool], pointer: str) -> Iterator[Result]:
    held, is_whole = given
    if not is_whole:
        raise Malformed("the row has not as many cells as the header")
    score, threat = clean(held.get("CVSS")), clean(held["Severity"])
    port = clean(held.get("Port"))
    protocol = clean(held.get("Port Protocol"))
    named, address = clean(held.get("Hostname")), clean(held["IP"])
    if not (held["NVT Name"].strip() or held["NVT OID"].strip()):
        raise Malformed("a row without its test's name")
    references = [w.strip() for w in clean(held.get("CVEs")).split(",") if w.strip()]
    yield Result(
        clean(held["NVT OID"]) or clean(held["NVT Name"]), clean(held["NVT Name"]), _state(threat, score), pointer,
        severity_of_score(score) or severity_of(threat), "OpenVAS" if score or threat else "",
        ", ".join(part for part in (threat, score) if part), f"{address} ({named})" if named else address,
        f"{port}/{protocol}" if port else "", references=tuple(references)[:50],
    )  # fmt: skip
