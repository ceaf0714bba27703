"""OSCAL 1.1 Assessment Results, built from the assess entries of a pack.

One result for the range: an observation for each host's last assessment, a finding for each row of the matrix, and one for
each rule and subject that failed or could not be seen. Identifiers are derived from the ledger's root and what they name,
so the same pack always has the same document. https://pages.nist.gov/OSCAL-Reference/models/v1.1.3/assessment-results/
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from wardkeep.ledger.note import Checkpoint
from wardkeep.ledger.selection import Look, Summary, state_of

VERSION = "1.1.3"
SPACE = uuid.UUID("6d2c1a52-6f2e-5b43-9a52-d5d0b8b8c1ce")  # any constant; it separates our names from others'
NAMESPACE = (
    "https://wardkeep.invalid/ns/oscal"  # properties need one that is not NIST's; nothing is fetched from it
)

Json = dict[str, Any]
Findings = Callable[[str], list[Json]]


def assessment_results(
    head: Checkpoint, start: int, end: int, summary: Summary, findings_in: Findings
) -> Json:
    """The document. `findings_in(digest)` gives the findings in a blob (a list of objects), [] where there is none."""
    names = _Names(f"{head.root.hex()}/{start}/{end}/{summary.control}")
    looks = summary.standing.looks
    hosts = sorted({look.host for look in looks})
    result: Json = {
        "uuid": names("result"),
        "title": f"Entries {start} to {end - 1} of the ledger {head.origin}" if end > start else "No entries",
        "description": f"{len(hosts)} hosts as last assessed in the range; {summary.kinds['assess']} assessments lie in it.",
        "start": summary.first_at or "1970-01-01T00:00:00Z",
        "reviewed-controls": {"control-selections": [_selection(summary)]},
    }
    if summary.last_at:
        result["end"] = max(summary.first_at, summary.last_at)
    if looks:
        result["local-definitions"] = {"inventory-items": [_item(host, names) for host in hosts]}
        result["observations"] = [_observation(look, names) for look in looks]
    findings = [*_rows(summary, looks, names), *_open(summary, looks, findings_in, names)]
    if findings:
        result["findings"] = findings
    return {
        "assessment-results": {
            "uuid": names("document"),
            "metadata": {
                "title": "Wardkeep assessment results",
                "last-modified": summary.last_at or "1970-01-01T00:00:00Z",
                "version": f"{head.size}-{head.root.hex()[:16]}",
                "oscal-version": VERSION,
            },
            "import-ap": {
                "href": "#",
                "remarks": "The plan is the matrix itself: every row, at its own cadence.",
            },
            "results": [result],
        }
    }


class _Names:
    def __init__(self, document: str) -> None:
        self._space = uuid.uuid5(SPACE, document)

    def __call__(self, name: str) -> str:
        return str(uuid.uuid5(self._space, name))


def _token(text: str) -> str:
    """An OSCAL token: begins with a letter or underscore; letters, digits, dot, dash, underscore."""
    made = re.sub(r"[^\w.\-]", "_", text, flags=re.ASCII)
    return made if re.match(r"[A-Za-z_]", made) else f"_{made}"


def _line(text: object) -> str:
    """One line that OSCAL accepts as a string: no outer spaces, never empty."""
    return " ".join(str(text).split()) or "-"


def _property(name: str, value: object) -> Json:
    return {"name": name, "ns": NAMESPACE, "value": _line(value)}


def _selection(summary: Summary) -> Json:
    rows = sorted(summary.standing.matrix())
    return (
        {"include-controls": [{"control-id": _token(row)} for row in rows]} if rows else {"include-all": {}}
    )


def _item(host: str, names: _Names) -> Json:
    return {"uuid": names(f"host {host}"), "description": _line(f"Host {host}")}


def _observation(look: Look, names: _Names) -> Json:
    made: Json = {
        "uuid": names(f"look {look.index}"),
        "title": _line(f"Assessment of {look.host}"),
        "description": f"Entry {look.index} of the ledger: the host's answers held against the policy, rule by rule.",
        "props": [_property("ledger-entry", look.index)],
        "methods": ["TEST"],
        "types": ["control-objective"],
        "subjects": [{"subject-uuid": names(f"host {look.host}"), "type": "inventory-item"}],
        "collected": look.at,
    }
    if look.profile:
        made["props"].append(_property("profile", look.profile))
    if look.findings:
        name = look.findings.removeprefix("sha256:")
        made["relevant-evidence"] = [
            {"href": f"blobs/{name}", "description": "All findings of this assessment."}
        ]
    return made


def _rows(summary: Summary, looks: list[Look], names: _Names) -> Iterator[Json]:
    for control, counts in sorted(summary.standing.matrix().items()):
        state = state_of(counts)
        said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        yield {
            "uuid": names(f"row {control}"),
            "title": _line(f"Row {control}"),
            "description": f"Over all hosts: {said}. Unknown counts as not satisfied.",
            "target": _target(control, state),
            "related-observations": [
                {"observation-uuid": names(f"look {look.index}")} for look in looks if control in look.rows
            ],
        }


def _open(summary: Summary, looks: list[Look], findings_in: Findings, names: _Names) -> Iterator[Json]:
    for look in looks:
        for found in findings_in(look.findings) if look.findings else ():
            rule, subject, verdict = (str(found.get(key, "")) for key in ("rule", "subject", "verdict"))
            if verdict == "pass" or not rule or found.get("control") not in look.rows:
                continue
            yield {
                "uuid": names(f"finding {look.host}\x1f{rule}\x1f{subject}"),
                "title": _line(f"{look.host}: {found.get('says') or rule}"),
                "description": _line(f"{verdict}: {subject}: {found.get('seen', '')}"),
                "props": [
                    _property("verdict", verdict),
                    _property("severity", found.get("severity", "")),
                    _property("subject", subject),
                ],
                "target": _target(rule, "fail" if verdict == "fail" else "unknown"),
                "related-observations": [{"observation-uuid": names(f"look {look.index}")}],
            }


def _target(identifier: str, state: str) -> Json:
    status = {"state": "satisfied"} if state == "pass" else {"state": "not-satisfied", "reason": "fail"}
    if state == "unknown":
        status = {"state": "not-satisfied", "reason": "other", "remarks": "It could not be seen."}
    return {"type": "objective-id", "target-id": _token(identifier), "status": status}
