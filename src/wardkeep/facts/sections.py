"""Answers made of named sections, so that one question can show several files and commands and still be read exactly.

A header line starts with `= `, a quoted line with `|`, and the last line is `= end`. Nothing a file contains can pass
for a header, and an answer that was cut anywhere lacks its end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer

# POSIX sh: `quote` prints its standard input, each line behind a bar, and ends the last line if the file does not.
QUOTE = """quote() { while IFS= read -r line || [ -n "$line" ]; do printf '|%s\\n' "$line"; done; }
"""
# POSIX sh: apt's own cache of all packages is read where nothing that it was made from is newer, so that apt has no reason to write
# it anew. Otherwise apt builds one (half a second of CPU), in a folder that is gone afterwards: the round's, where the next question
# finds it (apt itself looks whether it agrees with the lists), or one of the question's own; where there is no room, in memory, each
# time. Use $apt_cache unquoted.
APT_CACHE = """made= lists= status=
eval "$(apt-config shell made Dir::Cache::pkgcache/f lists Dir::State::lists/d status Dir::State::status/f 2>/dev/null)"
if [ -s "$made" ] && newer=$(find "$lists" "$status" /etc/apt -cnewer "$made" 2>&1) && [ -z "$newer" ]; then
  apt_cache=
elif [ -d "${WARDKEEP_ROUND:-}" ]; then
  apt_cache="-o Dir::Cache::pkgcache=$WARDKEEP_ROUND/packages -o Dir::Cache::srcpkgcache="
  if ! apt-cache $apt_cache policy >/dev/null 2>&1 || [ ! -s "$WARDKEEP_ROUND/packages" ]; then
    rm -f "$WARDKEEP_ROUND"/packages*
    apt_cache="-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache="
  fi
else
  own=$(mktemp -d 2>/dev/null) && trap 'rm -rf "$own"' EXIT && trap 'exit 1' HUP INT TERM
  apt_cache="-o Dir::Cache::pkgcache=${own:+$own/packages} -o Dir::Cache::srcpkgcache="
fi
"""
END = "printf '= end\\n'\n"


@dataclass(frozen=True, slots=True)
class Section:
    """`= name rest of the header`, and the quoted lines under it."""

    name: str
    about: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def words(self, count: int) -> list[str]:
        """The header's words; the last keeps its spaces. Raises NotUnderstood if there are fewer."""
        words = self.about.split(" ", count - 1)
        if len(words) != count or not all(words):
            raise NotUnderstood(f"the header `{self.name} {self.about}` lacks a word")
        return words


def sections(answer: Answer) -> Iterator[Section]:
    """The sections of an answer, in order. Raises NotUnderstood for a cut answer or a line that is neither."""
    lines = answer.text().split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    if not lines or lines[-1] != "= end":
        raise NotUnderstood("the answer lacks its last line", where=answer.question)
    name, about, quoted = "", "", list[str]()
    for number, line in enumerate(lines, 1):
        if line.startswith("|") and name:
            quoted.append(line[1:])
        elif line.startswith("= "):
            if name:
                yield Section(name, about, tuple(quoted))
            name, _, about = line[2:].partition(" ")
            quoted = []
        else:
            raise NotUnderstood(f"line {number} is neither a header nor quoted", where=answer.question)


def named(answer: Answer, *names: str) -> list[Section]:
    """The sections of an answer that has exactly these, once each and in this order. Raises NotUnderstood otherwise."""
    found = list(sections(answer))
    if [section.name for section in found] != list(names):
        raise NotUnderstood(f"sections {', '.join(names)} were expected", where=answer.question)
    return found


def read_json(section: Section) -> Any:
    """The quoted lines as JSON. Raises NotUnderstood."""
    try:
        return json.loads(section.text)
    except ValueError:
        raise NotUnderstood(f"the section {section.name} is no JSON") from None
