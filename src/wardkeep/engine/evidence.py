"""Packs of evidence by days and row, as the console hands them out; `wardkeep evidence export` does the same by options."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from wardkeep import controls
from wardkeep.controls.matrix import ROWS
from wardkeep.core.errors import BadInput
from wardkeep.engine.platform import Platform
from wardkeep.ledger.asof import indices_between
from wardkeep.ledger.pack import export

FIRST = datetime(1970, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 1, 1, tzinfo=UTC)


def write_pack(
    platform: Platform, folder: Path, *, begin: date | None, end: date | None, control: str, by: str
) -> tuple[Path, Mapping[str, Any]]:
    """Write the pack of the entries from the first day to the end of the last (UTC) into `folder`; all without days.

    Returns its path and what is on record about it. Raises BadInput when nothing lies between the days.
    """
    row = controls.control(control).id if control else None
    first, last = 0, platform.ledger.size
    if begin or end:
        low = datetime.combine(begin, time(), UTC) if begin else FIRST
        high = datetime.combine(end, time(), UTC) + timedelta(days=1) if end else LAST
        first, last = indices_between(platform.ledger, low, high)
    if first >= last:
        raise BadInput("no entry lies between these days", where="from, to", todo="Give a wider range.")
    name = f"evidence-{platform.ledger.origin.replace('/', '-')}-{first}-{last}.tar.gz"
    titles = {known.id: known.title for known in ROWS}
    made = export(platform.ledger, folder / name, first, last, row, titles=titles)
    told = {
        "act": "pack exported",
        "first": first,
        "end": last,
        "control": row or "",
        "entries": made.entries,
    }
    platform.record("review", by, told)
    return made.path, told
