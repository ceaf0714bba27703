"""The program files of all processes that listen, and whether a Debian package owns them.

`ss` names the processes, /proc their files. Not seen: sockets that a rootkit hides from the kernel's own list (a look from outside
finds those), and what an interpreter runs: for a script the interpreter is named.
"""

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
command -v ss >/dev/null && command -v dpkg-query >/dev/null || exit 127
told=$(ss -Hltnup) || exit 1
files=
printf '= programs\n'
for pid in $(printf '%s\n' "$told" | grep -o 'pid=[0-9]*' | cut -d= -f2 | sort -un); do
  file=$(readlink "/proc/$pid/exe") || continue # it has ended since, or is the kernel's own
  { IFS= read -r name <"/proc/$pid/comm"; } 2>/dev/null || continue
  where=elsewhere; [ "/proc/$pid/ns/mnt" -ef "/proc/$$/ns/mnt" ] && where=here
  printf '|%s %s %s\n' "$where" "$file" "= $name"
  case $file in *' (deleted)') ;; *) [ "$where" = elsewhere ] || files="$files
$file" ;; esac
done
printf '= owned\n'
files=$(printf '%s\n' "$files" | grep . | sort -u)
IFS='
'
[ -z "$files" ] || dpkg-query -S $files $(printf '%s\n' "$files" | sed -n 's,^/usr,,p') 2>/dev/null | quote
"""
    + END
)
LINE = re.compile(r"(?P<where>here|elsewhere) (?P<file>/.*?)(?P<deleted> \(deleted\))? = (?P<name>.+)")


@dataclass(frozen=True, slots=True)
class ListenerProgram:
    """`package` is "" where dpkg knows none. `deleted`: the file was removed or replaced while it runs.

    `elsewhere`: the process sees another file system, as in a container, so that its path means nothing here.
    """

    file: str
    name: str
    package: str
    deleted: bool
    elsewhere: bool


@dataclass(frozen=True, slots=True)
class ListenerPrograms:
    ask: ClassVar[Question] = Question("listener_programs", SCRIPT, tool="ss or dpkg-query")
    programs: tuple[ListenerProgram, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        programs, owned = named(answer, "programs", "owned")
        owners = dict(_owner(line) for line in owned.lines if not line.startswith("diversion "))
        return cls(tuple(dict.fromkeys(_program(line, owners) for line in programs.lines)))


def _owner(line: str) -> tuple[str, str]:
    package, colon, path = line.rpartition(": ")
    if not colon or not path.startswith("/"):
        raise NotUnderstood(f"`{line[:60]}` is no line of dpkg-query -S")
    return path, package.partition(",")[0].partition(":")[0]


def _program(line: str, owners: dict[str, str]) -> ListenerProgram:
    match = LINE.fullmatch(line)
    if not match:
        raise NotUnderstood(f"`{line[:60]}` describes no program")
    file = match["file"]
    package = owners.get(file) or owners.get(file.removeprefix("/usr"), "")
    return ListenerProgram(
        file, match["name"], package, bool(match["deleted"]), match["where"] == "elsewhere"
    )
