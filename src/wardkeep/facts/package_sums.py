"""Every file of every Debian package against the checksum it shipped with: `dpkg --verify` over all of them.

It reads every installed file, gigabytes of them, so it is asked by a long look alone, at its own cadence. The sums lie on
the same host: an intruder who was root can rewrite both, so a clean answer finds accidents and clumsy intruders.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, named

DAY = 86400
SCRIPT = (
    QUOTE
    + r"""
command -v dpkg >/dev/null || exit 127
printf '= now\n|%s\n' "$(date +%s)"
count=$(dpkg-query -W -f '${db:Status-Status}\n' | grep -c '^installed$') || exit 1
# nice: whoever works on the host goes first.
told=$(nice -n 19 dpkg --verify); code=$?
[ "$code" -le 1 ] || exit 1
without=$(for file in /var/lib/dpkg/info/*.list; do
  name=${file%.list}; [ -e "$name.md5sums" ] || [ ! -s "$file" ] || printf '%s\n' "${name##*/}"
done)
printf '= packages\n|%s\n' "$count"
printf '= without\n'
[ -z "$without" ] || printf '%s\n' "$without" | quote
printf '= changed\n'
[ -z "$told" ] || printf '%s\n' "$told" | quote
"""
    + END
)
CHANGED = re.compile(r"(?P<marks>[?.SM5DLUGTPV]{9}|missing) +(?:(?P<conf>[cdglr]) )?(?P<path>/.+)")


@dataclass(frozen=True, slots=True)
class PackageSums:
    """`at` is the host's clock when the pass began. `changed` leaves configuration files out; `edited` are those."""

    ask: ClassVar[Question] = Question("package_sums", SCRIPT, tool="dpkg", timeout=1800, keep=7 * DAY)
    at: datetime
    packages: int
    without: tuple[str, ...]  # packages that shipped no checksums
    changed: tuple[str, ...]
    missing: tuple[str, ...]
    edited: tuple[str, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        now, packages, without, changed = named(answer, "now", "packages", "without", "changed")
        for section in (now, packages):
            if len(section.lines) != 1 or not section.lines[0].isdigit() or len(section.lines[0]) > 11:
                raise NotUnderstood(f"the section {section.name} is no number", where=answer.question)
        found: dict[str, list[str]] = {"changed": [], "missing": [], "edited": []}
        for line in changed.lines:
            match = CHANGED.fullmatch(line)
            if not match:
                raise NotUnderstood(f"`{line[:60]}` is no line of dpkg --verify", where=answer.question)
            if match["conf"] == "c":
                found["edited"].append(match["path"])
            elif match["marks"] == "missing":
                found["missing"].append(match["path"])
            elif "5" in match["marks"]:
                found["changed"].append(match["path"])
        return cls(
            datetime.fromtimestamp(int(now.lines[0]), UTC), int(packages.lines[0]), without.lines,
            tuple(found["changed"]), tuple(found["missing"]), tuple(found["edited"]),
        )  # fmt: skip
