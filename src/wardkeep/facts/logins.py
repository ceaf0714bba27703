"""When each account was last seen logging in, and how far back the records reach.

Three sources, whichever the host has: `last` (wtmp, or wtmpdb on Debian 13), `lastlog`, and the sessions that
systemd-logind wrote into the journal (they also cover sessions without a terminal, which the other two omit).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, sections

# A journal entry of systemd-logind with this id marks a new session (systemd.journal-fields, SD_MESSAGE_SESSION_START).
SESSION_START = "8d45620c1a4348dbb17410da57c60c66"
SCRIPT = (
    QUOTE
    + r"""
if command -v last >/dev/null; then
  for file in '' /var/log/wtmp.1; do
    [ -z "$file" ] || [ -s "$file" ] || continue
    told=$(last -w --time-format iso ${file:+-f "$file"} 2>/dev/null) || continue
    printf '= last %s\n' "$file"; printf '%s\n' "$told" | quote
  done
fi
if command -v lastlog >/dev/null && told=$(lastlog); then
  printf '= lastlog\n'; printf '%s\n' "$told" | quote
fi
if command -v journalctl >/dev/null && first=$(journalctl -q --no-pager -o json --output-fields=_BOOT_ID | head -n 1) && [ -n "$first" ]; then
  printf '= journal\n|%s\n' "$first"
  told=$(journalctl -q --no-pager -r -n 5000 -o json --output-fields=USER_ID MESSAGE_ID="""
    + SESSION_START
    + r""") || exit
  printf '= sessions\n'; [ -z "$told" ] || printf '%s\n' "$told" | quote
fi
"""
    + END
)
ISO = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:?\d\d)"
NO_PERSON = frozenset({"reboot", "shutdown", "runlevel", "boot"})
CUT = 5000
Note = Callable[[str, datetime], None]


@dataclass(frozen=True)
class Logins:
    """`seen` has the newest log-in of each account, UTC. `since` is when the oldest record of any source begins.

    Where only `last` reaches that far, sessions without a terminal may be missing before the journal begins: an
    account can then look more idle than it was, never less.
    """

    ask: ClassVar[Question] = Question("logins", SCRIPT)
    seen: Mapping[str, datetime]
    since: datetime
    sources: tuple[str, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        """Raises NotUnderstood if the host keeps no record of log-ins at all, or for a line of another form."""
        seen: dict[str, datetime] = {}
        begins: list[datetime] = []
        sources: list[str] = []

        def note(account: str, at: datetime) -> None:
            seen[account] = max(at, seen.get(account, at))

        for section in sections(answer):
            sources.append(section.name)
            if section.name == "last":
                begins.append(_last(section.lines, note))
            elif section.name == "lastlog":
                _lastlog(section.lines, note)
            elif section.name == "journal":
                begins.append(_microseconds(json.loads(section.lines[0])["__REALTIME_TIMESTAMP"]))
            elif section.name == "sessions":
                entries = [json.loads(line) for line in section.lines]
                for entry in entries:
                    note(entry["USER_ID"], _microseconds(entry["__REALTIME_TIMESTAMP"]))
                if len(entries) >= CUT:
                    begins[-1] = _microseconds(entries[-1]["__REALTIME_TIMESTAMP"])
            else:
                raise NotUnderstood(f"an unknown section {section.name}")
        if not begins:
            raise NotUnderstood("the host has neither `last` nor a journal")
        return cls(seen, min(begins), tuple(dict.fromkeys(sources)))


def _last(lines: tuple[str, ...], note: Note) -> datetime:
    begins = None
    for line in lines:
        if found := re.fullmatch(rf"\S+ begins {ISO}", line):
            begins = _iso(found[1])
        elif found := re.match(rf"(\S+) .*?\s{ISO}", line):
            if found[1] not in NO_PERSON:
                note(found[1], _iso(found[2]))
        elif line.strip():
            raise NotUnderstood(f"last said `{line[:60]}`")
    if begins is None:
        raise NotUnderstood("last did not say when its records begin")
    return begins


def _lastlog(lines: tuple[str, ...], note: Note) -> None:
    for line in lines[1:]:
        if "**Never logged in**" in line:
            continue
        found = re.fullmatch(r"(\S+)\s.*\s(\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d [+-]\d{4} \d{4})", line)
        if not found:
            raise NotUnderstood(f"lastlog said `{line[:60]}`")
        when = datetime.strptime(found[2], "%a %b %d %H:%M:%S %z %Y")
        note(found[1], when.astimezone(UTC))


def _iso(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _microseconds(text: str) -> datetime:
    return datetime.fromtimestamp(int(text) / 1_000_000, UTC)
