"""CSAF 2.0 and 2.1 advisories and VEX documents: each vulnerability with each product it speaks of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wardkeep.core.errors import BadInput
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

STATUS = {
    "known_affected": State.FAIL, "first_affected": State.FAIL, "last_affected": State.FAIL,
    "known_not_affected": State.PASS, "fixed": State.PASS, "first_fixed": State.PASS,
    "under_investigation": State.UNKNOWN, "recommended": State.INFO, "unknown": State.UNKNOWN,
}  # fmt: skip


def matches(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("document"), dict)
        and "csaf_version" in value["document"]
    )


def read(value: Any, report: Report) -> None:
    document = value["document"]
    version = text(document, "csaf_version")
    if version not in ("2.0", "2.1"):
        raise BadInput(f"is CSAF {version}; 2.0 and 2.1 are read")
    report.version, report.target = (
        version,
        text(inner(document, "tracking"), "id") or text(document, "title"),
    )
    report.at = text(inner(document, "tracking"), "current_release_date")
    products: dict[str, str] = {}
    _products(value.get("product_tree") or {}, products)
    found = value.get("vulnerabilities")
    report.each(found, "/vulnerabilities", lambda i, p: _flaw(i, p, products, report.target))
    if not found:
        told = f"an advisory of {text(document, 'category') or 'no category'} that names no vulnerability"
        report.one(
            document,
            "/document",
            lambda _, p: [Result(report.target, told, State.INFO, p, target=report.target)],
        )


def _products(tree: Any, found: dict[str, str], depth: int = 0) -> None:
    if not isinstance(tree, dict) or depth > 100:
        return
    named = [tree.get("product"), tree.get("full_product_name"), *listing(tree, "full_product_names")]
    for product in named:
        if isinstance(product, dict):
            found[text(product, "product_id")] = text(product, "name")
    for key in ("branches", "relationships"):
        for branch in listing(tree, key):
            _products(branch, found, depth + 1)


def _flaw(item: Any, pointer: str, products: dict[str, str], advisory: str) -> Iterator[Result]:
    others = [text(one, "text") for one in listing(item, "ids") if isinstance(one, dict)]
    name = text(item, "cve") or next(iter(others), "")
    if not name:
        raise Malformed("a vulnerability without an id")
    title = text(item, "title") or next(
        (text(one, "text") for one in listing(item, "notes") if isinstance(one, dict)), name
    )
    references = tuple(dict.fromkeys([*others, *texts([one.get("url") for one in listing(item, "references") if isinstance(one, dict)])]))  # fmt: skip
    status = inner(item, "product_status")
    if not any(status.values()):
        yield Result(
            name, f"{title} (no product's state is told)", State.UNKNOWN, pointer, target=advisory, references=references
        )  # fmt: skip
        return
    for word, ids in status.items():
        if word not in STATUS:
            raise Malformed(f"`{word}` is no state of CSAF")
        for id_ in texts(ids, 100_000):
            severity, by, said = _severity(item, id_)
            fails = STATUS[word] is State.FAIL
            yield Result(
                name, title, STATUS[word], f"{pointer}/product_status/{word}", severity if fails else "",
                by if fails else "", f"{word}{', ' + said if said else ''}", advisory, "", products.get(id_, id_),
                fixed=_fix(item, id_), references=references,
            )  # fmt: skip


def _severity(item: Any, product: str) -> tuple[str, str, str]:
    """Severity, whose, and the words: from the score that names the product (2.0 `scores`, 2.1 `metrics`)."""
    for score in (*listing(item, "scores"), *listing(item, "metrics")):
        held = mapping(score)
        if product not in texts(held.get("products"), 100_000):
            continue
        content = inner(held, "content") or held
        for key in ("cvss_v4", "cvss_v3", "cvss_v2"):
            if cvss := inner(content, key):
                made = severity_of(cvss.get("baseSeverity")) or severity_of_score(cvss.get("baseScore"))
                return made, "the advisory's publisher", f"CVSS {text(cvss, 'baseScore')}"
    return "", "", ""


def _fix(item: Any, product: str) -> str:
    for one in listing(item, "remediations"):
        if isinstance(one, dict) and one.get("category") == "vendor_fix":
            wanted = texts(one.get("product_ids"), 100_000)
            if not wanted or product in wanted:
                return text(one, "details")
    return ""
