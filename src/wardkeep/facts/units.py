"""Units that failed, as systemd itself reports them; on a host without systemd, what runs as PID 1 instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, sections

SCRIPT = (
    QUOTE
    + r"""
read -r first </proc/1/comm || exit
printf '= first %s\n' "$first"
if [ -d /run/systemd/system ]; then
  command -v systemctl >/dev/null || exit 127
  state=$(systemctl is-system-running 2>/dev/null)
  [ -n "$state" ] || exit 4
  printf '= state %s\n' "$state"
  told=$(systemctl list-units --state=failed --plain --no-legend --no-pager --full) || exit
  printf '= failed\n'; [ -z "$told" ] || printf '%s\n' "$told" | quote
fi
"""
    + END
)


@dataclass(frozen=True, slots=True)
class Units:
    """`first` is PID 1. `state` is systemd's word for the whole (`running`, `degraded`, ...), "" without systemd."""

    ask: ClassVar[Question] = Question("units", SCRIPT, tool="systemctl", root=False)
    first: str
    state: str
    failed: tuple[tuple[str, str], ...]  # (unit, its description)

    @property
    def has_systemd(self) -> bool:
        return bool(self.state)

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        """Raises NotUnderstood for a line without systemd's five columns."""
        found = {section.name: section for section in sections(answer)}
        if "first" not in found or ("state" in found) != ("failed" in found):
            raise NotUnderstood("a section is missing")
        if "state" not in found:
            return cls(found["first"].about, "", ())
        failed = []
        for line in found["failed"].lines:
            words = line.split(None, 4)
            if len(words) < 4 or "." not in words[0] or words[2] != "failed":
                raise NotUnderstood(f"systemctl said `{line[:60]}`")
            failed.append((words[0], words[4] if len(words) > 4 else ""))
        return cls(found["first"].about, found["state"].about, tuple(failed))
