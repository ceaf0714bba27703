"""The Debian packages on a host and the state each is in, from dpkg's own database."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, sections

FIELDS = "${db:Status-Abbrev}|${Package}|${Architecture}|${Version}|${source:Package}|${source:Version}"
SCRIPT = f"""arch=$(dpkg --print-architecture) || exit $?
out=$(dpkg-query -W -f='{FIELDS}\\n') || exit $?
printf '= packages %s\\n' "$arch"
printf '%s\\n' "$out" | sed 's/^/|/'
{END}"""

# dpkg-query(1), "db:Status-Abbrev": what is wanted, what is, and whether an error stands.
WANTS = {"u": "unknown", "i": "install", "h": "hold", "r": "remove", "p": "purge"}
STATES = {
    "n": "not-installed",
    "c": "config-files",
    "H": "half-installed",
    "U": "unpacked",
    "F": "half-configured",
    "W": "triggers-awaited",
    "t": "triggers-pending",
    "i": "installed",
}


@dataclass(frozen=True, slots=True)
class Package:
    """One package. `name` carries the architecture only where it is a foreign one, as apt writes it: `libc6:i386`."""

    name: str
    version: str
    architecture: str
    source: str
    source_version: str
    want: str
    state: str
    broken: bool  # dpkg says it must be installed again

    @property
    def installed(self) -> bool:
        """Whether its files are there, even if it is not fully set up."""
        return self.state not in ("not-installed", "config-files")

    @property
    def held(self) -> bool:
        return self.want == "hold" and self.installed


@dataclass(frozen=True)
class Packages:
    """Every package dpkg knows of, in dpkg's order."""

    ask: ClassVar[Question] = Question("packages", SCRIPT, tool="dpkg-query")
    architecture: str  # the host's own
    all: tuple[Package, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        """One line a package, six fields. A host without a single package is refused: dpkg itself is one."""
        told = list(sections(answer))
        if [section.name for section in told] != ["packages"] or not told[0].lines:
            raise NotUnderstood("no package is listed", where=answer.question)
        (native,) = told[0].words(1)
        return cls(native, tuple(_package(line, native, answer.question) for line in told[0].lines))

    @functools.cached_property
    def installed(self) -> tuple[Package, ...]:
        return tuple(p for p in self.all if p.installed)

    def named(self, name: str) -> Package | None:
        return next((p for p in self.all if p.name == name), None)


def _package(line: str, native: str, question: str) -> Package:
    parts = line.split("|")
    if len(parts) != 6 or not all(parts[1:3]):
        raise NotUnderstood(f"`{line[:60]}` is no package", where=question)
    status, name, arch, version, source, source_version = parts
    if len(status) != 3 or status[0] not in WANTS or status[1] not in STATES or status[2] not in " R":
        raise NotUnderstood(f"the package state `{status}` is not known", where=question)
    full = name if arch in (native, "all") else f"{name}:{arch}"
    state = STATES[status[1]]
    if state != "not-installed" and not (version and source):
        raise NotUnderstood(f"the package {name} has no version", where=question)
    return Package(full, version, arch, source, source_version, WANTS[status[0]], state, status[2] == "R")
