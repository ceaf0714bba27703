"""Debian's security tracker, as its JSON export has it: for each source package, flaw and release, what Debian says.

A fixing version in these data is not yet a fix: it counts as released only when a repository of that release has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from wardkeep.advisories.ecosystems import DEBIAN
from wardkeep.advisories.feeds.plugin import Plugin, decode
from wardkeep.advisories.records import Claim, Flaw, Rating, Record, Says, in_short
from wardkeep.advisories.severity import label
from wardkeep.advisories.versions import NotAVersion, key

# A vendor's reason that says the flawed code is in no binary package of the release.
NOT_BUILT = re.compile(
    r"not built|not (?:producing|provid\w+|ship\w*|includ\w+)|(?:does|do)n.t build|binary packages? not affected",
    re.I,
)


class Release(msgspec.Struct):
    status: str
    repositories: dict[str, str] = {}
    fixed_version: str = ""
    urgency: str = ""
    nodsa: str = ""
    nodsa_reason: str = ""


class Entry(msgspec.Struct):
    # A flaw of no release is written as an empty list.
    releases: dict[str, Release] | list[None]
    description: str = ""
    scope: str = ""


PACKAGES = msgspec.json.Decoder(dict[str, msgspec.Raw])
FLAWS = msgspec.json.Decoder(dict[str, Entry])


def read(data: bytes, name: str) -> Iterator[Record]:
    """Package by package, so that memory stays near the size of the text."""
    what = "Debian's tracker data"
    for package, raw in decode(PACKAGES, data, name, what).items():
        for flaw, entry in decode(FLAWS, bytes(raw), f"{name}: {package}", what).items():
            ratings: dict[str, Rating] = {}
            releases = entry.releases if isinstance(entry.releases, dict) else {}
            for release, said in releases.items():
                if release in DEBIAN:
                    yield _claim(f"Debian:{DEBIAN[release]}", package, flaw, said)
                    if word := label(said.urgency):
                        ratings[word] = Rating("Debian", word)
            yield Flaw(flaw, summary=in_short(entry.description), ratings=tuple(ratings.values()))


def _claim(ecosystem: str, package: str, flaw: str, said: Release) -> Claim:
    urgency = said.urgency.rstrip("*")
    note = f"status {said.status}" + (
        f", urgency {urgency}" if urgency and urgency != "not yet assigned" else ""
    )
    if said.nodsa or said.nodsa_reason:
        note += f", {said.nodsa_reason or 'no DSA'}: {said.nodsa}".rstrip(": ")

    def claim(says: Says, fixed: str = "") -> Claim:
        return Claim(ecosystem, package, flaw, says, fixed=fixed, note=note)

    if said.status == "resolved" and said.fixed_version == "0":
        return claim(Says.NOT_AFFECTED)
    if said.status == "resolved" and said.fixed_version:
        offered = said.repositories.values()
        released = (
            not offered
            or said.fixed_version in offered
            or any(_at_least(one, said.fixed_version) for one in offered)
        )
        return claim(Says.FIXED if released else Says.FIX_NOT_RELEASED, said.fixed_version)
    if said.status == "open":
        if said.nodsa and NOT_BUILT.search(said.nodsa):
            return claim(Says.NOT_AFFECTED)
        if urgency == "end-of-life":
            return claim(Says.END_OF_LIFE)
        return claim(
            Says.IGNORED if said.nodsa or said.nodsa_reason or urgency == "unimportant" else Says.OPEN
        )
    return claim(Says.UNDETERMINED)


def _at_least(version: str, wanted: str) -> bool:
    try:
        return key("dpkg", version) >= key("dpkg", wanted)
    except NotAVersion:
        return False


def recognises(name: str, data: bytes) -> bool:
    return data[:1] == b"{" and b'"releases"' in data[:200_000] and b'"repositories"' in data


FEED = Plugin("debian-tracker", "Debian security tracker", recognises, read, rank=1)
