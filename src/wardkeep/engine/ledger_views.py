"""The ledger as people read it: its newest entries, one entry with its proof, a blob. Read only.

Everything comes from the ledger's own files, not from the database: what is shown here is what can be proved.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wardkeep.core.errors import BadInput
from wardkeep.engine.platform import Platform
from wardkeep.ledger import canonical
from wardkeep.ledger.merkle import leaf_hash

PAGE = 50
LOOKED_AT_MOST = 5_000  # entries a filtered page reads before it offers to go on
SHOWN_OF_BLOB = 256 * 1024


@dataclass(frozen=True)
class EntryLine:
    """One entry in a list. `said` is its body in a few words."""

    index: int
    at: str
    kind: str
    actor: str
    host: str
    control: str
    said: str


@dataclass(frozen=True)
class LedgerPage:
    """Entries, newest first. `before` is where the next page begins (0 at the end of the ledger's history)."""

    origin: str
    size: int
    entries: tuple[EntryLine, ...]
    before: int
    looked_at: int


@dataclass(frozen=True)
class EntryDetail:
    """An entry as recorded, its canonical bytes' hash, and the proof that it is under the last checkpoint."""

    index: int
    entry: Mapping[str, Any]
    canonical: str
    leaf_hash: str
    proof: tuple[str, ...]
    root_hash: str
    size: int
    origin: str
    checkpoint: str
    blobs: tuple[Mapping[str, Any], ...]

    @property
    def tallies(self) -> dict[str, Mapping[str, int]]:
        """Of an assessment: the rows it said something about, with their counts."""
        rows = self.entry.get("body", {}).get("rows")
        if not isinstance(rows, Mapping):
            return {}
        return {name: n for name, n in rows.items() if isinstance(n, Mapping) and any(n.values())}

    @property
    def told(self) -> dict[str, Any]:
        """The rest of the body."""
        body = self.entry.get("body", {})
        return {name: value for name, value in body.items() if not (name == "rows" and self.tallies)}


@dataclass(frozen=True)
class BlobView:
    """A blob as text; bytes that are not UTF-8 are shown as replacement characters. `cut` when only its beginning is."""

    digest: str
    name: str
    size: int
    text: str
    cut: bool


def ledger_page(
    platform: Platform,
    *,
    before: int = 0,
    kind: str = "",
    host: str = "",
    control: str = "",
    limit: int = PAGE,
) -> LedgerPage:
    """The newest entries before index `before` (0: from the end) that match. Reads at most LOOKED_AT_MOST of them."""
    ledger = platform.ledger
    size = ledger.size
    end = start = min(before, size) if before > 0 else size
    found: list[EntryLine] = []
    while start > 0 and len(found) < limit and end - start < LOOKED_AT_MOST:
        chunk_end, start = start, max(0, start - 256)
        chunk = [entry for entry in ledger.read(start, chunk_end) if _matches(entry, kind, host, control)]
        for entry in reversed(chunk):
            found.append(_line(entry))
            if len(found) == limit:
                start = int(entry["index"])
                break
    return LedgerPage(ledger.origin, size, tuple(found), start, end - start)


def find_entry(platform: Platform, index: int) -> EntryDetail | None:
    """The entry with its inclusion proof under the last checkpoint; None when the ledger is not that long."""
    ledger = platform.ledger
    checkpoint = ledger.checkpoint()
    if not 0 <= index < checkpoint.size:
        return None
    raw = next(data for _, data in ledger.read_raw(index, index + 1))
    entry = json.loads(raw)
    # Proof and checkpoint belong together: another writer may have appended in between.
    for _ in range(3):
        signed, proof = ledger.signed_checkpoint(), ledger.inclusion(index)
        if ledger.signed_checkpoint() == signed:
            break
    now = ledger.checkpoint()
    return EntryDetail(
        index=index,
        entry=entry,
        canonical=raw.decode(),
        leaf_hash=leaf_hash(raw).hex(),
        proof=tuple(h.hex() for h in proof),
        root_hash=ledger.root_at(now.size).hex(),
        size=now.size,
        origin=ledger.origin,
        checkpoint=signed.decode(errors="replace"),
        blobs=tuple(entry.get("blobs", ())),
    )


def find_blob(platform: Platform, index: int, number: int) -> BlobView | None:
    """The blob `number` of the entry as text; None when there is none."""
    found = read_blob(platform, index, number)
    if found is None:
        return None
    named, data = found
    text = data[:SHOWN_OF_BLOB].decode(errors="replace")
    return BlobView(str(named["digest"]), str(named["name"]), len(data), text, len(data) > SHOWN_OF_BLOB)


def read_blob(platform: Platform, index: int, number: int) -> tuple[Mapping[str, Any], bytes] | None:
    """The blob's name and digest as the entry has them, and its bytes. Only blobs that an entry names can be reached."""
    found = find_entry(platform, index)
    if found is None or not 0 <= number < len(found.blobs):
        return None
    named = found.blobs[number]
    return named, platform.ledger.get_blob(str(named["digest"]))


def say(body: Mapping[str, Any]) -> str:
    """An entry's body in a few words."""
    if isinstance(rows := body.get("rows"), Mapping):
        total = {v: sum(int(r.get(v, 0)) for r in rows.values()) for v in ("fail", "unknown", "pass")}
        return ", ".join(f"{n} {v}" for v, n in total.items() if n) or "nothing said"
    if "changed" in body and body.get(
        "says"
    ):  # a change of policy: its values one by one are on the entry's own page
        return str(body["says"])[:240]
    parts = []
    for key, value in body.items():
        if value in ("", [], {}, None):
            continue
        shown = value if isinstance(value, str | int) else canonical(value).decode()
        parts.append(f"{key}: {shown}")
    return "; ".join(parts)[:240]


def _matches(entry: Mapping[str, Any], kind: str, host: str, control: str) -> bool:
    subject = entry.get("subject", {})
    return (
        (not kind or entry["kind"] == kind)
        and (not host or subject.get("host") == host)
        and (
            not control
            or subject.get("control") == control
            or control in entry.get("body", {}).get("rows", ())
        )
    )


def _line(entry: Mapping[str, Any]) -> EntryLine:
    subject = entry.get("subject", {})
    return EntryLine(
        index=int(entry["index"]),
        at=str(entry["at"]),
        kind=str(entry["kind"]),
        actor=str(entry["actor"]),
        host=str(subject.get("host", "")),
        control=str(subject.get("control", "")),
        said=say(entry.get("body", {})),
    )


def read_index(text: str) -> int:
    """An entry's index from an address. Raises BadInput."""
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise BadInput(f"{text[:40]!r} is no entry's number", todo="Entries are numbered from 0.")
    return int(text)
