"""CISA's catalogue of known exploited vulnerabilities."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import msgspec

from wardkeep.advisories.feeds.plugin import Plugin, decode
from wardkeep.advisories.records import Flaw, Record, Stamp, in_short


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
    count: int = 0


CATALOGUE = msgspec.json.Decoder(Catalogue)


def read(data: bytes, name: str) -> Iterator[Record]:
    """One that holds fewer entries than it says is told to be cut."""
    made = decode(CATALOGUE, data, name, "CISA's KEV catalogue")
    yield Stamp(made.dateReleased[:10], made.count)
    for one in made.vulnerabilities:
        note = f"due {one.dueDate} for US agencies" if one.dueDate else ""
        if one.knownRansomwareCampaignUse == "Known":
            note += ", used by ransomware"
        yield Flaw(
            one.cveID, summary=in_short(one.vulnerabilityName), kev=one.dateAdded, kev_note=note.lstrip(", ")
        )


def recognises(name: str, data: bytes) -> bool:
    return b'"catalogVersion"' in data[:4000] and b'"vulnerabilities"' in data[:8000]


FEED = Plugin("kev", "CISA known exploited vulnerabilities", recognises, read, fresh_for=timedelta(days=14))
