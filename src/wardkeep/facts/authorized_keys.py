"""The public keys that open each account, from the files that sshd itself says it reads.

The host names the files by `sshd -T` (AuthorizedKeysFile, with %h, %u, %U and %% resolved); a Match block that names other files
is seen by `Sshd`. Options and comments come along; a public key is no secret. Not followed: AuthorizedKeysCommand and
certificates, which `commanded` and `certified` report.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, sections

SCRIPT = (
    QUOTE
    + r"""
sshd=$(command -v sshd) || exit 127
told=$("$sshd" -T) || exit
patterns= ; strict=
while read -r key value; do
  case $key in
    authorizedkeysfile) patterns=$value ;;
    strictmodes) strict=$value ;;
    authorizedkeyscommand) printf '= command %s\n' "$value" ;;
    trustedusercakeys) printf '= authority %s\n' "$value" ;;
  esac
done <<TOLD
$told
TOLD
printf '= patterns %s %s\n' "$strict" "$patterns"
all=$(getent passwd) || exit
set -f
while IFS=: read -r name hash uid gid about home shell; do
  for pattern in $patterns; do
    [ "$pattern" = none ] && continue
    path= ; rest=$pattern
    while [ "${rest#*%}" != "$rest" ]; do
      path=$path${rest%%\%*}; rest=${rest#*%}
      case $rest in h*) path=$path$home ;; u*) path=$path$name ;; U*) path=$path$uid ;; %*) path=$path% ;; *) exit 3 ;; esac
      rest=${rest#?}
    done
    path=$path$rest
    case $path in /*) ;; *) path=${home%/}/$path ;; esac
    if [ -e "$path" ]; then
      about=$(stat -L -c '%u %a' "$path") || exit
      open=no; folder=$path
      while :; do
        set -- $(stat -L -c '%u %a' "$folder")
        [ "$1" = 0 ] || [ "$1" = "$uid" ] || open=yes
        case $2 in *[2367]? | *[2367]) open=yes ;; esac
        [ "$folder" = "${home%/}" ] || [ "$folder" = / ] && break
        folder=${folder%/*}; [ -n "$folder" ] || folder=/
      done
      printf '= file %s %s %s\n' "$name" "$open" "$path"
      quote <"$path" || exit
    fi
  done
done <<ALL
$all
ALL
"""
    + END
)
TYPES = re.compile(
    r"(ssh-(rsa|dss|ed25519)|ecdsa-sha2-nistp\d+|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)"
)
OPTION = re.compile(r'(?P<name>[A-Za-z0-9-]+)(="(?P<value>(?:\\"|[^"])*)")?(,|$)')


@dataclass(frozen=True, slots=True)
class Key:
    """One line of an authorized_keys file. `bits` is 0 where the type fixes the strength."""

    account: str
    type: str
    fingerprint: str  # SHA256:...
    bits: int
    comment: str
    options: tuple[tuple[str, str], ...]
    where: str  # "/root/.ssh/authorized_keys:3"
    heeded: bool  # False: StrictModes makes sshd ignore the file, for others may write there
    text: str  # the line itself

    @property
    def on_hardware(self) -> bool:
        """The private half cannot leave a security key."""
        return self.type.startswith("sk-")

    def option(self, name: str) -> str | None:
        """The option's value, "" for one without, None if it is not set."""
        return next((value for option, value in self.options if option == name), None)

    def __str__(self) -> str:
        return f"{self.type} {self.fingerprint}" + (f" ({self.comment})" if self.comment else "")


@dataclass(frozen=True)
class AuthorizedKeys:
    """Every key of every account. `unread` lists lines (`path:number`) that are no key we know; sshd may know better."""

    ask: ClassVar[Question] = Question("authorized_keys", SCRIPT, tool="sshd")
    keys: tuple[Key, ...]
    unread: tuple[tuple[str, str], ...]  # (account, where)
    commanded: str = ""  # a program that gives further keys
    certified: str = ""  # a file of certificate authorities for users

    def of(self, account: str) -> tuple[Key, ...]:
        return tuple(key for key in self.keys if key.account == account)

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        keys: list[Key] = []
        unread: list[tuple[str, str]] = []
        command = authority = ""
        strict: str | None = None
        for section in sections(answer):
            match section.name:
                case "command":
                    command = section.about.replace("none", "")
                case "authority":
                    authority = section.about.replace("none", "")
                case "patterns":
                    strict = section.words(2)[0]
                case "file":
                    account, open_to_others, path = section.words(3)
                    heeded = not (strict == "yes" and open_to_others == "yes")
                    for number, text in enumerate(section.lines, 1):
                        if not text.strip() or text.lstrip().startswith("#"):
                            continue
                        where = f"{path}:{number}"
                        key = read_key(text, account, where, heeded)
                        if key is None:
                            unread.append((account, where))
                        else:
                            keys.append(key)
                case _:
                    raise NotUnderstood(f"an unknown section {section.name}")
        if strict is None:
            raise NotUnderstood("sshd did not say where it looks for keys")
        return cls(tuple(keys), tuple(unread), command, authority)


def read_key(text: str, account: str, where: str, heeded: bool = True) -> Key | None:
    """One line as sshd(8) defines it: `[options] type base64 [comment]`; None if it is not of that form."""
    rest, options = text.strip(), list[tuple[str, str]]()
    if not TYPES.match(rest):
        options, rest = _options(rest)
    parts = rest.split(None, 2)
    if len(parts) < 2 or not TYPES.fullmatch(parts[0]):
        return None
    try:
        blob = base64.b64decode(parts[1], validate=True)
        inner = _strings(blob)
    except (ValueError, binascii.Error):
        return None
    if not inner or inner[0].decode(errors="replace") != parts[0]:
        return None
    bits = int.from_bytes(inner[2], "big").bit_length() if parts[0] == "ssh-rsa" and len(inner) > 2 else 0
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    comment = parts[2].strip() if len(parts) > 2 else ""
    return Key(account, parts[0], f"SHA256:{digest}", bits, comment, tuple(options), where, heeded, text)


def _options(text: str) -> tuple[list[tuple[str, str]], str]:
    """Options up to the first white space outside quotation marks."""
    quoted, at = False, 0
    while at < len(text) and (quoted or text[at] not in " \t"):
        if text[at] == "\\" and text[at + 1 : at + 2] == '"':
            at += 1
        elif text[at] == '"':
            quoted = not quoted
        at += 1
    found = OPTION.finditer(text[:at])
    options = [(one["name"].lower(), (one["value"] or "").replace('\\"', '"')) for one in found]
    return options, text[at:]


def _strings(blob: bytes) -> list[bytes]:
    """The length-prefixed strings of an SSH public key (RFC 4253, 6.6). Raises ValueError if they do not fill it."""
    found, at = [], 0
    while at < len(blob):
        length = int.from_bytes(blob[at : at + 4], "big")
        if at + 4 + length > len(blob):
            raise ValueError("short key")
        found.append(blob[at + 4 : at + 4 + length])
        at += 4 + length
    return found
