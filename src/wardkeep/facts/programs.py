"""Whether the programs that guard a host are as their packages shipped them, and which set-id programs no package owns.

`dpkg --verify` compares with checksums kept on the host itself: an attacker who is root can rewrite both, so a clean
answer is a check for accidents and clumsy intruders, not proof. Not seen: kernel modules, memory, and programs outside
/usr, /etc, /opt and the temporary folders.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, named

# Small packages through which everybody enters and acts; verifying all of a host would read gigabytes.
PACKAGES = [
    "bash",
    "dash",
    "coreutils",
    "login",
    "passwd",
    "util-linux",
    "sudo",
    "openssh-server",
    "openssh-client",
    "libpam-modules",
    "libpam-runtime",
    "procps",
    "iproute2",
    "nftables",
    "cron",
    "dpkg",
    "gpgv",
    "base-files",
]
SCRIPT = (
    QUOTE
    + r"""
command -v dpkg >/dev/null || exit 127
"""
    + f"wanted='{' '.join(PACKAGES)}'\n"
    + r"""
# One call for all: it says 1 when one of them is not known.
present=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null)
[ $? -le 1 ] || exit 1
present=$(printf '%s\n' "$present" | sed -n 's/^installed //p' | sort -u)
[ "$present" ] || exit 1
printf '= verified\n'
for name in $present; do printf '|%s\n' "$name"; done
printf '= changed\n'
told=$(dpkg --verify $present); code=$?
[ "$code" -le 1 ] || exit 1
[ -z "$told" ] || printf '%s\n' "$told" | quote
# Under the temporary folders anybody makes files, by any name, and takes them away while it looks. What vanished is no failure; a
# path with a line break is told by the number of its file.
IFS='
'
set -f
found=$(find /usr /etc /opt /tmp /var/tmp -ignore_readdir_race -xdev -path /usr/share -prune -o -type f -perm /6000 \
  \( -path "*$IFS*" -printf '|%m %u /(a path with a line break, file %i)\n' -o -printf '|%m %u %p\n' \) 2>&1)
code=$?
wrong=$(printf '%s\n' "$found" | grep -v -e '^|' -e ': No such file or directory$' -e '^$')
[ "$code" = 0 ] || [ -z "$wrong" ] || { printf '%s\n' "$wrong" >&2; exit 1; }
found=$(printf '%s\n' "$found" | grep '^|')
printf '= setid\n'
[ -z "$found" ] || printf '%s\n' "$found"
printf '= owned\n'
# One call for all (each reads every list of files); packages from before the merge of /usr name /bin/su. It takes these
# characters for patterns; no package names its programs so.
found=$(printf '%s\n' "$found" | sed -n '/[][*?\\]/d;s/^|[0-7]* [^ ]* //p')
[ -z "$found" ] || dpkg-query -S -- $found $(printf '%s\n' "$found" | sed 's,^/usr,,') 2>/dev/null | quote
"""
    + END
)
# `??5?????? c /etc/file`: what differs (5: the content), `c` for a configuration file, the path.
CHANGED = re.compile(r"(?P<marks>[?.SM5DLUGTPV]{9}|missing) +(?:(?P<conf>[cdglr]) )?(?P<path>/.+)")
SETID = re.compile(r"(?P<mode>[0-7]{4,5}) (?P<user>\S+) (?P<path>/.+)")


@dataclass(frozen=True, slots=True)
class SetId:
    """A program that runs with its owner's or group's rights. `package` is "" where dpkg knows none."""

    path: str
    mode: str
    user: str
    package: str


@dataclass(frozen=True, slots=True)
class Programs:
    ask: ClassVar[Question] = Question("programs", SCRIPT, tool="dpkg", timeout=60)
    verified: tuple[str, ...]  # packages
    changed: tuple[
        str, ...
    ]  # paths whose content differs or that are missing; configuration files are left out
    setid: tuple[SetId, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        verified, changed, setid, owned = named(answer, "verified", "changed", "setid", "owned")
        owners = dict(_owner(line) for line in owned.lines if not line.startswith("diversion "))
        return cls(
            verified.lines,
            tuple(path for line in changed.lines if (path := _changed(line))),
            tuple(_setid(line, owners) for line in setid.lines),
        )


def _changed(line: str) -> str:
    match = CHANGED.fullmatch(line)
    if not match:
        raise NotUnderstood(f"`{line[:60]}` is no line of dpkg --verify")
    differs = match["marks"] == "missing" or "5" in match["marks"]
    return "" if match["conf"] == "c" or not differs else match["path"]


def _owner(line: str) -> tuple[str, str]:
    """`passwd: /usr/bin/chage`, `libc6:amd64, libc6:i386: /lib/x`: path and package."""
    package, colon, path = line.rpartition(": ")
    if not colon:
        raise NotUnderstood(f"`{line[:60]}` is no line of dpkg-query -S")
    return path, package.partition(",")[0].partition(":")[0]


def _setid(line: str, owners: Mapping[str, str]) -> SetId:
    match = SETID.fullmatch(line)
    if not match:
        raise NotUnderstood(f"`{line[:60]}` describes no set-id program")
    path = match["path"]
    owner = owners.get(path) or owners.get(path.removeprefix("/usr"), "")
    return SetId(path, match["mode"], match["user"], owner)
