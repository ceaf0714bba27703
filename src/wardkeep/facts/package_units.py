"""Which packages bring which services: those that dpkg restarts when the package is upgraded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, sections

SCRIPT = f"""command -v dpkg-query >/dev/null || exit 127
# By exact names: a pattern would be held against every file of every package. Packages from before the merge of /usr name /lib.
set --
[ -L /lib ] || set -- /lib/systemd/system/*.service /lib/systemd/system/*/*.service
for file in /usr/lib/systemd/system/*.service /usr/lib/systemd/system/*/*.service; do
  set -- "$@" "$file"
  [ ! -L /lib ] || set -- "$@" "${{file#/usr}}"
done
out=$(dpkg-query -S -- "$@" 2>/dev/null)
[ $? -le 1 ] || exit 2
printf '= units\\n'
[ -z "$out" ] || printf '%s\\n' "$out" | sed 's/^/|/'
out=$(systemctl list-units --type=service --state=running --no-legend --plain 2>/dev/null) || out=
printf '= running\\n'
[ -z "$out" ] || printf '%s\\n' "$out" | sed 's/^/|/'
{END}"""


@dataclass(frozen=True, slots=True)
class PackageUnits:
    """(package, unit) pairs, and the units that run now (none where systemd does not run)."""

    ask: ClassVar[Question] = Question("package_units", SCRIPT, tool="dpkg-query")
    owned: tuple[tuple[str, str], ...]
    running: frozenset[str]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        """Lines of `dpkg-query -S` (`a, b: /path`; lines of diversions are skipped) and of `systemctl list-units`."""
        told = {section.name: section.lines for section in sections(answer)}
        if set(told) != {"units", "running"}:
            raise NotUnderstood("the sections are not `units` and `running`", where=answer.question)
        owned = []
        for line in told["units"]:
            if line.startswith("diversion by "):
                continue
            names, colon, path = line.partition(": /")
            if not colon:
                raise NotUnderstood(f"`{line[:60]}` names no file", where=answer.question)
            owned += [(name.partition(":")[0], path.rpartition("/")[2]) for name in names.split(", ")]
        return cls(tuple(owned), frozenset(line.split()[0] for line in told["running"] if line.strip()))

    def restarted_with(self, packages: frozenset[str]) -> tuple[str, ...]:
        """The running units that belong to the packages (without architecture), sorted."""
        units = {unit for package, unit in self.owned if package in packages}
        return tuple(sorted(units & self.running))
