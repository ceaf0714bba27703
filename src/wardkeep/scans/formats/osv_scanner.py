"""OSV-Scanner's JSON, versions 1 and 2."""

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
    severity_of_score,
    text,
    texts,
)


def matches(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("results"), list):
        return False
    first = value["results"][0] if value["results"] else None
    if first is None:
        return "experimental_config" in value
    return isinstance(first, dict) and "packages" in first


def read(value: Any, report: Report) -> None:
    for n, source in enumerate(value["results"]):
        pointer = f"/results/{n}"
        if not isinstance(source, dict):
            report.refuse(pointer, "no source")
            continue
        place = source.get("source")
        target = text(place, "path") if isinstance(place, dict) else ""
        report.target = report.target or target
        report.each(source.get("packages"), f"{pointer}/packages", lambda i, p, t=target: _package(i, p, t))  # type: ignore[misc]
    if not value["results"]:
        report.one(
            value,
            "/results",
            lambda _, p: [Result("looked-at", "nothing reported of what was looked at", State.PASS, p)],
        )


def _package(item: Any, pointer: str, target: str) -> Iterator[Result]:
    package = inner(item, "package")
    name, version = text(package, "name"), text(package, "version") or text(package, "commit")
    if not name and not version:
        raise Malformed("a package without a name")
    groups = {text(one, "max_severity"): texts(one.get("ids"), 1000) for one in map(mapping, listing(item, "groups"))}  # fmt: skip
    flaws = listing(item, "vulnerabilities")
    for n, raw in enumerate(flaws):
        flaw = mapping(raw)
        id_ = text(flaw, "id")
        if not id_:
            raise Malformed("a vulnerability without its id")
        word = text(inner(flaw, "database_specific"), "severity")
        score = next((score for score, ids in groups.items() if id_ in ids), "")
        severity = severity_of(word) or severity_of_score(score)
        said = ", ".join(part for part in (word, f"CVSS {score}" if score else "") if part)
        cwes = [text(one, "cweId") for one in listing(inner(flaw, "database_specific"), "cwes") if isinstance(one, dict)]  # fmt: skip
        yield Result(
            id_, text(flaw, "summary", "details") or id_, State.FAIL, f"{pointer}/vulnerabilities/{n}", severity,
            ("the advisory" if word else "osv-scanner") if severity else "", said, target, "", name, version,
            _fixed(flaw, name), texts([*listing(flaw, "aliases"), *listing(inner(flaw, "database_specific"), "cwe_ids"), *cwes]),
        )  # fmt: skip
    for n, raw in enumerate(listing(item, "license_violations")):
        yield Result(
            f"license:{raw}", f"licence {raw} is not allowed", State.FAIL, f"{pointer}/license_violations/{n}",
            target=target, component=name, installed=version,
        )  # fmt: skip
    if not flaws and not listing(item, "license_violations"):
        yield Result(
            "looked-at",
            "no vulnerability known",
            State.PASS,
            pointer,
            target=target,
            component=name,
            installed=version,
        )


def _fixed(flaw: dict[str, Any], name: str) -> str:
    found = []
    for affected in map(mapping, listing(flaw, "affected")):
        if text(inner(affected, "package"), "name") == name:
            for span in map(mapping, listing(affected, "ranges")):
                if span.get("type") != "GIT":
                    found += [text(event, "fixed") for event in map(mapping, listing(span, "events"))]
    return ", ".join(dict.fromkeys(version for version in found if version))
