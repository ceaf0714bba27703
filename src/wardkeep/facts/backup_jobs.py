"""The backup programs installed and the cron files that name one. Their commands, which may hold passwords, never travel.

systemd's own timers are in `services`. Not seen: jobs inside containers, backups made from outside the host, and whether
anything could be restored: only a restore shows that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, named

PROGRAMS = [
    "restic",
    "borg",
    "borgmatic",
    "duplicity",
    "duply",
    "pgbackrest",
    "barman",
    "wal-g",
    "kopia",
    "rsnapshot",
    "rdiff-backup",
    "backupninja",
    "burp",
    "bacula-fd",
    "bareos-fd",
    "proxmox-backup-client",
    "urbackupclientctl",
    "rustic",
    "bupstash",
]
SCRIPT = (
    QUOTE
    + rf"""
programs='{" ".join(PROGRAMS)}'
patterns='{" ".join("-e " + name for name in PROGRAMS)}'
"""
    + r"""
printf '= programs\n'
for name in $programs; do command -v "$name" >/dev/null && printf '|%s\n' "$name"; done
printf '= cron\n'
# One grep finds the files that name any; most name none.
set --
for file in /etc/crontab /etc/cron.d/* /etc/cron.hourly/* /etc/cron.daily/* /etc/cron.weekly/* /etc/cron.monthly/* \
  /var/spool/cron/crontabs/*; do
  [ ! -f "$file" ] || set -- "$@" "$file"
done
found=$([ $# = 0 ] || grep -lw $patterns -- "$@")
[ $? -le 1 ] || exit 1
set -f
IFS='
'
set -- $found
IFS=' '
for file; do
  grep -v '^[[:space:]]*#' "$file" | grep -ow $patterns | sort -u | while read -r name; do
    printf '|%s %s\n' "$name" "$file"
  done
done
"""
    + END
)


@dataclass(frozen=True, slots=True)
class CronJob:
    program: str
    path: str


@dataclass(frozen=True, slots=True)
class BackupJobs:
    ask: ClassVar[Question] = Question("backup_jobs", SCRIPT)
    programs: tuple[str, ...]
    cron: tuple[CronJob, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        programs, cron = named(answer, "programs", "cron")
        return cls(programs.lines, tuple(_job(line) for line in cron.lines))


def _job(line: str) -> CronJob:
    program, _, path = line.partition(" ")
    if program not in PROGRAMS or not path.startswith("/"):
        raise NotUnderstood(f"`{line[:60]}` is no cron file that names a backup program")
    return CronJob(program, path)
