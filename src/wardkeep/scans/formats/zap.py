"""OWASP ZAP's XML and JSON reports: each instance of each alert."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wardkeep.scans.model import Malformed, Report, Result, State, clean, listing, mapping, text
from wardkeep.scans.opening import Node

RISKS = {"3": "high", "2": "medium", "1": "low", "0": "none"}


def matches(value: Any) -> bool:
    if isinstance(value, Node):
        return value.name == "OWASPZAPReport"
    if not isinstance(value, dict) or "site" not in value:
        return False
    return "ZAP" in str(value.get("@programName", "")) or "@generated" in value


def read(value: Any, report: Report) -> None:
    if isinstance(value, Node):
        report.version, report.at = clean(value.get("version")), clean(value.get("generated"))
        for site in value.walk("site"):
            name = clean(site.get("name"))
            report.target = report.target or name
            items = list(site.walk("alertitem"))
            for item in items:
                report.one(item, item.where, lambda n, p, t=name: _alert(_as_json(n), p, t))  # type: ignore[misc]
            if not items:
                report.one(site, site.where, lambda _, p, t=name: [_nothing(p, t)])  # type: ignore[misc]
        return
    report.version, report.at = text(value, "@version"), text(value, "@generated")
    sites = value["site"]
    for n, site in enumerate(sites if isinstance(sites, list) else [sites]):
        pointer = f"/site/{n}"
        if not isinstance(site, dict):
            report.refuse(pointer, "no site")
            continue
        name = text(site, "@name")
        report.target = report.target or name
        report.each(site.get("alerts"), f"{pointer}/alerts", lambda i, p, t=name: _alert(mapping(i), p, t))  # type: ignore[misc]
        if not site.get("alerts"):
            report.one(site, pointer, lambda _, p, t=name: [_nothing(p, t)])  # type: ignore[misc]


def _nothing(pointer: str, target: str) -> Result:
    return Result(
        "looked-at", "the site was looked at, no alert was raised", State.PASS, pointer, target=target
    )


def _as_json(node: Node) -> dict[str, Any]:
    held: dict[str, Any] = {child.name: child.text for child in node.children}
    instances = node.find("instances")
    if instances:
        held["instances"] = [
            {child.name: child.text for child in one.children} for one in instances.all("instance")
        ]
    return held


def _alert(item: dict[str, Any], pointer: str, target: str) -> Iterator[Result]:
    name = text(item, "name", "alert")
    code = text(item, "riskcode")
    if not name or code not in RISKS:
        raise Malformed("an alert without its name" if name == "" else f"a risk code `{code[:20]}`")
    # Confidence 0 is what a person marked as a false positive.
    state = State.SKIPPED if text(item, "confidence") == "0" else State.INFO if code == "0" else State.FAIL
    refs = [f"CWE-{text(item, 'cweid')}"] if text(item, "cweid") not in ("", "-1", "0") else []
    instances = listing(item, "instances") if "instances" in item else [item]
    for n, one in enumerate(instances or [item]):
        where = mapping(one)
        place = " ".join(part for part in (text(where, "method"), text(where, "uri")) if part)
        parameter = text(where, "param")
        yield Result(
            text(item, "alertRef", "pluginid") or name, name, state, f"{pointer}/instances/{n}" if instances else pointer,
            RISKS[code] if state is not State.INFO else "none", "ZAP", text(item, "riskdesc"), target,
            place + (f" parameter {parameter}" if parameter else ""), references=tuple(refs),
        )  # fmt: skip
