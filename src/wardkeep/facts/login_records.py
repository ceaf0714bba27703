"""Where log-ins and privileged commands are written, and whether a reboot wipes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, sections

# `journal` is the folder the journal is really written to now: journald makes /var/log/journal/<machine> only when it persists.
SCRIPT = (
    r"""
machine=$(cat /etc/machine-id 2>/dev/null)
for folder in /var/log/journal /run/log/journal; do
  [ -n "$machine" ] && [ -e "$folder/$machine/system.journal" ] &&
    printf '= journal %s %s %s\n' "$(stat -c %Y "$folder/$machine/system.journal")" "$(stat -f -c %T "$folder")" "$folder/$machine"
done
for file in /var/log/auth.log /var/log/secure /var/log/wtmp /var/log/wtmp.db /var/lib/wtmpdb/wtmp.db /var/log/btmp /var/log/lastlog; do
  [ -e "$file" ] && printf '= file %s %s %s\n' "$(stat -L -c '%s %Y' "$file")" "$(stat -f -L -c %T "$file")" "$file"
done
printf '= now %s\n' "$(date +%s)"
"""
    + END
)


@dataclass(frozen=True, slots=True)
class Record:
    """A file that holds records. Size in bytes, `written` as Unix time, `medium` as `stat -f` names the file system."""

    path: str
    size: int
    written: int
    medium: str

    @property
    def lasts(self) -> bool:
        return self.medium not in ("tmpfs", "ramfs")


@dataclass(frozen=True, slots=True)
class LoginRecords:
    ask: ClassVar[Question] = Question("login_records", SCRIPT)
    files: tuple[Record, ...]
    journals: tuple[Record, ...]  # the folders that journald keeps this machine's journal in
    now: int  # the host's clock

    def file(self, *paths: str) -> Record | None:
        return next((record for record in self.files if record.path in paths), None)

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        files: list[Record] = []
        journals: list[Record] = []
        now = 0
        for section in sections(answer):
            if found := re.fullmatch(r"journal (\d+) (\S+) (\S+)", f"{section.name} {section.about}"):
                journals.append(Record(found[3], 0, int(found[1]), found[2]))
            elif found := re.fullmatch(r"file (\d+) (\d+) (\S+) (\S+)", f"{section.name} {section.about}"):
                files.append(Record(found[4], int(found[1]), int(found[2]), found[3]))
            elif section.name == "now" and section.about.isdigit():
                now = int(section.about)
            else:
                raise NotUnderstood(f"`{section.name} {section.about[:60]}` is not of the known form")
        if not now:
            raise NotUnderstood("the host did not tell its time")
        return cls(tuple(files), tuple(journals), now)
