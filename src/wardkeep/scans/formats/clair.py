"""Clair through its clients: clair-scanner, klar, and the report of Clair 4."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wardkeep.scans.model import Malformed, Report, Result, State, listing, mapping, severity_of, text, texts


def matches(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return (
        ("image" in value and "unapproved" in value)
        or ("LayerCount" in value and "Vulnerabilities" in value)
        or ("manifest_hash" in value and "package_vulnerabilities" in value)
    )


def read(value: Any, report: Report) -> None:
    before = report.items
    if "unapproved" in value:
        report.target = text(value, "image")
        open_ones = set(texts(listing(value, "unapproved"), 1 << 20))
        report.each(
            value.get("vulnerabilities"), "/vulnerabilities", lambda i, p: _scanner(i, p, report.target, open_ones)
        )  # fmt: skip
    elif "LayerCount" in value:
        for severity, items in mapping(value["Vulnerabilities"] or {}).items():
            report.each(items, f"/Vulnerabilities/{severity}", _klar)
    else:
        report.target = text(value, "manifest_hash")
        flaws, packages = mapping(value["vulnerabilities"] or {}), mapping(value.get("packages") or {})
        for package, ids in mapping(value["package_vulnerabilities"] or {}).items():
            about = packages.get(package) or {}
            report.each(
                ids,
                f"/package_vulnerabilities/{package}",
                lambda i, p, a=about: _four(flaws.get(str(i)), a, p, report.target),  # type: ignore[misc]
            )
    if report.items == before:
        told = "looked at, nothing reported"
        report.one(value, "", lambda _, p: [Result("looked-at", told, State.PASS, p, target=report.target)])


def _scanner(item: Any, pointer: str, target: str, open_ones: set[str]) -> Iterator[Result]:
    name = text(item, "vulnerability")
    if not name:
        raise Malformed("a vulnerability without its id")
    severity = text(item, "severity")
    approved = "" if name in open_ones else ", approved by clair-scanner's whitelist"
    yield Result(
        name, text(item, "description") or name, State.FAIL, pointer, severity_of(severity), text(item, "namespace") or "Clair",
        f"{severity}{approved}", target, "", text(item, "featurename"), text(item, "featureversion"),
        text(item, "fixedby"), texts([item.get("link")]),
    )  # fmt: skip


def _klar(item: Any, pointer: str) -> Iterator[Result]:
    name = text(item, "Name")
    if not name:
        raise Malformed("a vulnerability without its name")
    severity = text(item, "Severity")
    yield Result(
        name, text(item, "Description") or name, State.FAIL, pointer, severity_of(severity),
        text(item, "NamespaceName") or "Clair", severity, "", "", text(item, "FeatureName"), text(item, "FeatureVersion"),
        text(item, "FixedBy"), texts([item.get("Link")]),
    )  # fmt: skip


def _four(flaw: Any, package: Any, pointer: str, target: str) -> Iterator[Result]:
    if flaw is None:
        raise Malformed("names a vulnerability that the report does not hold")
    severity = text(flaw, "normalized_severity", "severity")
    yield Result(
        text(flaw, "name"), text(flaw, "description") or text(flaw, "name"), State.FAIL, pointer,
        severity_of(severity), text(flaw, "updater") or "Clair", severity, target, "", text(package, "name"),
        text(package, "version"), text(flaw, "fixed_in_version"), tuple(text(flaw, "links").split())[:20],
    )  # fmt: skip
