"""Nuclei's JSON (`-json-export`) and JSON lines (`-jsonl`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wardkeep.scans.model import Malformed, Report, Result, State, inner, severity_of, text, texts


def matches(value: Any) -> bool:
    first = value[0] if isinstance(value, list) and value else value
    return (
        isinstance(first, dict)
        and "info" in first
        and ("template-id" in first or "templateID" in first or "template" in first)
    )


def read(value: Any, report: Report) -> None:
    report.each(value if isinstance(value, list) else [value], "", _match)
    report.target = next((result.target for result in report.results), "")


def _match(item: Any, pointer: str) -> Iterator[Result]:
    name, info = text(item, "template-id", "templateID", "template"), inner(item, "info")
    if not name:
        raise Malformed("a match without its template")
    said = text(info, "severity")
    severity = severity_of(said)
    # A template that only recognises a technology is no flaw; one of unknown severity may be.
    state = State.INFO if severity == "none" else State.FAIL
    if item.get("matcher-status") is False:
        state = State.PASS
    about = inner(info, "classification")
    matcher = text(item, "matcher-name", "matcher_name")
    yield Result(
        name, text(info, "name") + (f" ({matcher})" if matcher else ""), state, pointer,
        severity if state is not State.PASS else "", "the template" if severity else "", said,
        text(item, "host", "ip"), text(item, "matched-at", "matched"),
        references=(*texts(about.get("cve-id")), *texts(about.get("cwe-id")), *texts(info.get("reference")))[:20],
    )  # fmt: skip
