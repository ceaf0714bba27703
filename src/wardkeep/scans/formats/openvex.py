"""OpenVEX documents: each statement with each of its products."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wardkeep.scans.model import Malformed, Report, Result, State, clean, listing, text, texts

STATES = {
    "affected": State.FAIL, "not_affected": State.PASS, "fixed": State.PASS, "under_investigation": State.UNKNOWN
}  # fmt: skip


def matches(value: Any) -> bool:
    return isinstance(value, dict) and "statements" in value and "openvex" in str(value.get("@context", ""))


def read(value: Any, report: Report) -> None:
    report.version = text(value, "@context").rpartition("/")[2]
    report.target, report.at = text(value, "@id"), text(value, "timestamp")
    report.each(value["statements"], "/statements", lambda i, p: _statement(i, p, text(value, "author")))
    if not report.items:
        report.one(
            value, "/statements", lambda _, p: [Result("document", "holds no statement", State.INFO, p)]
        )


def _statement(item: Any, pointer: str, author: str) -> Iterator[Result]:
    flaw = item["vulnerability"]
    names = [flaw] if isinstance(flaw, str) else [flaw.get("name") or flaw.get("@id"), *listing(flaw, "aliases")]  # fmt: skip
    names = [name for name in map(clean, names) if name]
    status = text(item, "status")
    if status not in STATES or not names:
        raise Malformed(
            f"`{status}` is no status of OpenVEX" if names else "a statement about no vulnerability"
        )
    why = text(item, "justification") or text(item, "action_statement")
    more = text(item, "impact_statement") or text(item, "status_notes")
    told = ": ".join(part for part in (status, why, more) if part)
    products = listing(item, "products") or [""]
    for number, product in enumerate(products):
        name = clean(product) if isinstance(product, str) else text(product, "@id")
        parts = texts([clean(sub) if isinstance(sub, str) else text(sub, "@id") for sub in (listing(product, "subcomponents") if isinstance(product, dict) else [])])  # fmt: skip
        yield Result(
            names[0], told, STATES[status], f"{pointer}/products/{number}", said=f"{status}, by {author or 'nobody named'}",
            target=name, component=", ".join(parts) or name, references=tuple(names[1:]),
        )  # fmt: skip
