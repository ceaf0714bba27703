"""OSV records (ossf.github.io/osv-schema): language ecosystems, and the vendors that publish in that form.

A range's events are taken in the ecosystem's own order; beyond its limit, or the last version that GitHub looked at where it names
no fix, nothing is claimed. For language packages a listed version outside of every range is affected
too, as the schema says; for a vendor's packages the ranges decide. A range that cannot be read makes the claim undetermined.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import msgspec

from wardkeep.advisories.ecosystems import is_vendor, normal_ecosystem, normal_name, scheme_of
from wardkeep.advisories.feeds.plugin import Plugin, decode
from wardkeep.advisories.records import Claim, Flaw, Rating, Record, Says, Stamp, in_short
from wardkeep.advisories.severity import base_score, label, label_of
from wardkeep.advisories.versions import NotAVersion, Scheme, scheme
from wardkeep.core.errors import BadInput

SOURCES = {
    "GHSA": "GitHub",
    "PYSEC": "PyPA",
    "RUSTSEC": "RustSec",
    "GO": "Go",
    "USN": "Ubuntu",
    "UBUNTU": "Ubuntu",
}
SOURCES |= {
    "DSA": "Debian",
    "DLA": "Debian",
    "DEBIAN": "Debian",
    "ALSA": "AlmaLinux",
    "ALPINE": "Alpine",
    "RLSA": "Rocky",
}
# Advisories of distributions that are about something other than security.
LAST_KNOWN = "last_known_affected_version_range"  # GitHub's
PLACE = {"fixed": 0, "introduced": 1, "last_affected": 2}
NOT_SECURITY = ("ALBA-", "ALEA-", "RLBA-", "RLEA-")


class Package(msgspec.Struct):
    name: str
    ecosystem: str


class Range(msgspec.Struct):
    type: str
    events: list[dict[str, str]] = []


class Affected(msgspec.Struct):
    package: Package | None = None
    ranges: list[Range] = []
    versions: list[str] = []
    ecosystem_specific: dict[str, Any] | None = None
    database_specific: dict[str, Any] | None = None
    severity: list[dict[str, str]] | None = None


class Entry(msgspec.Struct):
    id: str
    affected: list[Affected] | None = None
    published: str = ""
    modified: str = ""
    withdrawn: str | None = None
    aliases: list[str] | None = None
    related: list[str] | None = None
    upstream: list[str] | None = None
    summary: str = ""
    details: str = ""
    severity: list[dict[str, str]] | None = None
    database_specific: dict[str, Any] | None = None


ONE = msgspec.json.Decoder(Entry)
MANY = msgspec.json.Decoder(list[Entry])
SPAN = tuple[str, str, str]  # introduced, fixed, last
LOOKED_AT = re.compile(r"(<=?)\s*(\S+)")


def read(data: bytes, name: str) -> Iterator[Record]:
    if name.endswith((".yaml", ".yml")):
        entries = [_from_yaml(data, name)]
    elif data.lstrip()[:1] == b"[":
        entries = decode(MANY, data, name, "a list of OSV records")
    else:
        entries = [decode(ONE, data, name, "an OSV record")]
    for entry in entries:
        if not entry.withdrawn and not entry.id.startswith(NOT_SECURITY):
            yield Stamp(entry.modified[:10])
            yield from _records(entry)


def _from_yaml(data: bytes, name: str) -> Entry:
    """PyPA keeps its records as YAML. Read without any of YAML's types but text, lists and maps."""
    import yaml  # type: ignore[import-untyped]

    try:
        made = yaml.load(data, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))  # noqa: S506  base types only
        return msgspec.convert(made, Entry, strict=False)
    except (yaml.YAMLError, msgspec.ValidationError, RecursionError) as e:
        raise BadInput(f"is no OSV record: {e}", where=name) from None


def _records(entry: Entry) -> Iterator[Record]:
    flaws = _flaws(entry)
    word = str((entry.database_specific or {}).get("severity") or "")
    ratings = tuple(_ratings(entry, word))
    day = entry.published[:10]
    names = {entry.id, *(entry.aliases or ())}
    malware = entry.id.startswith("MAL-")
    for flaw in flaws:
        own = {name for name in (names if len(flaws) == 1 else {entry.id}) if not name.endswith(flaw)}
        text = "" if malware or len(flaws) > 1 else in_short(entry.summary or entry.details)
        yield Flaw(flaw, frozenset() if malware else frozenset(own), text, day, ratings)
    for affected in entry.affected or ():
        if affected.package is None:
            continue
        ecosystem = normal_ecosystem(affected.package.ecosystem)
        if not scheme_of(ecosystem):
            continue
        package = normal_name(ecosystem, affected.package.name)
        urgency = str((affected.ecosystem_specific or {}).get("urgency") or "")
        for says, (introduced, fixed, last), note in _spans(ecosystem, affected, urgency):
            for flaw in flaws:
                yield Claim(ecosystem, package, flaw, says, introduced, fixed, last, note, entry.id, day)


def _flaws(entry: Entry) -> list[str]:
    """The CVE numbers it stands for: a vendor's advisory many, a flaw's record one; without any, its own number."""
    listed = [*(entry.aliases or ()), *(entry.upstream or ())]
    if entry.id.startswith(("ALSA-", "RLSA-", "USN-", "DSA-", "DLA-")):
        listed += entry.related or ()
        return sorted({one for one in listed if one.startswith("CVE-")}) or [entry.id]
    names = [entry.id, *listed]
    # GitHub's number next, so that PyPA's record of the same flaw is not a second one.
    for prefix in ("CVE-", "GHSA-"):
        if found := [one for one in names if one.startswith(prefix)]:
            return [min(found)]
    return [entry.id]


def _ratings(entry: Entry, word: str) -> Iterator[Rating]:
    source = SOURCES.get(entry.id.partition("-")[0], entry.id.partition("-")[0])
    # Where both are given, v3 speaks: its scores are what the others here are compared with.
    for one in sorted(entry.severity or (), key=lambda one: one.get("type") == "CVSS_V4"):
        score = base_score(one.get("score", ""))
        if score is not None:
            yield Rating(source, label(word) or label_of(score) or "low", score)
            return
        if one.get("type") == "Ubuntu" and label(one.get("score", "")):
            yield Rating("Ubuntu", label(one["score"]))
            return
    if label(word):
        yield Rating(source, label(word))


def _spans(ecosystem: str, affected: Affected, urgency: str) -> Iterator[tuple[Says, SPAN, str]]:
    order = scheme(scheme_of(ecosystem))
    note = f"urgency {urgency}" if urgency and urgency != "not yet assigned" else ""
    open_says = (
        Says.IGNORED
        if urgency == "unimportant"
        else Says.END_OF_LIFE
        if urgency == "end-of-life"
        else Says.OPEN
    )
    found: list[SPAN] = []
    limits: set[SPAN] = set()
    usable = [one for one in affected.ranges if one.type in ("ECOSYSTEM", "SEMVER")]
    for one in usable:
        try:
            for span in _intervals(one, order):
                cut = _limited(span, one, order)
                if cut is not None:
                    found.append(cut)
                    if cut != span:
                        limits.add(cut)
        except NotAVersion as e:
            yield Says.UNDETERMINED, ("", "", ""), f"the range cannot be read: {e.what}"
    is_shortened = False
    if len(found) == 1 and not any(found[0][1:]):
        seen = LOOKED_AT.fullmatch(str((affected.database_specific or {}).get(LAST_KNOWN, "")).strip())
        if seen:
            found = [(found[0][0], "", seen[2]) if seen[1] == "<=" else (found[0][0], seen[2], "")]
            limits.update(found)
            is_shortened = True
    for span in found:
        says = Says.FIXED if span[1] and span not in limits else Says.OPEN if any(span[1:]) else open_says
        yield says, span, note
    # The list beside a range that GitHub's word shortened is made from the range as it was.
    if usable and (is_vendor(ecosystem) or is_shortened):
        return
    for version in affected.versions:
        try:
            inside = any(_covers(span, version, order) for span in found)
            if not inside:
                yield Says.OPEN, (version, "", version), "listed by itself"
        except NotAVersion:
            continue  # an old spelling the ecosystem's tool would not install either


def _intervals(one: Range, order: Scheme) -> list[SPAN]:
    """From events in the order of their versions, as the schema's algorithm goes through them."""
    events = [(kind, version) for event in one.events for kind, version in event.items()]
    compare = functools.cmp_to_key(_event_order(order))
    made: list[SPAN] = []
    begun: str | None = None
    ended: str | None = None  # a fix of nothing that began: what begins with the same version is mended in it
    for kind, version in sorted((e for e in events if e[0] != "limit"), key=compare):
        if kind == "introduced":
            begun = version if begun is None and version != ended else begun
        elif begun is not None:
            low = "" if begun == "0" else begun
            made.append((low, version, "") if kind == "fixed" else (low, "", version))
            begun = None
        else:
            ended = version if kind == "fixed" else ended
    if begun is not None:
        made.append(("" if begun == "0" else begun, "", ""))
    return made


def _event_order(order: Scheme) -> Callable[[tuple[str, str], tuple[str, str]], int]:
    def compare(one: tuple[str, str], two: tuple[str, str]) -> int:
        if (
            one[1] == two[1]
        ):  # a fix ends before what begins with it; the last version with a flaw may be its first
            return PLACE.get(one[0], 3) - PLACE.get(two[0], 3)
        if "0" in (one[1], two[1]):
            return -1 if one[1] == "0" else 1
        return order.compare(order.normal(one[1]), order.normal(two[1]))

    return compare


def _limited(span: SPAN, one: Range, order: Scheme) -> SPAN | None:
    """The part of a span below the highest limit of its range; None when it begins at or above."""
    said = [event["limit"] for event in one.events if "limit" in event]
    if not said or "*" in said:
        return span
    highest = max(map(order.normal, said), key=functools.cmp_to_key(order.compare))
    low, fixed, last = span
    if low and order.compare(order.normal(low), highest) >= 0:
        return None
    end = fixed or last
    # At the limit itself a last version is beyond it, and a fix is a fix.
    is_within = end and order.compare(order.normal(end), highest) <= (0 if fixed else -1)
    return span if is_within else (low, highest, "")


def _covers(span: SPAN, version: str, order: Scheme) -> bool:
    low, fixed, last = (order.normal(text) if text else "" for text in span)
    version = order.normal(version)
    if low and order.compare(version, low) < 0:
        return False
    if fixed:
        return order.compare(version, fixed) < 0
    return not last or order.compare(version, last) <= 0


def recognises(name: str, data: bytes) -> bool:
    """By the two names that the schema demands of every record."""
    if name.endswith((".yaml", ".yml")):
        return b"modified:" in data and b"id:" in data
    return data.lstrip()[:1] in (b"{", b"[") and b'"modified"' in data and b'"affected"' in data


FEED = Plugin("osv", "OSV", recognises, read, rank=2, fresh_for=timedelta(days=10))
