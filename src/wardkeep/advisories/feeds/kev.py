"""CISA's catalogue of known exploited vulnerabilities."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import msgspec

from wardkeep.advisories.feeds.plugin import Plugin, decode
from wardkeep.advisories.records import Flaw, Record, Stamp
from wardkeep.core.errors import BadInput


class Listed(msgspec.Struct):
    cveID: str
    dateAdded: str
    dueDate: str = ""
    knownRansomwareCampaignUse: str = ""
    vulnerabilityName: str = ""


class Catalogue(msgspec.Struct):
    catalogVersion: str
    dateReleased: str
    vulnerabilities: list[Listed]
    count: int = -1


CATALOGUE = msgspec.json.Decoder(Catalogue)


def read(data: bytes, name: str) -> Iterator[Record]:
    """Raises BadInput when it holds fewer entries than it says: it was cut."""
    made = decode(CATALOGUE, data, name, "CISA's KEV catalogue")
    if made.count not in (-1, len(made.vulnerabilities)):
        raise BadInput(f"says it has {made.count} entries and has {len(made.vulnerabilities)}", where=name)
    yield Stamp(made.dateReleased[:10], len(made.vulnerabilities))
    for one in made.vulnerabilities:
        note = f"due {one.dueDate} for US agencies" if one.dueDate else ""
        if one.knownRansomwareCampaignUse == "Known":
            note += ", used by ransomware"
        yield Flaw(
            one.cveID, summary=one.vulnerabilityName[:160], kev=one.dateAdded, kev_note=note.lstrip(", ")
        )


def recognises(name: str, data: bytes) -> bool:
    return b'"catalogVersion"' in data[:4000] and b'"vulnerabilities"' in data[:8000]


FEED = Plugin("kev", "CISA known exploited vulnerabilities", recognises, read, fresh_for=timedelta(days=14))
