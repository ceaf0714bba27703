"""Reports of other scan tools, kept in the ledger for the host they are about.

The entry holds counts, the tool and the digest of the file; its blobs are what the row reads and every result in one form, passes
included. The file itself stays with its owner: a report may quote a secret that it found.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from wardkeep.core.facts import Answer, Snapshot
from wardkeep.engine.long_looks import IMPORTED, kept_answer, record_look
from wardkeep.engine.platform import Platform
from wardkeep.facts.imported_scans import ImportedScans
from wardkeep.scans import Report
from wardkeep.scans.model import SEVERITIES, Result

ID = ImportedScans.ask.id
MOST_OPEN = 500
FORMS = (
    "%Y-%m-%d %H:%M:%S",
    "%a %b %d %H:%M:%S %Y",
    "%a %b %d %H:%M:%S %Y %Z",
    "%Y-%m-%d %H:%M",
    "%a, %d %b %Y %H:%M:%S",
)


def record_import(platform: Platform, actor: str, host: str, report: Report, now: datetime) -> int:
    """Keep a report; it takes the place of an older one of the same tool and target. Gives the entry's index."""
    told = _told(report, now)
    before = kept_answer(platform, host, IMPORTED, ID)
    scans = json.loads(before.stdout)["scans"] if before else []
    scans = [one for one in scans if (one["tool"], one["target"]) != (told["tool"], told["target"])]
    scans.append(told)
    answer = Answer(ID, 0, json.dumps({"scans": scans}, sort_keys=True).encode())
    results = json.dumps(plain_report(report), sort_keys=True, ensure_ascii=False).encode()
    body = {name: told[name] for name in ("tool", "version", "target", "file", "sha256", "at", "counts")}
    return record_look(
        platform,
        actor,
        IMPORTED,
        Snapshot(host, now, {ID: answer}),
        body=body,
        blobs=[("results", results)],
    )


def plain_report(report: Report) -> dict[str, Any]:
    """A report as a value for programs."""
    about = {"tool": report.tool, "tool_version": report.version}
    return {
        "file": report.file, "sha256": report.sha256, **about, "target": report.target, "at": report.at,
        "items": report.items, "counts": report.counts, "notes": report.notes,
        "results": [{**about, **asdict(one), "target": one.target or report.target} for one in report.results],
        "refused": [asdict(one) for one in report.refused],
    }  # fmt: skip


def _told(report: Report, now: datetime) -> dict[str, Any]:
    ran = ran_at(report.at)
    # A tool's clock that is ahead must not make its report young for longer.
    dated = ran is not None and ran <= now
    still_open = [one for one in report.results if one.state.value in ("fail", "unknown")]
    order = {name: number for number, name in enumerate(SEVERITIES)}
    still_open.sort(
        key=lambda one: (one.state.value != "fail", order.get(one.severity, 9), one.id, _where(one))
    )
    return {
        "tool": report.tool,
        "version": report.version,
        "target": report.target[:200],
        "file": PurePath(report.file).name,
        "sha256": report.sha256,
        "at": (ran if dated and ran else now).isoformat(timespec="seconds"),
        "dated": dated,
        "imported": now.isoformat(timespec="seconds"),
        "counts": report.counts,
        "open": [
            {
                "id": one.id[:200],
                "title": one.title[:300],
                "state": one.state.value,
                "severity": one.severity,
                "where": _where(one),
            }
            for one in still_open[:MOST_OPEN]
        ],
        "more": max(0, len(still_open) - MOST_OPEN),
    }


def _where(one: Result) -> str:
    package = " ".join(part for part in (one.component, one.installed) if part)
    return " ".join(part for part in (package, one.location) if part)[:200]


def ran_at(text: str) -> datetime | None:
    """When a tool ran, from the forms in which tools write it; a time without a zone is taken as UTC. None for any other text."""
    made: datetime | None = None
    try:
        made = datetime.fromisoformat(text)
    except ValueError:
        for form in FORMS:
            try:
                made = datetime.strptime(text, form)
                break
            except ValueError:
                continue
    if made is None and text.isdigit() and 9 < len(text) < 12:
        made = datetime.fromtimestamp(int(text), UTC)
    if made is None:
        return None
    try:
        return made.replace(tzinfo=UTC) if made.tzinfo is None else made.astimezone(UTC)
    except (OverflowError, ValueError):
        return None
