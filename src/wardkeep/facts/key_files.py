"""Private keys in files: who may read them and when they were written; and the SSH host keys' kinds. Never their content.

Looked at: PEM and OpenSSH keys under /etc and in the `.ssh` folders of root and of homes under /home. Not seen: keys elsewhere,
in other formats (PKCS #12, WireGuard), in agents, tokens and key services.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, named

# grep is asked for many files at once: a process for each file of /etc would take seconds.
SCRIPT = (
    QUOTE
    + r"""
printf '= keys\n'
for folder in /etc /root/.ssh /home/*/.ssh; do
  [ -d "$folder" ] || continue
  found=$(find "$folder" -xdev -type f -size -65k -exec sh -c \
    'grep -lE -e "^-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY-----" -- "$@"; [ $? -le 1 ]' sh {} +) || exit 1
  [ -n "$found" ] || continue
  set -f
  IFS='
'
  told=$(stat -c '%a %U %G %Y %n' -- $found) || exit 1
  set +f
  unset IFS
  printf '%s\n' "$told" | quote
done
printf '= live\n'
for link in /etc/letsencrypt/live/*/privkey*.pem; do [ -e "$link" ] && readlink -f "$link"; done | quote
printf '= hosts\n'
for file in /etc/ssh/ssh_host_*_key.pub; do
  [ -e "$file" ] || continue
  command -v ssh-keygen >/dev/null || exit 127
  told=$(ssh-keygen -l -f "$file") || exit 1
  printf '|%s %s %s\n' "${told%% *}" "${told##* }" "$file"
done
"""
    + END
)
KEY = re.compile(r"(?P<mode>[0-7]{3,4}) (?P<owner>\S+) (?P<group>\S+) (?P<written>\d+) (?P<path>/.+)")
HOST_KEY = re.compile(r"(?P<bits>\d+) \((?P<kind>[\w-]+)\) (?P<path>/.+)")


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file that holds a private key. `written` is the file's last change (UTC), the nearest thing to the key's birth."""

    path: str
    mode: int
    owner: str
    group: str
    written: datetime
    superseded: bool = False  # an older key that certbot keeps beside the one in use

    @property
    def shown_mode(self) -> str:
        return f"{self.mode:04o} {self.owner}:{self.group}"


@dataclass(frozen=True, slots=True)
class HostKey:
    """An SSH host key: its kind (`RSA`, `ED25519`, `ECDSA`, `DSA`) and size in bits."""

    path: str
    kind: str
    bits: int


@dataclass(frozen=True, slots=True)
class KeyFiles:
    ask: ClassVar[Question] = Question("key_files", SCRIPT, tool="find")
    keys: tuple[KeyFile, ...]
    host_keys: tuple[HostKey, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        keys, live, hosts = named(answer, "keys", "live", "hosts")
        in_use = set(live.lines)
        return cls(
            tuple(_key(line, in_use) for line in keys.lines), tuple(_host_key(line) for line in hosts.lines)
        )


def _key(line: str, in_use: set[str]) -> KeyFile:
    match = KEY.fullmatch(line)
    if not match:
        raise NotUnderstood(f"`{line[:60]}` describes no file")
    path = match["path"]
    return KeyFile(
        path,
        int(match["mode"], 8),
        match["owner"],
        match["group"],
        datetime.fromtimestamp(int(match["written"]), UTC),
        path.startswith("/etc/letsencrypt/archive/") and path not in in_use,
    )


def _host_key(line: str) -> HostKey:
    match = HOST_KEY.fullmatch(line)
    if not match:
        raise NotUnderstood(f"`{line[:60]}` describes no host key")
    return HostKey(match["path"], match["kind"], int(match["bits"]))
