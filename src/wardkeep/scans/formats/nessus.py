"""Nessus: the `.nessus` XML (version 2) and the CSV export."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wardkeep.scans.model import Malformed, Report, Result, State, clean, severity_of
from wardkeep.scans.opening import Node, Table

HEADER = {"Plugin ID", "Risk", "Host", "Name"}
LEVELS = {"0": "none", "1": "low", "2": "medium", "3": "high", "4": "critical"}
COMPLIANCE = {"PASSED": State.PASS, "FAILED": State.FAIL, "WARNING": State.UNKNOWN, "ERROR": State.UNKNOWN, "SKIPPED": State.SKIPPED}  # fmt: skip


def matches(value: Any) -> bool:
    if isinstance(value, Table):
        return set(value.header) >= HEADER or {"Plugin ID", "Risk Factor", "Plugin Name"} <= set(value.header)
    return isinstance(value, Node) and value.name == "NessusClientData_v2"


def read(value: Table | Node, report: Report) -> None:
    if isinstance(value, Table):
        for number, row in value.rows:
            held = dict(zip(value.header, row, strict=False))
            report.one((held, len(row) == len(value.header)), f"row {number}", _row)
        return
    for run in value.walk("Report"):
        report.target = report.target or clean(run.get("name"))
    for host in value.walk("ReportHost"):
        tags = {tag.get("name"): clean(tag.text) for tag in host.walk("tag")}
        name, address = clean(host.get("name")), tags.get("host-ip", "")
        report.at = tags.get("HOST_END", "") or report.at
        shown = f"{name} ({address})" if address and address != name else name
        items = host.all("ReportItem")
        for item in items:
            report.one(item, item.where, lambda n, p, t=shown: _item(n, p, t))  # type: ignore[misc]
        if not items:
            report.one(host, host.where, lambda _, p, t=shown: [Result("host", "nothing is reported", State.INFO, p, target=t)])  # type: ignore[misc]  # fmt: skip


def _item(item: Node, pointer: str, target: str) -> Iterator[Result]:
    name, level = clean(item.get("pluginID")), item.get("severity")
    if not name or level not in LEVELS:
        raise Malformed(
            "an item without its plugin's number" if not name else f"a severity `{clean(level)[:20]}`"
        )
    verdict = clean(item.told("compliance-result"))
    if verdict:
        if verdict not in COMPLIANCE:
            raise Malformed(f"`{verdict[:40]}` is no result of a compliance check")
        title = clean(item.told("compliance-check-name")) or clean(item.get("pluginName"))
        yield Result(
            clean(item.told("compliance-check-id")) or title, title, COMPLIANCE[verdict], pointer,
            LEVELS[level] if verdict == "FAILED" and level != "0" else "", "Nessus", verdict, target,
            references=tuple(clean(item.told("compliance-reference")).split(","))[:50],
        )  # fmt: skip
        return
    port = item.get("port")
    refs = [clean(one.text) for key in ("cve", "cwe", "xref") for one in item.all(key)]
    score = clean(
        item.told("cvss3_base_score") or item.told("cvssV4_base_score") or item.told("cvss_base_score")
    )
    yield Result(
        name, clean(item.get("pluginName")), State.INFO if level == "0" else State.FAIL, pointer, LEVELS[level], "Nessus",
        ", ".join(part for part in (clean(item.told("risk_factor")), f"CVSS {score}" if score else "") if part), target,
        f"{port}/{item.get('protocol')}" if port not in ("", "0") else "", clean(item.get("svc_name")),
        fixed=clean(item.told("solution")), references=tuple(dict.fromkeys(refs))[:50],
    )  # fmt: skip


def _row(given: tuple[dict[str, str], bool], pointer: str) -> Iterator[Result]:
    held, is_whole = given
    if not is_whole:
        raise Malformed("the row has not as many cells as the header")
    risk = clean(held.get("Risk") or held.get("Risk Factor") or held.get("Severity"))
    severity = severity_of(risk)
    name = clean(held["Plugin ID"])
    if not name or not severity:
        raise Malformed("a row without its plugin's number" if not name else f"a risk `{risk[:20]}`")
    port = clean(held.get("Port"))
    yield Result(
        name, clean(held.get("Name") or held.get("Plugin Name")), State.INFO if severity == "none" else State.FAIL,
        pointer, severity, "Nessus", risk, clean(held.get("Host") or held.get("IP Address")),
        f"{port}/{clean(held.get('Protocol'))}" if port not in ("", "0") else "", fixed=clean(held.get("Solution")),
        references=tuple(w for w in clean(held.get("CVE")).replace(",", " ").split() if w)[:50],
    )  # fmt: skip
