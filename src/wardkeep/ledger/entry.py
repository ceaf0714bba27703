"""The shape of an entry: checked before it is written, so that a wrong one is refused and never repaired later."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from wardkeep.core.errors import BadInput
from wardkeep.ledger.canonical import canonical
from wardkeep.ledger.tiles import LARGEST_ENTRY

FIELDS = ("kind", "at", "actor", "subject", "body", "blobs")
LONGEST_LOOK = 600  # seconds between the beginning of a look, which is its time, and its entry
DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


def read_time(text: object) -> datetime:
    """A UTC time from ISO 8601 (`2026-11-22T09:47:00Z`). Raises BadInput."""
    try:
        made = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        made = None
    if made is None or made.utcoffset() != timedelta(0):
        raise BadInput(f"{text!r} is not a UTC time such as 2026-11-22T09:47:00Z")
    return made


def check_entry(given: Mapping[str, Any]) -> dict[str, Any]:
    """The entry with every field present. Raises BadInput, naming the field that is wrong."""
    for key in given:
        if key not in FIELDS:
            raise BadInput(f"an entry has no field {key!r}; it has {', '.join(FIELDS)}")
    entry: dict[str, Any] = {"subject": {}, "body": {}, "blobs": [], **given}
    for key in ("kind", "actor"):
        if not isinstance(entry.get(key), str) or not entry[key]:
            raise BadInput(f"an entry's {key} must say something")
    read_time(entry.get("at"))
    for key in ("subject", "body"):
        if not isinstance(entry[key], Mapping):
            raise BadInput(f"an entry's {key} must be an object")
    if not isinstance(entry["blobs"], list | tuple):
        raise BadInput("an entry's blobs must be a list")
    for blob in entry["blobs"]:
        if (
            not isinstance(blob, Mapping)
            or set(blob) != {"name", "digest", "size"}
            or not isinstance(blob["name"], str)
            or not isinstance(blob["size"], int)
            or not DIGEST.match(str(blob["digest"]))
        ):
            raise BadInput('a blob is named as {"name": ..., "digest": "sha256:<hex>", "size": bytes}')
    return entry


def write_entry(entry: Mapping[str, Any], before: str, behind: int = 0) -> bytes:
    """The leaf's bytes. An entry made under a clock that was set back says so, in a field of its own.

    `behind`: seconds by which this machine's clock lies before the last append. `before`: the time of the entry before;
    looks overlap, so only a step back by more than the longest look shows by itself that a clock was set.
    """
    if before and not behind:
        back = (read_time(before) - read_time(entry["at"])) // timedelta(seconds=1)
        behind = back if back > LONGEST_LOOK else 0
    if behind:
        entry = {**entry, "clock": f"set back {behind} s"}
    data = canonical(entry)
    if len(data) > LARGEST_ENTRY:
        raise BadInput(
            f"an entry of {len(data)} bytes is too large; an entry holds at most {LARGEST_ENTRY}",
            where=str(entry["kind"]),
            todo="Put large content into a blob and name its digest",
        )
    return data
