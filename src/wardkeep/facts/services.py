"""The services and timers that systemd has loaded: what runs, what is switched on, and when a job last ended.

Not seen: jobs of cron, programs started by hand or inside containers, and units that systemd has not loaded since boot.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, named

# --all: without it a pattern names no unit that is inactive just now, such as a backup that ended well.
# TZ: systemctl writes times in the local zone otherwise.
SCRIPT = (
    QUOTE
    + r"""
command -v systemctl >/dev/null || exit 127
TZ=UTC; export TZ
told=$(systemctl show --no-pager --all \
  -p Id,LoadState,ActiveState,SubState,UnitFileState,Result,ExecMainExitTimestamp,LastTriggerUSec,Unit '*.service' '*.timer')
[ "$told" ] || exit 1
printf '= units\n'; printf '%s\n' "$told" | quote
"""
    + END
)


@dataclass(frozen=True, slots=True)
class Unit:
    """A service or timer. `ended` is when its main process last ended, `triggered` when a timer last fired (UTC)."""

    name: str
    load: str  # "loaded", "not-found", "masked"
    active: str  # "active", "inactive", "failed", "activating"
    sub: str  # "running", "exited", "dead", "waiting"
    enabled: str  # "enabled", "disabled", "static", ""
    result: str  # "success", "exit-code", ...
    ended: datetime | None = None
    triggered: datetime | None = None
    starts: str = ""  # for a timer, the unit it starts

    @property
    def runs(self) -> bool:
        # A program that has ended may still be called active: (exited), as every script of the old init system.
        return self.active == "active" and self.sub != "exited"

    @property
    def state(self) -> str:
        """What a person wants to read: `active (running), enabled`."""
        return ", ".join(part for part in (f"{self.active} ({self.sub})", self.enabled) if part)


@dataclass(frozen=True, slots=True)
class Services:
    ask: ClassVar[Question] = Question("services", SCRIPT, tool="systemctl", root=False)
    units: tuple[Unit, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        (told,) = named(answer, "units")
        units = tuple(_unit(block.splitlines()) for block in told.text.split("\n\n") if block.strip())
        if not units:
            raise NotUnderstood("systemd named no unit", where=answer.question)
        return cls(units)

    def installed(self, names: Iterable[str]) -> tuple[Unit, ...]:
        """Those of the named units (without `.service`) that exist here, by name; `@` names an instance's template."""
        wanted = set(names)
        found = [u for u in self.units if u.load == "loaded" and _bare(u.name) in wanted]
        return tuple(sorted(found, key=lambda u: u.name))


def _bare(name: str) -> str:
    stem = name.removesuffix(".service").removesuffix(".timer")
    return stem.partition("@")[0] + "@" if "@" in stem else stem


def _unit(lines: list[str]) -> Unit:
    said: dict[str, str] = {}
    for line in lines:
        key, equals, value = line.partition("=")
        if not equals or not key.isalpha() or key in said:
            raise NotUnderstood(f"`{line[:60]}` is no property of a unit")
        said[key] = value
    try:
        return Unit(
            said["Id"],
            said["LoadState"],
            said["ActiveState"],
            said["SubState"],
            said["UnitFileState"],
            said["Result"],
            _time(said.get("ExecMainExitTimestamp", "")),
            _time(said.get("LastTriggerUSec", "")),
            said.get("Unit", ""),
        )
    except KeyError as e:
        raise NotUnderstood(f"a unit without {e.args[0]}") from None


def _time(text: str) -> datetime | None:
    """`Sun 2026-11-22 10:04:00 UTC`; "" and `n/a` for never."""
    if text in ("", "n/a"):
        return None
    try:
        return datetime.strptime(text, "%a %Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC)
    except ValueError:
        raise NotUnderstood(f"`{text}` is no time in UTC") from None
