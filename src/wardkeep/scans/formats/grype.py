"""Grype's own JSON (`-o json`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wardkeep.scans.model import Malformed, Report, Result, State, inner, listing, severity_of, text, texts


def matches(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("matches"), list):
        return False
    tool = value.get("descriptor")
    named = isinstance(tool, dict) and tool.get("name") == "grype"
    first = value["matches"][0] if value["matches"] else None
    return named or (isinstance(first, dict) and "vulnerability" in first and "artifact" in first)


def read(value: Any, report: Report) -> None:
    report.version = text(inner(value, "descriptor"), "version")
    report.at = text(inner(value, "descriptor"), "timestamp")
    report.target = _target(inner(value, "source"))
    report.each(value["matches"], "/matches", lambda i, p: _match(i, p, report.target, State.FAIL))
    report.each(
        value.get("ignoredMatches"),
        "/ignoredMatches",
        lambda i, p: _match(i, p, report.target, State.SKIPPED),
    )
    if not value["matches"]:
        told = "nothing reported of what was looked at"
        report.one(
            value, "/matches", lambda _, p: [Result("looked-at", told, State.PASS, p, target=report.target)]
        )


def _target(source: dict[str, Any]) -> str:
    held = source.get("target")
    if isinstance(held, dict):
        return text(held, "userInput", "imageID", "path")
    return text(source, "target", "type")


def _match(item: Any, pointer: str, target: str, state: State) -> Iterator[Result]:
    flaw, artifact = inner(item, "vulnerability"), inner(item, "artifact")
    name = text(flaw, "id")
    if not name:
        raise Malformed("a match without its vulnerability's id")
    fix = inner(flaw, "fix")
    places = listing(artifact, "locations")
    related = [one.get("id") for one in listing(item, "relatedVulnerabilities") if isinstance(one, dict)]
    rules = [text(one, "reason", "namespace") for one in listing(item, "appliedIgnoreRules") if isinstance(one, dict)]  # fmt: skip
    set_aside = f"; set aside by a rule {' '.join(rules)}".rstrip() if state is State.SKIPPED else ""
    severity = text(flaw, "severity")
    yield Result(
        name,
        text(flaw, "description") or name,
        state,
        pointer,
        severity_of(severity),
        text(flaw, "namespace") or ("grype" if severity else ""),
        ", ".join(part for part in (severity, text(fix, "state")) if part) + set_aside,
        target,
        text(places[0], "path") if places and isinstance(places[0], dict) else "",
        text(artifact, "name"),
        text(artifact, "version"),
        ", ".join(texts(fix.get("versions"))),
        (*texts([flaw.get("dataSource")]), *texts(related)),
    )
