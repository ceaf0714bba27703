"""Room left on file systems and in memory, from `df` and /proc/meminfo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, named

# Local file systems only: a dead file server would make df wait for ever.
SCRIPT = (
    QUOTE
    + r"""
skip='-x tmpfs -x devtmpfs -x squashfs -x iso9660 -x efivarfs'
space=$(df -P -l -B1 $skip) || exit 1
inodes=$(df -P -l -i $skip) || exit 1
printf '= space\n'; printf '%s\n' "$space" | quote
printf '= inodes\n'; printf '%s\n' "$inodes" | quote
printf '= memory\n'; quote </proc/meminfo
"""
    + END
)


@dataclass(frozen=True, slots=True)
class Volume:
    """A mounted local file system: bytes and inodes in all and free. `inodes` is 0 where they are made on demand."""

    target: str
    size: int
    free: int
    inodes: int
    inodes_free: int

    @property
    def percent_free(self) -> int:
        """The scarcer of space and inodes, in whole percent, rounded down."""
        space = 100 * self.free // self.size if self.size else 100
        return min(space, 100 * self.inodes_free // self.inodes) if self.inodes else space


@dataclass(frozen=True, slots=True)
class Resources:
    ask: ClassVar[Question] = Question("resources", SCRIPT, tool="df", root=False)
    volumes: tuple[Volume, ...]
    memory: int  # bytes
    memory_available: int  # bytes that programs can have without swapping, by the kernel's own estimate

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        space, inodes, memory = named(answer, "space", "inodes", "memory")
        nodes = {line.target: line for line in map(_line, inodes.lines[1:])}
        volumes: dict[str, Volume] = {}
        for line in sorted(map(_line, space.lines[1:]), key=lambda found: (len(found.target), found.target)):
            # A container's layers and bind mounts have the room of the file system that is listed already.
            if line.target not in nodes:
                raise NotUnderstood(f"df tells no inodes for {line.target}", where=answer.question)
            if line.source not in volumes and (line.source != "overlay" or line.target == "/"):
                inode = nodes[line.target]
                volumes[line.source] = Volume(line.target, line.total, line.free, inode.total, inode.free)
        said = dict(line.split(":", 1) for line in memory.lines if ":" in line)
        if not volumes:
            raise NotUnderstood("df named no file system", where=answer.question)
        return cls(tuple(volumes.values()), _bytes(said, "MemTotal"), _bytes(said, "MemAvailable"))


@dataclass(frozen=True, slots=True)
class _Line:
    source: str
    total: int
    free: int
    target: str


def _line(text: str) -> _Line:
    """`source total used free percent target`; `-` counts as 0."""
    words = text.split(None, 5)
    numbers = [0 if word == "-" else int(word) for word in words[1:4] if word == "-" or word.isdigit()]
    if len(words) != 6 or len(numbers) != 3:
        raise NotUnderstood(f"`{text[:60]}` is no line of df")
    return _Line(words[0], numbers[0], numbers[2], words[5])


def _bytes(said: dict[str, str], name: str) -> int:
    words = said.get(name, "").split()
    if len(words) != 2 or words[1] != "kB" or not words[0].isdigit():
        raise NotUnderstood(f"/proc/meminfo does not tell {name}")
    return int(words[0]) * 1024
