"""What is mounted where and with which options, as the kernel lists it (proc(5), /proc/self/mountinfo)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, named

SCRIPT = (
    QUOTE
    + r"""
[ -r /proc/self/mountinfo ] || exit 3
printf '= container\n'
inside=
if command -v systemd-detect-virt >/dev/null; then inside=$(systemd-detect-virt -c) || inside=; fi
[ -n "$inside" ] || { [ -e /run/.containerenv ] || [ -e /.dockerenv ]; } && inside=${inside:-container}
[ -z "$inside" ] || [ "$inside" = none ] || printf '|%s\n' "$inside"
printf '= mounts\n'
quote </proc/self/mountinfo
"""
    + END
)
LINE = re.compile(
    r"\d+ \d+ \d+:\d+ (?P<root>\S+) (?P<at>\S+) (?P<options>\S+) (?:\S+:\S+ |unbindable )*- (?P<kind>\S+) (?P<source>\S*) (?P<own>\S+)"
)
OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """`options` are the mount's own and its file system's: `nosuid`, `nodev`, `noexec`, `ro`, ..."""

    at: str
    kind: str
    source: str
    options: frozenset[str]


@dataclass(frozen=True, slots=True)
class Mounts:
    ask: ClassVar[Question] = Question("mounts", SCRIPT, root=False)
    mounts: tuple[Mount, ...]  # one for each place: what is on top of it
    container: str

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        container, mounts = named(answer, "container", "mounts")
        found = {mount.at: mount for mount in map(_mount, mounts.lines)}
        if "/" not in found:
            raise NotUnderstood("the kernel lists no root", where=answer.question)
        return cls(tuple(found.values()), container.lines[0] if container.lines else "")

    def of(self, path: str) -> Mount:
        """The mount that holds the path: the one with the longest place above it."""
        above = [m for m in self.mounts if m.at == "/" or path == m.at or path.startswith(m.at + "/")]
        return max(above, key=lambda m: len(m.at))


def _mount(line: str) -> Mount:
    match = LINE.fullmatch(line)
    if not match:
        raise NotUnderstood(f"`{line[:60]}` is no line of mountinfo")
    options = frozenset(match["options"].split(",")) | frozenset(match["own"].split(","))
    return Mount(_plain(match["at"]), match["kind"], _plain(match["source"]), options)


def _plain(text: str) -> str:
    return OCTAL.sub(lambda m: chr(int(m[1], 8)), text)
