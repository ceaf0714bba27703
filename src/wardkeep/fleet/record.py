"""Write a snapshot as a recorded host: a folder of plain files, scrubbed, that `recorded:` replays and tests are made of."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC
from pathlib import Path

from wardkeep.core.errors import BadInput
from wardkeep.core.facts import Question, Snapshot
from wardkeep.fleet.recorded import FORMAT, PROVENANCE
from wardkeep.fleet.scrub import Scrubber

# What else a recording asks: the names it must take out, and what it is a recording of.
NAMES = Question(
    "record.names",
    "cat /etc/hostname; uname -n; while read -r address names; do case $address in 127.*|::1) echo $names;; esac; done </etc/hosts",
    ok=frozenset({0, 1}),
    root=False,
)
DISTRIBUTION = Question(
    "record.distribution", '. /etc/os-release && echo "$ID ${VERSION_ID:-rolling}"', root=False
)


def record(
    snapshot: Snapshot,
    folder: Path,
    *,
    how: str = "wardkeep host record",
    outside_addresses: bool = True,
    labels: Mapping[str, str] | None = None,
) -> Path:
    """Write the snapshot into a new or empty folder and return it. The answers to NAMES and DISTRIBUTION, where asked, are used
    and left out. Digests in `provenance.json` are those of the scrubbed files. Raises BadInput if something is there already
    or the host could not be asked."""
    if snapshot.problem:
        raise BadInput(f"nothing to record: {snapshot.problem}", where=snapshot.subject)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput("something is there already", where=str(folder), todo="Name a new folder")
    scrubber = Scrubber(_names(snapshot), outside_addresses=outside_addresses)
    folder.mkdir(parents=True, exist_ok=True)
    rows = {}
    for name in sorted(snapshot.answers):
        answer = snapshot.answers[name]
        if name in (NAMES.id, DISTRIBUTION.id):
            continue
        row: dict[str, object] = {
            "exit": answer.exit,
            "whole": answer.whole,
            "problem": scrubber.scrub(answer.problem.encode()).decode(),
            "ms": round(answer.seconds * 1000),
        }
        for stream, raw in (("out", answer.stdout), ("err", answer.stderr)):
            data = scrubber.scrub(raw)
            if data or stream == "out":
                (folder / f"{name}.{stream}").write_bytes(data)
            row[stream] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        rows[name] = row
    provenance = {
        "format": FORMAT,
        "how": how,
        "at": snapshot.at.astimezone(UTC).isoformat(),
        "distribution": _said(snapshot, DISTRIBUTION.id) or "unknown",
        "problem": "",
        "run": dict(snapshot.run),
        "scrubbed": dict(sorted(scrubber.counts.items())),
        "names_kept": list(scrubber.kept_names),
        "labels": dict(labels or {}),
        "answers": rows,
    }
    (folder / PROVENANCE).write_text(json.dumps(provenance, indent=1, sort_keys=True) + "\n")
    return folder


def _said(snapshot: Snapshot, question: str) -> str:
    answer = snapshot.answers.get(question)
    return answer.stdout.decode("utf-8", "replace").strip() if answer and answer.whole else ""


def _names(snapshot: Snapshot) -> list[str]:
    """The host's names: what it calls itself, each also without its domain."""
    said = re.findall(r"[A-Za-z0-9][A-Za-z0-9.-]*", _said(snapshot, NAMES.id))
    names = {snapshot.subject, *said}
    names |= {name.partition(".")[0] for name in names}
    return sorted(
        n for n in names if not n.startswith(("ip6-", "localhost")) and not n.replace(".", "").isdigit()
    )
