"""CycloneDX with vulnerabilities, as scanners and VEX authors write it: JSON, XML since 1.4, and the extension before it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wardkeep.scans.model import (
    SEVERITIES,
    Malformed,
    Report,
    Result,
    State,
    clean,
    inner,
    listing,
    mapping,
    severity_of,
    severity_of_score,
    text,
    texts,
)
from wardkeep.scans.opening import Node

ANALYSIS = {
    "not_affected": State.PASS, "false_positive": State.PASS, "resolved": State.PASS,
    "resolved_with_pedigree": State.PASS, "in_triage": State.UNKNOWN, "exploitable": State.FAIL, "": State.FAIL,
}  # fmt: skip


def matches(value: Any) -> bool:
    if isinstance(value, Node):
        return value.name == "bom"
    return isinstance(value, dict) and value.get("bomFormat") == "CycloneDX"


def read(value: Any, report: Report) -> None:
    known: dict[str, tuple[str, str]] = {}
    if isinstance(value, Node):
        _read_xml(value, report, known)
    else:
        _read_json(value, report, known)
    if not report.items:
        report.notes.append(
            f"a list of {len(known)} components without any vulnerability: an inventory, not a scan"
        )
    elif known:
        report.notes.append(f"{len(known)} components are listed")


def _read_json(value: Any, report: Report, known: dict[str, tuple[str, str]]) -> None:
    metadata = inner(value, "metadata")
    report.at = text(metadata, "timestamp")
    tools = metadata.get("tools")
    made_by = tools if isinstance(tools, list) else listing(tools, "components") if isinstance(tools, dict) else []  # fmt: skip
    for one in made_by[:1]:
        report.tool = f"CycloneDX by {text(one, 'name')}" if text(one, "name") else report.tool
        report.version = text(one, "version")
    report.target = text(inner(metadata, "component"), "name")
    _components([metadata.get("component"), *listing(value, "components")], known)
    report.each(
        value.get("vulnerabilities"), "/vulnerabilities", lambda i, p: _flaw(i, p, known, report.target)
    )


def _components(items: list[Any], known: dict[str, tuple[str, str]]) -> None:
    waiting = [item for item in items if isinstance(item, dict)]
    while waiting:
        one = waiting.pop()
        group = text(one, "group")
        name = f"{group}:{text(one, 'name')}" if group else text(one, "name")
        known[text(one, "bom-ref") or text(one, "purl") or f"#{len(known)}"] = (name, text(one, "version"))
        nested = one.get("components")
        waiting += [item for item in nested if isinstance(item, dict)] if isinstance(nested, list) else []


def _flaw(item: Any, pointer: str, known: dict[str, tuple[str, str]], target: str) -> Iterator[Result]:
    name = text(item, "id")
    if not name:
        raise Malformed("a vulnerability without its id")
    ratings = [
        (text(r, "severity"), text(r, "score"), text(inner(r, "source"), "name"), text(r, "method"))
        for r in map(mapping, listing(item, "ratings"))
    ]
    analysis = inner(item, "analysis")
    refs = [text(r, "id") for r in map(mapping, listing(item, "references"))]
    cwes = [f"CWE-{cwe}" for cwe in texts(item.get("cwes"))]
    affects = [text(a, "ref") for a in map(mapping, listing(item, "affects"))] or [""]
    yield from _results(
        name, text(item, "description", "detail") or name, ratings, text(inner(item, "source"), "name"),
        (text(analysis, "state"), text(analysis, "detail") or text(analysis, "justification")),
        affects, known, target, text(item, "recommendation"), [*refs, *cwes], pointer,
    )  # fmt: skip


def _results(
    name: str,
    title: str,
    ratings: list[tuple[str, str, str, str]],
    source: str,
    analysis: tuple[str, str],
    affects: list[str],
    known: dict[str, tuple[str, str]],
    target: str,
    fix: str,
    references: list[str],
    pointer: str,
) -> Iterator[Result]:
    word, why = analysis
    if word not in ANALYSIS:
        raise Malformed(f"`{word}` is no state of an analysis")
    severity, by, said = _worst(ratings, source)
    told = "; ".join(part for part in (said, f"{word}: {why}".rstrip(": ") if word else "") if part)
    for n, ref in enumerate(affects):
        component, version = known.get(ref, (ref.rpartition("#")[2], ""))
        yield Result(
            name, title, ANALYSIS[word], f"{pointer}/affects/{n}" if ref and len(affects) > 1 else pointer, severity, by,
            told, target, ref, component, version, fix, tuple(dict.fromkeys(r for r in references if r))[:50],
        )  # fmt: skip


def _worst(ratings: list[tuple[str, str, str, str]], source: str) -> tuple[str, str, str]:
    """The most severe rating, who gave it, and all of them in words."""
    found = []
    for word, score, by, method in ratings:
        # Only CVSS's scale runs to 10 with known borders; an OWASP score means something else.
        severity = severity_of(word) or (severity_of_score(score) if method.upper().startswith("CVSS") else "")  # fmt: skip
        if severity:
            found.append((SEVERITIES.index(severity), severity, by or source or method))
    said = ", ".join(" ".join(part for part in (word, method, score) if part) for word, score, _, method in ratings)  # fmt: skip
    if not found:
        return "", "", said
    _, severity, by = min(found)
    return severity, by, said


def _read_xml(root: Node, report: Report, known: dict[str, tuple[str, str]]) -> None:
    report.at = clean(root.told("metadata", "timestamp"))
    tool = root.find("metadata", "tools", "tool") or root.find("metadata", "tools", "components", "component")
    if tool:
        report.tool, report.version = (
            f"CycloneDX by {clean(tool.told('name'))}".strip(),
            clean(tool.told("version")),
        )
    report.target = clean(root.told("metadata", "component", "name"))
    for one in root.walk("component"):
        group, name = clean(one.told("group")), clean(one.told("name"))
        ref = one.get("bom-ref") or one.told("purl") or f"#{len(known)}"
        ref = clean(ref)
        known[ref] = (f"{group}:{name}" if group else name, clean(one.told("version")))
        own = clean(one.told("purl"))
        if own:
            known.setdefault(own, known[ref])
        held = one.find("vulnerabilities")
        for flaw in held.all("vulnerability") if held else []:
            report.one(
                flaw,
                flaw.where,
                lambda f, p, r=ref: _flaw_xml(f, p, known, report.target, r),  # type: ignore[misc]
            )
    held = root.find("vulnerabilities")
    for flaw in held.all("vulnerability") if held else []:
        report.one(flaw, flaw.where, lambda f, p: _flaw_xml(f, p, known, report.target, clean(f.get("ref"))))


def _flaw_xml(
    flaw: Node, pointer: str, known: dict[str, tuple[str, str]], target: str, owner: str
) -> Iterator[Result]:
    name = clean(flaw.told("id"))
    if not name:
        raise Malformed("a vulnerability without its id")
    ratings = []
    for rating in flaw.walk("rating"):
        score = clean(rating.told("score", "base") or rating.told("score"))
        by = clean(rating.told("source", "name"))
        ratings.append(
            (clean(rating.told("severity")), score, by, clean(rating.told("method")).replace("Other", ""))
        )
    source = flaw.find("source")
    by = clean(source.get("name") or source.told("name")) if source else ""
    affects = [clean(ref.text) for ref in flaw.walk("ref")] or [owner]
    refs = [clean(one.told("id")) for one in flaw.walk("reference")]
    cwes = [f"CWE-{clean(one.text)}" for one in flaw.walk("cwe")]
    fix = clean(flaw.told("recommendation")) or clean(flaw.told("recommendations", "recommendation"))
    analysis = (
        clean(flaw.told("analysis", "state")),
        clean(flaw.told("analysis", "detail") or flaw.told("analysis", "justification")),
    )
    yield from _results(
        name, clean(flaw.told("description")) or name, ratings, by, analysis, affects, known, target, fix, [*refs, *cwes],
        pointer,
    )  # fmt: skip
