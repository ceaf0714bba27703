"""testssl.sh: its CSV, flat JSON (`--jsonfile`) and nested JSON (`--jsonfile-pretty`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wardkeep.scans.model import Malformed, Report, Result, State, clean, mapping, text
from wardkeep.scans.opening import Table

HEADER = ("id", "fqdn/ip", "port", "severity", "finding", "cve", "cwe")
STATES = {
    "OK": (State.PASS, ""), "INFO": (State.INFO, ""), "DEBUG": (State.INFO, ""), "LOW": (State.FAIL, "low"),
    "MEDIUM": (State.FAIL, "medium"), "HIGH": (State.FAIL, "high"), "CRITICAL": (State.FAIL, "critical"),
    "WARN": (State.UNKNOWN, ""), "FATAL": (State.UNKNOWN, ""),
}  # fmt: skip


def matches(value: Any) -> bool:
    if isinstance(value, Table):
        return value.header[:5] == HEADER[:5]
    if isinstance(value, dict):
        return "scanResult" in value and ("Invocation" in value or "openssl" in value)
    return isinstance(value, list) and bool(value) and all(_is_line(one) for one in value[:3])


def _is_line(one: Any) -> bool:
    return isinstance(one, dict) and {"id", "severity", "finding"} <= one.keys()


def read(value: Any, report: Report) -> None:
    if isinstance(value, Table):
        width = len(value.header)
        for number, row in value.rows:
            held = dict(zip(value.header, row, strict=False))
            held["ip"] = held.get("fqdn/ip", "")
            report.one(held if len(row) == width else None, f"row {number}", _line)
    elif isinstance(value, list):
        report.each(value, "", _line)
    else:
        report.version, report.at = text(value, "version"), text(value, "startTime")
        targets = value["scanResult"]
        if not isinstance(targets, list):
            report.refuse("/scanResult", "no list")
            return
        for n, target in enumerate(targets):
            _nested(target, f"/scanResult/{n}", report)
    report.target = report.target or next((result.target for result in report.results), "")


def _nested(target: Any, pointer: str, report: Report) -> None:
    if not isinstance(target, dict):
        report.refuse(pointer, "no target")
        return
    if _is_line(target):  # a problem that stopped the scan stands here itself
        report.one(target, pointer, _line)
        return
    host = {"ip": f"{text(target, 'targetHost')}/{text(target, 'ip')}", "port": text(target, "port")}
    for section, lines in target.items():
        if isinstance(lines, list):
            report.each(lines, f"{pointer}/{section}", lambda i, p: _line({**host, **mapping(i)}, p))


def _line(item: Any, pointer: str) -> Iterator[Result]:
    if item is None:
        raise Malformed("the row has not as many cells as the header")
    said = text(item, "severity")
    if said not in STATES:
        raise Malformed(f"`{said[:40]}` is no severity of testssl.sh")
    state, severity = STATES[said]
    name = text(item, "id")
    if not name:
        raise Malformed("a line without its id")
    references = (*text(item, "cve").split(), *text(item, "cwe").split())
    port = text(item, "port")
    yield Result(
        name, text(item, "finding") or name, state, pointer, severity, "testssl.sh" if severity else "", said,
        clean(item["ip"]).strip("/") if item.get("ip") else "", port, references=references,
    )  # fmt: skip
