"""Processes that still run code from files that were replaced or removed since they started."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, sections

# Only mappings with the right to execute, of files that packages install: a data file or a memfd is no library.
# One grep over all processes costs 15 ms; a shell loop over 165 processes cost twenty times that.
SCRIPT = f"""[ "$(id -u)" = 0 ] || {{ echo 'only root may read the maps of all processes' >&2; exit 77; }}
set -- /proc/[0-9]*/maps
[ -r "$1" ] || exit 3
printf '= looked %s\\n' "$#"
groups() {{ sed -n -e 's,^0::,|cgroup ,p' -e 's,^[0-9]*:name=systemd:,|cgroup ,p' "/proc/$1/cgroup" 2>/dev/null; }}
groups 1 || exit 3
maps=$(grep -s -E '^[0-9a-f]+-[0-9a-f]+ ..x. .* /(usr|lib|lib32|lib64|libx32|bin|sbin|opt)/.* \\(deleted\\)$' "$@")
[ $? -le 2 ] || exit $?
pids=$(printf '%s\\n' "$maps" | sed -n 's,^/proc/\\([0-9]*\\)/maps:.*,\\1,p' | sort -un)
for pid in $pids; do
  name=$(cat "/proc/$pid/comm" 2>/dev/null) || continue
  printf '= process %s %s\\n' "$pid" "$name"
  groups "$pid"
  printf '%s\\n' "$maps" | sed -n "s,^/proc/$pid/maps:[^/]*\\(/.*\\) (deleted)\\$,|file \\1,p" | sort -u
done
{END}"""

UNIT = re.compile(r"[^/]+\.(?:service|scope|socket|mount|swap)")


@dataclass(frozen=True, slots=True)
class OldProcess:
    """One process, the control group it runs in (below that of process 1; "" for none), and the replaced files it executes."""

    pid: int
    name: str
    group: str
    files: tuple[str, ...]

    @property
    def unit(self) -> str:
        """The systemd unit: the innermost of the group's path, `init.scope` for process 1, "" for none."""
        return next((part for part in reversed(self.group.split("/")) if UNIT.fullmatch(part)), "")


@dataclass(frozen=True, slots=True)
class OldLibraries:
    """The processes that run replaced code, out of `looked` processes looked at."""

    ask: ClassVar[Question] = Question("old_libraries", SCRIPT)
    looked: int
    processes: tuple[OldProcess, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        """Not seen: what a process loaded by other means than mapping, such as a script's source read at its start."""
        first, *rest = sections(answer)
        if first.name != "looked" or not first.about.isdigit() or int(first.about) == 0:
            raise NotUnderstood("how many processes were looked at is not said", where=answer.question)
        if any(section.name != "process" for section in rest):
            raise NotUnderstood("a section that is no process", where=answer.question)
        # A host may itself be a container: what counts is where a process stands below its own process 1.
        own = [line.removeprefix("cgroup ") for line in first.lines]
        root = _group(own).removesuffix("/init.scope").rstrip("/")
        found = []
        for section in rest:
            pid, name = section.words(2)
            told: Mapping[str, list[str]] = {"cgroup": [], "file": []}
            for line in section.lines:
                key, _, value = line.partition(" ")
                if key not in told or not pid.isdigit():
                    raise NotUnderstood(f"`{line[:60]}` says nothing known of {name}", where=answer.question)
                told[key].append(value)
            if told["file"]:  # none: it ended while it was looked at
                group = _group(told["cgroup"]).removeprefix(root)
                found.append(OldProcess(int(pid), name, group, tuple(told["file"])))
        return cls(int(first.about), tuple(found))


def _group(told: list[str]) -> str:
    """The control group, "/" for none. Where systemd keeps a hierarchy of its own it is told first, and knows best."""
    return next((group for group in told if group.startswith("/") and group != "/"), "/")
