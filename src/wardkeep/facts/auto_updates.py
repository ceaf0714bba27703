"""Whether the host installs security updates by itself: apt's configuration as apt reads it, its timers, its last runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, sections

# Stamps are files whose age apt and unattended-upgrades use themselves: /usr/lib/apt/apt.systemd.daily.
SCRIPT = (
    QUOTE
    + r"""
command -v apt-config >/dev/null || exit 127
told=$(apt-config dump) || exit
printf '= apt\n'
while IFS= read -r line; do
  case $line in APT::Periodic* | Unattended-Upgrade*) printf '|%s\n' "$line" ;; esac
done <<TOLD
$told
TOLD
if command -v unattended-upgrade >/dev/null; then printf '= program unattended-upgrade\n'; fi
if [ -d /run/systemd/system ]; then
  for unit in apt-daily.timer apt-daily-upgrade.timer; do
    printf '= timer %s %s %s\n' "$unit" "$(systemctl is-enabled "$unit" 2>/dev/null || true)" "$(systemctl is-active "$unit" 2>/dev/null || true)"
  done
elif [ -x /etc/cron.daily/apt-compat ] && command -v cron >/dev/null; then
  printf '= timer cron enabled unknown\n'
fi
for stamp in update-success-stamp update-stamp unattended-upgrades-stamp; do
  [ -e "/var/lib/apt/periodic/$stamp" ] && printf '= stamp %s %s\n' "$stamp" "$(stat -c %Y "/var/lib/apt/periodic/$stamp")"
done
printf '= clock %s\n' "$(date +%s)"
"""
    + END
)


@dataclass(frozen=True, slots=True)
class Timer:
    unit: str
    enabled: str  # systemd's words: enabled, disabled, masked, static
    active: str  # active, inactive, failed; `unknown` for cron


@dataclass(frozen=True)
class AutoUpdates:
    """`options` has apt's values by lower-case name; a list's values stand under its name. Times are Unix times."""

    ask: ClassVar[Question] = Question("auto_updates", SCRIPT, tool="apt-config")
    options: Mapping[str, tuple[str, ...]]
    has_program: bool
    timers: tuple[Timer, ...]
    stamps: Mapping[str, int]
    clock: int

    def days(self, name: str) -> int:
        """A period in days: 0 means never. apt also takes `always` and spans like `12h`, which count as daily."""
        value = self.options.get(f"apt::periodic::{name}".lower(), ("0",))[-1]
        if value.isdigit():
            return int(value)
        return 1 if value == "always" or re.fullmatch(r"\d+[smhd]", value) else 0

    @property
    def origins(self) -> tuple[str, ...]:
        """What unattended-upgrades may install, in its own two notations."""
        return (
            *self.options.get("unattended-upgrade::origins-pattern", ()),
            *self.options.get("unattended-upgrade::allowed-origins", ()),
        )

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        options: dict[str, list[str]] = {}
        timers: list[Timer] = []
        stamps: dict[str, int] = {}
        has_program, clock, spoken = False, 0, False
        for section in sections(answer):
            if section.name == "apt":
                spoken = True
                for line in section.lines:
                    found = re.fullmatch(r'([\w:./+-]+) "(.*)";', line)
                    if not found:
                        raise NotUnderstood(f"apt-config said `{line[:60]}`")
                    name = found[1].lower()
                    options.setdefault(name.rstrip(":"), [])
                    if found[2]:
                        options[name.rstrip(":")].append(found[2])
            elif section.name == "program":
                has_program = True
            elif section.name == "timer":
                unit, enabled, active = (*section.about.split(" "), "", "")[:3]
                timers.append(Timer(unit, enabled or "missing", active or "inactive"))
            elif section.name == "stamp":
                name, at = section.words(2)
                stamps[name] = _seconds(at)
            elif section.name == "clock":
                clock = _seconds(section.about)
            else:
                raise NotUnderstood(f"an unknown section {section.name}")
        if not spoken or not clock:
            raise NotUnderstood("a section is missing")
        return cls(
            {name: tuple(values) for name, values in options.items()},
            has_program,
            tuple(timers),
            stamps,
            clock,
        )


def _seconds(text: str) -> int:
    if not text.isdigit():
        raise NotUnderstood(f"`{text[:30]}` is no number")
    return int(text)
