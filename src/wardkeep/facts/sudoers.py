"""Who may become somebody else by sudo, as sudo itself reads its rules (`cvtsudoers` with aliases expanded, as JSON).

Not checked: rules that come from LDAP or SSSD (`elsewhere` says when the name service is told to look there).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.accounts import Account, Accounts
from wardkeep.facts.sections import END, QUOTE, sections

SCRIPT = (
    QUOTE
    + r"""
if ! command -v sudo >/dev/null && [ ! -e /etc/sudoers ]; then printf '= absent\n= end\n'; exit; fi
command -v cvtsudoers >/dev/null || exit 127
rules=$(cvtsudoers -e -f json /etc/sudoers) || exit
printf '= rules\n'; printf '%s\n' "$rules" | quote
[ -r /etc/nsswitch.conf ] && while read -r key value; do
  [ "$key" = sudoers: ] && printf '= elsewhere %s\n' "$value"
done </etc/nsswitch.conf
"""
    + END
)
USER, GROUP, UID, ALL = "user", "group", "uid", "ALL"


@dataclass(frozen=True, slots=True)
class Who:
    """One member of a user list: `alice`, `%sudo`, `#1005`, `ALL`, or its negation."""

    kind: str
    name: str
    negated: bool = False

    def __str__(self) -> str:
        mark = {GROUP: "%", UID: "#"}.get(self.kind, "")
        return ("!" if self.negated else "") + mark + self.name


@dataclass(frozen=True, slots=True)
class Grant:
    """Who may run which commands as whom. A command that sudo refuses starts with `!`."""

    who: tuple[Who, ...]
    hosts: tuple[str, ...]
    as_users: tuple[str, ...]  # empty: root
    commands: tuple[str, ...]
    asks_password: bool  # False for NOPASSWD
    records_output: bool | None = None  # LOG_OUTPUT or NOLOG_OUTPUT; None: as the Defaults say

    @property
    def as_root(self) -> bool:
        return not self.as_users or bool({"ALL", "root", "#0"} & set(self.as_users))

    @property
    def everything(self) -> bool:
        return "ALL" in self.commands

    def __str__(self) -> str:
        tags = "" if self.asks_password else "NOPASSWD: "
        users = ",".join(self.as_users) or "root"
        return f"{', '.join(map(str, self.who))} {','.join(self.hosts)}=({users}) {tags}{', '.join(self.commands)}"

    def covers(self, account: Account, accounts: Accounts) -> bool:
        """Does the rule name this account, by name, number or group? The last match in the list decides, as in sudo."""
        named = False
        for who in self.who:
            if (
                who.name == ALL
                or (who.kind == USER and who.name == account.name)
                or (who.kind == UID and who.name == str(account.uid))
                or (who.kind == GROUP and who.name in accounts.groups_of(account))
            ):
                named = not who.negated
        return named


@dataclass(frozen=True)
class Sudoers:
    """All rules in sudo's order, and the defaults that hold for everybody. Absent sudo has no rules."""

    ask: ClassVar[Question] = Question("sudoers", SCRIPT, tool="cvtsudoers")
    installed: bool
    grants: tuple[Grant, ...] = ()
    defaults: Mapping[str, Any] | None = None
    elsewhere: str = ""  # sources beside the files: "sss", "ldap"

    def default(self, name: str, otherwise: bool) -> bool:
        """A global flag or value (a text counts as on). `otherwise` is sudo's own default."""
        value = (self.defaults or {}).get(name, otherwise)
        return bool(value)

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        """Raises NotUnderstood for JSON of another form."""
        found = {section.name: section for section in sections(answer)}
        if "absent" in found:
            return cls(installed=False)
        if "rules" not in found:
            raise NotUnderstood("the rules are missing")
        try:
            told = json.loads(found["rules"].text)
        except ValueError as e:
            raise NotUnderstood(f"cvtsudoers did not print JSON: {e}") from None
        other = found["elsewhere"].about.split() if "elsewhere" in found else []
        defaults: dict[str, Any] = {}
        for entry in told.get("Defaults", []):
            if "Binding" not in entry:  # others hold for some users, hosts or commands only
                for option in entry["Options"]:
                    defaults.update(option)
        return cls(True, tuple(_grants(told)), defaults, " ".join(name for name in other if name != "files"))


def _grants(told: Mapping[str, Any]) -> Iterator[Grant]:
    for spec in told.get("User_Specs", []):
        who = tuple(_who(member) for member in spec["User_List"])
        hosts = tuple(_named(host, "hostname", "networkaddr", "netgroup") for host in spec["Host_List"])
        for part in spec["Cmnd_Specs"]:
            options: dict[str, Any] = {}
            for option in part.get("Options", []):
                options.update(option)
            as_users = tuple(
                _named(user, "username", "userid", "usergroup", "usergid", "netgroup")
                for user in part.get("runasusers", [])
            )
            if part.get("runasgroups") and not as_users:
                as_users = ("the same user",)
            commands = tuple(_named(command, "command", "sha224", "sha256") for command in part["Commands"])
            yield Grant(
                who, hosts, as_users, commands, options.get("authenticate", True), options.get("log_output")
            )


def _who(member: Mapping[str, Any]) -> Who:
    negated = bool(member.get("negated"))
    for key, kind in (("username", USER), ("usergroup", GROUP), ("userid", UID)):
        if key in member:
            return Who(kind, str(member[key]), negated)
    if "netgroup" in member or "nonunixgroup" in member or "usergid" in member:
        kind = next(key for key in ("netgroup", "nonunixgroup", "usergid") if key in member)
        return Who(kind, str(member[kind]), negated)
    raise NotUnderstood(f"a sudo rule names {sorted(member)}")


def _named(member: Mapping[str, Any], *keys: str) -> str:
    for key in keys:
        if key in member:
            mark = "#" if key == "userid" else ""
            return ("!" if member.get("negated") else "") + mark + str(member[key])
    raise NotUnderstood(f"a sudo rule has {sorted(member)}")
