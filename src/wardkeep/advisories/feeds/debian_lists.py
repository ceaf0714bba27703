"""Debian's lists of security advisories, DSA and DLA, in the tracker's text form or as a JSON list of announcements."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from wardkeep.advisories.ecosystems import DEBIAN
from wardkeep.advisories.feeds.plugin import Plugin, decode
from wardkeep.advisories.records import Claim, Flaw, Record, Says
from wardkeep.core.errors import BadInput

HEAD = re.compile(r"\[(\d{1,2} \w{3} \d{4})\] (D[SL]A-\d+(?:-\d+)?)(?: (.*))?")
ROW = re.compile(r"\s+\[(\w+)\] - (\S+) (\S.*)")
FLAWS = re.compile(r"\s+\{(.*)\}")
FROM_TAG = {
    "<not-affected>": Says.NOT_AFFECTED,
    "<unfixed>": Says.OPEN,
    "<end-of-life>": Says.END_OF_LIFE,
    **dict.fromkeys(("<ignored>", "<no-dsa>", "<postponed>"), Says.IGNORED),
}


class Announcement(msgspec.Struct):
    id: str
    date: str
    cves: list[str]
    rel: list[str]
    rows: list[str]


ANNOUNCEMENTS = msgspec.json.Decoder(list[Announcement])


def read(data: bytes, name: str) -> Iterator[Record]:
    """An advisory without a CVE number is a flaw by its own number."""
    if data.lstrip()[:1] == b"[" and b'"cves"' in data[:4000]:
        for one in decode(ANNOUNCEMENTS, data, name, "a list of Debian announcements"):
            for listed in one.rows:
                package, _, version = listed.partition(" ")
                for release in one.rel[:1]:
                    yield from _claims(
                        one.id, one.date, one.cves, release, package, version.split("\t")[0].strip()
                    )
                for row in re.finditer(r"\[(\w+)\] - (\S+) (\S+)", version):
                    yield from _claims(one.id, one.date, one.cves, row[1], row[2], row[3])
            yield from (Flaw(flaw, frozenset((one.id,)), published=one.date) for flaw in one.cves or [one.id])
        return
    advisory, day, flaws = "", "", list[str]()
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
        if head := HEAD.match(line):
            advisory, flaws = head[2], []
            try:
                day = datetime.strptime(head[1], "%d %b %Y").date().isoformat()
            except ValueError:
                raise BadInput(f"line {number}: `{head[1]}` is no day", where=name) from None
        elif found := FLAWS.match(line):
            flaws = found[1].split()
            yield from (Flaw(flaw, frozenset((advisory,)), published=day) for flaw in flaws)
        elif told := ROW.match(line):
            yield from _claims(advisory, day, flaws, told[1], told[2], told[3])
        elif line.strip() and not line.startswith(("\t", " ")):
            raise BadInput(f"line {number} is none of a list of advisories: {line[:60]!r}", where=name)


def _claims(
    advisory: str, day: str, flaws: list[str], release: str, package: str, version: str
) -> Iterator[Claim]:
    if release not in DEBIAN:
        return
    tag = version.partition(" ")[0]
    says = FROM_TAG.get(tag, Says.UNDETERMINED if tag.startswith("<") else Says.FIXED)
    fixed = tag if says is Says.FIXED else ""
    note = f"{advisory}: {version}"
    for flaw in flaws or [advisory]:
        yield Claim(
            f"Debian:{DEBIAN[release]}",
            package,
            flaw,
            says,
            fixed=fixed,
            note=note,
            advisory=advisory,
            day=day,
        )


def recognises(name: str, data: bytes) -> bool:
    start = data[:4000]
    return bool(HEAD.match(start.decode("utf-8", "replace"))) or (
        start.lstrip()[:1] == b"[" and b'"cves"' in start and b'"rel"' in start
    )


FEED = Plugin(
    "debian-advisories", "Debian DSA and DLA lists", recognises, read, rank=3, fresh_for=timedelta(days=7)
)
