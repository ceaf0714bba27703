"""CVE records of version 5: the day, severities by who gave them, and CISA's SSVC decision points. Their product names are not used."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec

from wardkeep.advisories.feeds.plugin import Plugin, decode
from wardkeep.advisories.records import Flaw, Rating, Record, in_short
from wardkeep.advisories.severity import label


class Metadata(msgspec.Struct, frozen=True):
    cveId: str
    state: str = "PUBLISHED"
    datePublished: str = ""


class Provider(msgspec.Struct, frozen=True):
    shortName: str = ""


class Container(msgspec.Struct, frozen=True):
    providerMetadata: Provider = Provider()
    metrics: list[dict[str, Any]] = []
    title: str = ""
    descriptions: list[dict[str, Any]] = []


class Containers(msgspec.Struct, frozen=True):
    cna: Container = Container()
    adp: list[Container] = []


class CveRecord(msgspec.Struct, frozen=True):
    dataType: str
    cveMetadata: Metadata
    containers: Containers = Containers()


RECORD = msgspec.json.Decoder(CveRecord)


def read(data: bytes, name: str) -> Iterator[Record]:
    """One record a document. A rejected one says nothing."""
    made = decode(RECORD, data, name, "a CVE record of version 5")
    if made.cveMetadata.state != "PUBLISHED":
        return
    texts = [
        str(one.get("value", ""))
        for one in made.containers.cna.descriptions
        if one.get("lang", "")[:2] == "en"
    ]
    flaw = Flaw(
        made.cveMetadata.cveId,
        summary=in_short(made.containers.cna.title or next(iter(texts), "")),
        published=made.cveMetadata.datePublished[:10],
    )
    for box in (made.containers.cna, *made.containers.adp):
        source = box.providerMetadata.shortName or "CNA"
        for metric in box.metrics:
            flaw.ratings += tuple(Rating(source, *rated) for rated in _rated(metric))
            other = metric.get("other")
            if isinstance(other, dict) and other.get("type") == "ssvc":
                flaw.ssvc = _decision(other.get("content"))
    yield flaw


def _rated(metric: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """The newest CVSS of the metric, as word and score."""
    for version in ("cvssV4_0", "cvssV3_1", "cvssV3_0"):
        said = metric.get(version)
        if isinstance(said, dict):
            score = said.get("baseScore")
            if word := label(str(said.get("baseSeverity", ""))):
                yield word, float(score) if isinstance(score, int | float) else -1.0
                return


def _decision(content: object) -> str:
    options = content.get("options") if isinstance(content, dict) else None
    said = {}
    for option in options if isinstance(options, list) else ():
        if isinstance(option, dict):
            said.update({str(k).split()[-1].lower(): str(v).lower() for k, v in option.items()})
    return " ".join(f"{name}={value}" for name, value in said.items())


def recognises(name: str, data: bytes) -> bool:
    return data[:1] == b"{" and b'"CVE_RECORD"' in data


FEED = Plugin("cve5", "CVE records with SSVC", recognises, read, fresh_for=timedelta(days=7))
