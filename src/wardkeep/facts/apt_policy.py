"""What apt knows of every installed package: which versions exist, where from, and which one it would install.

Read from the lists the host already has; nothing is fetched, locked or written but a cache that lasts no longer than the round.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import APT_CACHE, END, Section, sections

SCRIPT = f"""command -v apt-cache >/dev/null || exit 127
{APT_CACHE}ask() {{ apt-cache $apt_cache policy "$@"; }}
out=$(ask) || exit $?
printf '= files\\n'
printf '%s\\n' "$out" | sed 's/^/|/'
names=$(dpkg-query -W -f='${{db:Status-Abbrev}} ${{Package}}:${{Architecture}}\\n' |
  sed -n 's/^.[^nc]. *//p' | sed 's/:all$//') || exit $?
out=$(ask $names) || exit $?
printf '= versions\\n'
printf '%s\\n' "$out" | sed 's/^/|/'
{END}"""

FILE = re.compile(r" ?(?:-?\d+) (?P<source>\S.*)")
RELEASE = re.compile(r"     release (?P<fields>\S.*)")
VERSION = re.compile(r" (?P<mark>\*\*\*|   ) (?P<version>\S+) (?P<priority>-?\d+)(?: \(phased \d+%\))?")
SOURCE = re.compile(r"        (?P<priority>[ -]*\d+) (?P<source>\S.*)")
HEADS = frozenset({"Installed", "Candidate", "Package pin", "Version table"})
STATUS = "/var/lib/dpkg/status"


@dataclass(frozen=True, slots=True)
class PackageFile:
    """One list of packages apt has read: its line in the version tables, and what its Release file says of itself."""

    source: str  # "http://mirror.example/debian bookworm/main amd64 Packages"
    origin: str
    label: str
    suite: str
    codename: str


@dataclass(frozen=True, slots=True)
class Offer:
    """One version of a package, and the lists that have it. The dpkg status file counts as one."""

    version: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """An installed package: every version apt knows, newest first by apt's own ordering. "" is apt's `(none)`."""

    name: str
    installed: str
    candidate: str
    offers: tuple[Offer, ...]
    at: int  # which of the offers is the installed one

    @property
    def newer(self) -> tuple[Offer, ...]:
        """The versions newer than the installed one, newest first."""
        return self.offers[: self.at]

    @property
    def sources(self) -> tuple[str, ...]:
        """The lists that have any version of the package; none: it can be had from nowhere any more."""
        return tuple({s: None for offer in self.offers for s in offer.sources if s != STATUS})

    @property
    def here(self) -> tuple[str, ...]:
        """The lists that have the installed version."""
        return tuple(s for s in self.offers[self.at].sources if s != STATUS)


@dataclass(frozen=True, slots=True)
class AptPolicy:
    """All package lists and all installed packages, as `apt-cache policy` tells."""

    ask: ClassVar[Question] = Question("apt_policy", SCRIPT, tool="apt-cache", timeout=60, shares="apt")
    files: tuple[PackageFile, ...]
    choices: tuple[Choice, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        """Raises NotUnderstood for any line that is none of those apt 2.0 to 3.0 print."""
        told = list(sections(answer))
        if [section.name for section in told] != ["files", "versions"]:
            raise NotUnderstood("the sections are not `files` and `versions`", where=answer.question)
        choices = tuple(_choices(told[1], answer.question))
        if not choices:
            raise NotUnderstood("no package is listed", where=answer.question)
        return cls(tuple(_files(told[0], answer.question)), choices)

    def labelled(self, labels: tuple[str, ...]) -> tuple[PackageFile, ...]:
        """The lists whose Release file carries one of the labels."""
        return tuple(f for f in self.files if f.label in labels)


def _files(told: Section, question: str) -> list[PackageFile]:
    lines = iter(told.lines)
    if next(lines, "") != "Package files:":
        raise NotUnderstood("`Package files:` is missing", where=question)
    found: list[PackageFile] = []
    source, fields = "", dict[str, str]()

    def close() -> None:
        if source and source != STATUS:
            get = fields.get
            found.append(PackageFile(source, get("o", ""), get("l", ""), get("a", ""), get("n", "")))

    for line in lines:
        if line == "Pinned packages:":
            close()
            # Pins are seen in their effect, package by package: the candidate.
            return found
        if match := RELEASE.fullmatch(line):
            # A value may hold a comma ("l=Acme, Inc."): a part without `x=` belongs to the one before.
            parts = re.split(r",(?=\w=)", match["fields"])
            fields = dict(part.split("=", 1) for part in parts)
        elif line.startswith("     origin "):
            continue
        elif match := FILE.fullmatch(line):
            close()
            source, fields = match["source"], {}
        else:
            raise NotUnderstood(f"`{line[:60]}` is no package file", where=question)
    raise NotUnderstood("`Pinned packages:` is missing", where=question)


def _choices(told: Section, question: str) -> list[Choice]:
    """One block of lines for each package. A host has a thousand, so each line is looked at once."""
    found: list[Choice] = []
    known: dict[str, str] = {}  # source lines are few and repeat: each is taken apart once
    block = _Block("")
    for line in told.lines:
        if not line.startswith(" "):
            if block.name:
                found.append(block.choice(question))
            block = _Block(line.removesuffix(":"))
            if not block.name or block.name == line:
                raise NotUnderstood(f"`{line[:60]}` is no package's name", where=question)
        elif line.startswith("        ") and block.offers:
            source = known.get(line)
            if source is None:
                match = SOURCE.fullmatch(line)
                if not match:
                    raise NotUnderstood(f"`{line[:60]}` is no version of {block.name}", where=question)
                source = known[line] = match["source"]
            block.offers[-1][1].append(source)
        else:
            block.take(line, question)
    if block.name:
        found.append(block.choice(question))
    return found


@dataclass(slots=True)
class _Block:
    """What was read of one package so far."""

    name: str
    heads: dict[str, str] = field(default_factory=dict)
    offers: list[tuple[str, list[str]]] = field(default_factory=list)
    at: int = -1

    def take(self, line: str, question: str) -> None:
        """A head (`Installed: …`) or the line of a version."""
        if "Version table" not in self.heads:
            key, colon, value = line.strip().partition(":")
            if not self.name or not colon or key not in HEADS:
                raise NotUnderstood(f"`{line[:60]}` says nothing known of {self.name}", where=question)
            self.heads[key] = value.strip()
            return
        match = VERSION.fullmatch(line)
        if not match:
            raise NotUnderstood(f"`{line[:60]}` is no version of {self.name}", where=question)
        if match["mark"] == "***":
            self.at = len(self.offers)
        self.offers.append((match["version"], []))

    def choice(self, question: str) -> Choice:
        installed, candidate = self.heads.get("Installed"), self.heads.get("Candidate")
        if self.at < 0 or candidate is None or installed != self.offers[self.at][0]:
            raise NotUnderstood(f"which version of {self.name} is installed is not said", where=question)
        rows = tuple(Offer(version, tuple(sources)) for version, sources in self.offers)
        return Choice(self.name, installed, "" if candidate == "(none)" else candidate, rows, self.at)
