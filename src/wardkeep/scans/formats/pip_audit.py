"""pip-audit's JSON, old (a list) and new (`dependencies`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wardkeep.scans.model import Malformed, Report, Result, State, listing, text, texts


def matches(value: Any) -> bool:
    if isinstance(value, dict):
        return isinstance(value.get("dependencies"), list) and "projectName" not in value
    return isinstance(value, list) and bool(value) and all(
        isinstance(one, dict) and "name" in one and ("vulns" in one or "skip_reason" in one) for one in value
    )  # fmt: skip


def read(value: Any, report: Report) -> None:
    items, pointer = (value["dependencies"], "/dependencies") if isinstance(value, dict) else (value, "")
    report.each(items, pointer, _dependency)
    if not items:
        report.notes.append("names no dependency: pip-audit looked at nothing")
    if isinstance(value, dict):
        report.each(value.get("fixes"), "/fixes", _fix)


def _dependency(item: Any, pointer: str) -> Iterator[Result]:
    name = text(item, "name")
    if not name:
        raise Malformed("a dependency without a name")
    version = text(item, "version")
    if reason := text(item, "skip_reason"):
        yield Result("skipped", reason, State.UNKNOWN, pointer, component=name, installed=version)
        return
    flaws = listing(item, "vulns")
    for n, flaw in enumerate(flaws):
        id_ = text(flaw, "id")
        if not id_:
            raise Malformed("a vulnerability without its id")
        yield Result(
            id_, text(flaw, "description") or id_, State.FAIL, f"{pointer}/vulns/{n}", component=name, installed=version,
            fixed=", ".join(texts(flaw.get("fix_versions"))), references=texts(flaw.get("aliases")),
        )  # fmt: skip
    if not flaws:
        yield Result(
            "looked-at", "no vulnerability known", State.PASS, pointer, component=name, installed=version
        )


def _fix(item: Any, pointer: str) -> Iterator[Result]:
    old, new = text(item, "old_version"), text(item, "new_version")
    told = f"pip-audit moved it from {old} to {new}" if new else text(item, "skip_reason") or "was not fixed"
    yield Result("fix", told, State.INFO, pointer, component=text(item, "name"), installed=new)
