"""FIRST's EPSS: how likely each CVE is to be exploited within 30 days."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wardkeep.advisories.feeds.plugin import Plugin
from wardkeep.advisories.records import Flaw, Record, Stamp
from wardkeep.core.errors import BadInput

FIRST = re.compile(r"#model_version:[^,]+,\s*score_date:(\d{4}-\d\d-\d\d)")
ROW = re.compile(r"(CVE-\d{4}-\d{4,}),([0-9.eE+-]+),[0-9.eE+-]+")


def read(data: bytes, name: str) -> Iterator[Record]:
    """A comment with model and day, a heading, then `CVE,probability,percentile`. Raises BadInput for any other line."""
    lines = iter(data.decode("ascii", "replace").splitlines())
    first, heading = next(lines, ""), next(lines, "")
    dated = FIRST.match(first)
    if not dated or heading.strip() != "cve,epss,percentile":
        raise BadInput("does not begin with its model, day and heading", where=name)
    rows = [line for line in lines if line]
    yield Stamp(dated[1], len(rows))
    for number, line in enumerate(rows, start=3):
        row = ROW.fullmatch(line.strip())
        if not row or not 0 <= (chance := float(row[2])) <= 1:
            raise BadInput(f"line {number} is no score: {line[:60]!r}", where=name)
        yield Flaw(row[1], epss=chance)


def recognises(name: str, data: bytes) -> bool:
    return data.startswith(b"#model_version:") or data.startswith(b"cve,epss")


FEED = Plugin("epss", "FIRST EPSS scores", recognises, read)
