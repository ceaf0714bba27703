"""Whether the clock follows a source of time, as the daemon that keeps it says: chrony, systemd-timesyncd, or the kernel's flag.

`timedatectl` tells the kernel's own flag (adjtimex), which every time daemon sets; chrony and timesyncd also tell the offset.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, sections

SCRIPT = (
    QUOTE
    + r"""
inside=
if command -v systemd-detect-virt >/dev/null; then inside=$(systemd-detect-virt -c) || inside=; fi
[ -n "$inside" ] || { [ -e /run/.containerenv ] || [ -e /.dockerenv ]; } && inside=${inside:-container}
[ -z "$inside" ] || [ "$inside" = none ] || printf '= container %s\n' "$inside"
if command -v chronyc >/dev/null && told=$(chronyc -c tracking 2>/dev/null); then
  printf '= chrony\n'; printf '%s\n' "$told" | quote
fi
if command -v timedatectl >/dev/null && told=$(timedatectl show 2>/dev/null); then
  printf '= timedatectl\n'; printf '%s\n' "$told" | quote
  if told=$(timedatectl timesync-status 2>/dev/null); then printf '= timesyncd\n'; printf '%s\n' "$told" | quote; fi
fi
"""
    + END
)
UNITS = {"ns": 1e-9, "us": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
# chrony's own clock as reference (`local`): its address 127.127.1.1 in hexadecimal. It follows nothing.
OWN_CLOCK = "7F7F0101"


@dataclass(frozen=True, slots=True)
class TimeSync:
    """`source` is who says it: `chrony`, `timesyncd`, `kernel`, or "" for nobody. `offset` in seconds, None if not told."""

    ask: ClassVar[Question] = Question("timesync", SCRIPT)
    container: str
    source: str
    synchronised: bool
    offset: float | None
    about: str  # what was said, in the daemon's own words

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        found = {section.name: section for section in sections(answer)}
        container = found["container"].about if "container" in found else ""
        if "chrony" in found:
            return cls(container, "chrony", *_chrony(found["chrony"].lines))
        flags = _properties(found["timedatectl"].lines) if "timedatectl" in found else {}
        synchronised = flags.get("NTPSynchronized") == "yes"
        if "timesyncd" in found:
            offset, server = _timesyncd(found["timesyncd"].lines)
            known = synchronised and offset is not None
            return cls(container, "timesyncd", known, offset, f"server {server}")
        if flags:
            said = f"NTPSynchronized={flags.get('NTPSynchronized', '?')}, NTP={flags.get('NTP', '?')}"
            return cls(container, "kernel", synchronised, None, said)
        return cls(container, "", False, None, "neither chrony nor timedatectl is there to say so")


def _chrony(lines: tuple[str, ...]) -> tuple[bool, float, str]:
    """chronyc -c tracking: reference id, name, stratum, time, system time offset, ..., leap status (chronyc(1))."""
    fields = lines[0].split(",") if len(lines) == 1 else []
    try:
        identity, name, stratum, offset, leap = (
            fields[0],
            fields[1],
            int(fields[2]),
            float(fields[4]),
            fields[13],
        )
    except (IndexError, ValueError):
        raise NotUnderstood("chronyc tracking said another thing") from None
    if identity == OWN_CLOCK:
        return False, offset, "its own clock is its reference, so that it follows nothing"
    said = f"reference {name or identity}, stratum {stratum}, leap status {leap.lower()}"
    return leap != "Not synchronised" and stratum > 0, offset, said


def _properties(lines: tuple[str, ...]) -> Mapping[str, str]:
    pairs = [line.partition("=") for line in lines]
    if not all(equals for _, equals, _ in pairs):
        raise NotUnderstood("timedatectl show said another thing")
    return {name: value for name, _, value in pairs}


def _timesyncd(lines: tuple[str, ...]) -> tuple[float | None, str]:
    told = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in lines}
    if "Server" not in told:
        raise NotUnderstood("timedatectl timesync-status named no server")
    offset = told.get("Offset")
    return (_span(offset) if offset else None), told["Server"]


def _span(text: str) -> float:
    """`-1.262ms`, `1min 2.5s` as seconds."""
    parts = re.findall(r"([\d.]+)(\D+?)(?:\s|$)", text.lstrip("+-"))
    try:
        seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    except (KeyError, ValueError):
        parts = []
        seconds = 0.0
    if not parts:
        raise NotUnderstood(f"`{text[:30]}` is no span of time")
    return -seconds if text.startswith("-") else seconds
