"""Accounts and groups as the system's own name service gives them (passwd(5), shadow(5), group(5) by getent).

Password hashes never leave the host: the question itself replaces each by its kind. Not checked: accounts that a
directory serves without listing them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, sections

SCRIPT = (
    QUOTE
    + r"""
kind() {
  case $1 in
    '') kind=empty ;; x) kind=x ;; '!'* | '*'*) kind=locked ;;
    '$'*'$'*) kind=${1#?}; kind=${kind%%\$*} ;; *) kind=des ;;
  esac
}
# The second field becomes its kind; `read` with IFS=: would lose an empty last field.
scrub() {
  while IFS= read -r line; do
    name=${line%%:*}; rest=${line#*:}
    kind "${rest%%:*}"
    printf '|%s:%s:%s\n' "$name" "$kind" "${rest#*:}"
  done
}
all=$(getent passwd) && shadow=$(getent shadow) && groups=$(getent group) || exit
printf '= passwd\n'; printf '%s\n' "$all" | scrub
printf '= shadow\n'; printf '%s\n' "$shadow" | scrub
printf '= group\n'; printf '%s\n' "$groups" | scrub
printf '= definitions\n'
while read -r key value rest; do
  case $key in UID_MIN | UID_MAX) printf '|%s %s\n' "$key" "$value" ;; esac
done </etc/login.defs
"""
    + END
)
NO_SHELL = frozenset({"nologin", "false", "sync", "halt", "shutdown"})
EPOCH = date(1970, 1, 1)
NOBODY = 65534


@dataclass(frozen=True, slots=True)
class Account:
    """One account. `password` is `empty`, `locked`, `des` or the hash's scheme (`y`, `6`, `2b`, ...), never the hash."""

    name: str
    uid: int
    gid: int
    about: str  # the GECOS field
    home: str
    shell: str
    password: str
    changed: date | None = None  # when the password was last set
    expires: date | None = None  # the account's own end

    @property
    def has_shell(self) -> bool:
        """Does the account's shell start a session? An empty field means /bin/sh."""
        return self.shell.rpartition("/")[2] not in NO_SHELL

    @property
    def has_password(self) -> bool:
        """Would some typed password (or none) be accepted?"""
        return self.password != "locked"  # noqa: S105

    def ended(self, today: date) -> bool:
        return self.expires is not None and self.expires <= today


@dataclass(frozen=True)
class Accounts:
    """Every account and group, in the name service's order."""

    ask: ClassVar[Question] = Question("accounts", SCRIPT, tool="getent")
    all: tuple[Account, ...]
    groups: dict[
        str, tuple[int, tuple[str, ...]]
    ]  # name → (gid, members beside those whose primary group it is)
    least: int = 1000  # UID_MIN and UID_MAX: the range for people
    most: int = 60000

    def named(self, name: str) -> Account | None:
        return next((account for account in self.all if account.name == name), None)

    def people(self) -> Iterator[Account]:
        """Accounts made for people: in the range for people, or with uid 0, and with a shell."""
        return (a for a in self.all if a.has_shell and (self.least <= a.uid <= self.most or a.uid == 0))

    def groups_of(self, account: Account) -> frozenset[str]:
        """Names of the account's primary and further groups."""
        return frozenset(
            name
            for name, (gid, members) in self.groups.items()
            if gid == account.gid or account.name in members
        )

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        """Raises NotUnderstood for a line of another form, or an account without its line in shadow."""
        found = {section.name: section.lines for section in sections(answer)}
        if set(found) != {"passwd", "shadow", "group", "definitions"}:
            raise NotUnderstood("a section is missing")
        shadow = {line.split(":")[0]: _fields(line, 9) for line in found["shadow"]}
        accounts = tuple(_account(_fields(line, 7), shadow) for line in found["passwd"])
        if not any(account.uid == 0 for account in accounts):
            raise NotUnderstood("no account has uid 0")
        groups = {}
        for line in found["group"]:
            name, _, gid, members = _fields(line, 4)
            groups[name] = (_number(gid), tuple(filter(None, members.split(","))))
        defined = dict(line.split(" ", 1) for line in found["definitions"])
        return cls(
            accounts,
            groups,
            _number(defined.get("UID_MIN", "1000")),
            _number(defined.get("UID_MAX", "60000")),
        )


def _fields(line: str, count: int) -> list[str]:
    fields = line.split(":")
    if len(fields) != count or not fields[0]:
        raise NotUnderstood(f"a line has {len(fields)} fields, not {count}")
    return fields


def _number(text: str) -> int:
    if not text.isdigit():
        raise NotUnderstood(f"`{text[:20]}` is no number")
    return int(text)


def _account(fields: list[str], shadow: dict[str, list[str]]) -> Account:
    name, kind, uid, gid, about, home, shell = fields
    changed = expires = ""
    if kind == "x":
        if name not in shadow:
            raise NotUnderstood(f"account {name} has no line in shadow")
        kind, changed, expires = shadow[name][1], shadow[name][2], shadow[name][7]
    return Account(name, _number(uid), _number(gid), about, home, shell, kind, _day(changed), _day(expires))


def _day(text: str) -> date | None:
    return EPOCH + timedelta(days=_number(text)) if text else None
