"""Semgrep's own JSON (`--json`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wardkeep.scans.model import Malformed, Report, Result, State, inner, listing, severity_of, text, texts

LEVELS = {"ERROR": "high", "WARNING": "medium", "INFO": "low", "INVENTORY": "none", "EXPERIMENT": "none"}


def matches(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("results"), list) or "errors" not in value:
        return False
    first = value["results"][0] if value["results"] else None
    return (isinstance(first, dict) and "check_id" in first) or (first is None and "paths" in value)


def read(value: Any, report: Report) -> None:
    report.version = text(value, "version")
    report.each(value["results"], "/results", _result)
    report.each(value.get("errors"), "/errors", _error)
    paths = inner(value, "paths")
    scanned = listing(paths, "scanned")
    hit = {result.location.rpartition(":")[0] for result in report.results}
    for n, path in enumerate(scanned):
        if path not in hit:
            report.one(path, f"/paths/scanned/{n}", lambda i, p: [Result("looked-at", "nothing reported in this file", State.PASS, p, location=str(i))])  # fmt: skip
    report.each(
        paths.get("skipped"),
        "/paths/skipped",
        lambda i, p: [
            Result("skipped", text(i, "reason") or "skipped", State.SKIPPED, p, location=text(i, "path"))
        ],
    )


def _result(item: Any, pointer: str) -> Iterator[Result]:
    name, extra = text(item, "check_id"), inner(item, "extra")
    if not name:
        raise Malformed("a result without its check")
    said = text(extra, "severity")
    metadata = inner(extra, "metadata")
    ignored = extra.get("is_ignored") is True
    severity = LEVELS.get(said.upper(), severity_of(said))
    yield Result(
        name, text(extra, "message") or name, State.SKIPPED if ignored else State.FAIL, pointer, severity,
        "semgrep" if severity else "", said + (", ignored in the code" if ignored else ""),
        location=f"{text(item, 'path')}:{text(inner(item, 'start'), 'line')}",
        references=(*texts(metadata.get("cwe")), *texts(metadata.get("owasp")), *texts(metadata.get("source"))),
    )  # fmt: skip


def _error(item: Any, pointer: str) -> Iterator[Result]:
    told = text(item, "message", "long_msg", "short_msg") or "an error"
    yield Result(text(item, "type") or "error", told, State.UNKNOWN, pointer, said=text(item, "level"), location=text(item, "path"))  # fmt: skip
