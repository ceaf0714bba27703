"""Nikto's JSON, XML and CSV. Nikto gives no severities, and what it lists is what it thinks worth a look."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wardkeep.scans.model import Malformed, Report, Result, State, clean, mapping, text
from wardkeep.scans.opening import Node, Table

COLUMNS = ("host", "ip", "port", "id", "method", "uri", "msg")


def matches(value: Any) -> bool:
    if isinstance(value, Table):
        return value.header[0].startswith("Nikto")
    if isinstance(value, Node):
        return value.name == "niktoscan" or (value.name == "niktoscans")
    first = value[0] if isinstance(value, list) and value else value
    return isinstance(first, dict) and "banner" in first and "vulnerabilities" in first and "host" in first


def read(value: Any, report: Report) -> None:
    if isinstance(value, Node):
        _read_xml(value, report)
    elif isinstance(value, Table):
        report.version = value.header[0].partition("v")[2]
        for number, row in value.rows:
            report.one(row, f"row {number}", _row)
    else:
        for n, host in enumerate(value if isinstance(value, list) else [value]):
            pointer = f"/{n}" if isinstance(value, list) else ""
            if not isinstance(host, dict):
                report.refuse(pointer, "no host")
                continue
            target = _target(text(host, "host"), text(host, "ip"), text(host, "port"))
            report.target = report.target or target
            report.each(host.get("vulnerabilities"), f"{pointer}/vulnerabilities", lambda i, p, t=target: _item(i, p, t))  # type: ignore[misc]  # fmt: skip
            if not host.get("vulnerabilities"):
                report.one(host, pointer, lambda _, p, t=target: [_nothing(p, t)])  # type: ignore[misc]


def _target(host: str, address: str, port: str) -> str:
    return f"{host or address}{':' + port if port else ''}" + (f" ({address})" if address and address != host else "")  # fmt: skip


def _nothing(pointer: str, target: str) -> Result:
    return Result("looked-at", "nothing was listed", State.PASS, pointer, target=target)


def _item(item: Any, pointer: str, target: str) -> Iterator[Result]:
    told = text(item, "msg")
    if not told:
        raise Malformed("an item that says nothing")
    osvdb = text(item, "OSVDB")
    refs = text(item, "references").split()
    yield Result(
        text(item, "id") or "item", told, State.FAIL, pointer, target=target,
        location=" ".join(part for part in (text(item, "method"), text(item, "url", "uri")) if part),
        references=(*(f"OSVDB-{osvdb}",) * (osvdb not in ("", "0")), *refs)[:20],
    )  # fmt: skip


def _read_xml(root: Node, report: Report) -> None:
    scans = [node for node in root.walk("scandetails")]
    for scan in root.walk("niktoscan"):
        report.version = clean(scan.get("version")) or report.version
        report.at = clean(scan.get("scanend")) or report.at
    for scan in scans:
        target = _target(clean(scan.get("targethostname")), clean(scan.get("targetip")), clean(scan.get("targetport")))  # fmt: skip
        report.target = report.target or target
        items = scan.all("item")
        for item in items:
            held = {"id": item.get("id"), "OSVDB": item.get("osvdbid"), "method": item.get("method"), "msg": item.told("description"), "url": item.told("uri"), "references": item.told("references")}  # fmt: skip
            report.one(held, item.where, lambda i, p, t=target: _item(mapping(i), p, t))  # type: ignore[misc]
        if not items:
            report.one(scan, scan.where, lambda _, p, t=target: [_nothing(p, t)])  # type: ignore[misc]
    if not scans:
        report.refuse(root.where, "names no host that was looked at")


def _row(row: tuple[str, ...], pointer: str) -> Iterator[Result]:
    if len(row) != len(COLUMNS):
        raise Malformed("the row has not Nikto's seven cells")
    held = dict(zip(COLUMNS, map(clean, row), strict=True))
    target = _target(held["host"], held["ip"], held["port"])
    if not held["id"]:  # the first line of a host tells its banner
        told = held["msg"] or "the host was looked at"
        yield Result("banner", told, State.INFO, pointer, target=target)
        return
    yield from _item(held, pointer, target)
