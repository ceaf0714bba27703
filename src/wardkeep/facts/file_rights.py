"""Owner and rights of the files on which a system's security rests, of people's homes, and of jobs' folders."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, named

PATHS = (
    "/etc/passwd /etc/passwd- /etc/group /etc/group- /etc/shadow /etc/shadow- /etc/gshadow /etc/gshadow- "
    "/etc/security/opasswd /etc/sudoers /etc/sudoers.d /etc/sudoers.d/* /etc/ssh/sshd_config /etc/ssh/sshd_config.d/* "
    "/etc/pam.d /etc/pam.d/* /etc/crontab /etc/cron.d /etc/cron.d/* /etc/cron.hourly /etc/cron.daily /etc/cron.weekly "
    "/etc/cron.monthly /etc/cron.yearly /etc/cron.allow /etc/at.allow /etc/profile /etc/bash.bashrc /etc/environment "
    "/etc/ld.so.preload /etc/ld.so.conf /etc/hosts /etc/fstab /etc/crypttab /etc/systemd/system /etc/audit/audit.rules "
    "/etc/audit/rules.d /etc/audit/rules.d/* /etc/audit/auditd.conf /var/log/audit /var/log/audit/audit.log "
    "/boot/grub/grub.cfg /etc/motd /etc/issue /etc/issue.net /root /tmp /var/tmp /var/log"
)
# That the shell itself could ask is proved by /. One `stat` for all: it says 1 where one vanished meanwhile.
SCRIPT = (
    QUOTE
    + r"""
command -v stat >/dev/null || exit 127
stat -c '%a %u %U %g %G %F:%n' / >/dev/null || exit 1
printf '= files\n'
set --
for file in """
    + PATHS
    + r"""; do
  [ -e "$file" ] || continue
  case $file in *-) [ ! -L "$file" ] || continue ;; esac
  set -- "$@" "$file"
done
told=$(stat -L -c '%a %u %U %g %G %F:%n' -- "$@")
[ $? -le 1 ] || exit 1
printf '%s\n' "$told" | quote
printf '= homes\n'
all=$(getent passwd) || exit 1
printf '%s\n' "$all" | while IFS=: read -r name pass uid gid about home shell; do
  case ${shell##*/} in nologin | false | sync | '') continue ;; esac
  [ "$home" != / ] && [ -d "$home" ] || { printf '|- 0 - 0 - absent:%s %s\n' "$name" "$home"; continue; }
  told=$(stat -L -c '%a %u %U %g %G %F' -- "$home") || exit 1
  printf '|%s:%s %s\n' "$told" "$name" "$home"
done
printf '= umask\n'
sed -n 's/^[[:space:]]*UMASK[[:space:]]\{1,\}\([0-7]\{3,4\}\).*/|\1/p' /etc/login.defs
printf '= boot\n'
for file in /boot/grub/grub.cfg /boot/efi/EFI/debian/grub.cfg; do
  [ -e "$file" ] || continue
  if grep -qs '^[[:space:]]*password_pbkdf2' "$file"; then printf '|password %s\n' "$file"; else printf '|open %s\n' "$file"; fi
done
"""
    + END
)
LINE = re.compile(
    r"(?P<mode>[0-7]{1,4}|-) (?P<uid>\d+) (?P<user>\S+) (?P<gid>\d+) (?P<group>\S+) (?P<kind>[a-z ]+):(?P<path>.+)"
)


@dataclass(frozen=True, slots=True)
class Rights:
    """A file or folder that is there. For a home, `owner_should_be` is the account."""

    path: str
    mode: int
    user: str
    group: str
    is_folder: bool
    account: str = ""

    @property
    def shown(self) -> str:
        return f"{self.mode:04o} {self.user}:{self.group}"


@dataclass(frozen=True, slots=True)
class FileRights:
    ask: ClassVar[Question] = Question("file_rights", SCRIPT, tool="stat")
    files: tuple[Rights, ...]
    homes: tuple[Rights, ...]
    homeless: tuple[str, ...]  # accounts with a shell whose home is not there
    umask: str  # of login.defs, "" where it names none
    boot: tuple[tuple[str, bool], ...]  # boot menu, is changing it kept behind a password

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        files, homes, umask, boot = named(answer, "files", "homes", "umask", "boot")
        if not files.lines or len(umask.lines) > 1:
            raise NotUnderstood("no file was told of", where=answer.question)
        people = [_line(line) for line in homes.lines]
        return cls(
            tuple(_rights(m, m["path"], "") for m in map(_line, files.lines)),
            tuple(
                _rights(m, m["path"].partition(" ")[2], m["path"].partition(" ")[0])
                for m in people
                if m["mode"] != "-"
            ),
            tuple(m["path"].partition(" ")[0] for m in people if m["mode"] == "-"),
            umask.lines[0] if umask.lines else "",
            tuple(_boot(line) for line in boot.lines),
        )

    def find(self, path: str) -> Rights | None:
        return next((one for one in self.files if one.path == path), None)


def _line(line: str) -> re.Match[str]:
    match = LINE.fullmatch(line)
    if not match:
        raise NotUnderstood(f"`{line[:60]}` describes no file")
    return match


def _rights(match: re.Match[str], path: str, account: str) -> Rights:
    if not path.startswith("/"):
        raise NotUnderstood(f"`{path[:60]}` is no path")
    return Rights(
        path,
        int(match["mode"], 8),
        match["user"],
        match["group"],
        match["kind"] == "directory",
        account,
    )


def _boot(line: str) -> tuple[str, bool]:
    state, _, path = line.partition(" ")
    if state not in ("password", "open") or not path.startswith("/"):
        raise NotUnderstood(f"`{line[:60]}` tells nothing of a boot menu")
    return path, state == "password"
