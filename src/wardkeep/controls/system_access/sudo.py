"""Who may become root, under what conditions, and whether it is written down."""

from __future__ import annotations

from collections.abc import Iterator

from wardkeep.controls.system_access.row import Policy, control
from wardkeep.core.changes import Change, Setting
from wardkeep.core.findings import Seen, Severity, fails, passes, unsure
from wardkeep.facts.accounts import Account, Accounts
from wardkeep.facts.sudoers import Grant, Sudoers

DROP_IN = "/etc/sudoers.d/zz-wardkeep"  # of two defaults the later file holds
CHECK = "visudo -c"
ABSENT = "sudo is not installed: nobody becomes root by it"


def held_by(grant: Grant, accounts: Accounts) -> list[Account]:
    """The accounts beside root that the rule covers and that can use it."""
    return [a for a in accounts.all if a.uid != 0 and a.has_shell and grant.covers(a, accounts)]


def subject(grant: Grant) -> str:
    return f"sudo:{', '.join(map(str, grant.who))}"


@control.rule(
    says="Only accounts that policy names may become root.",
    severity=Severity.HIGH,
    serves={
        "164.308(a)(3)(ii)(A)": "Rights of root are authorised by name before they are used.",
        "164.308(a)(4)(ii)(B)": "The list of administrators is the grant; a rule of sudo beyond it is none.",
        "164.312(a)(1)": "Who may become root may read everything on the host.",
    },
)
def root_by_policy(sudoers: Sudoers, accounts: Accounts, policy: Policy) -> Iterator[Seen]:
    granted: dict[str, list[str]] = {}
    for grant in sudoers.grants:
        if grant.as_root and any(not command.startswith("!") for command in grant.commands):
            for account in held_by(grant, accounts):
                granted.setdefault(account.name, []).append(str(grant))
    for name, rules in granted.items():
        said = "; ".join(sorted(set(rules)))
        if name in policy.administrators or name in policy.machines:
            yield passes(f"account:{name}", f"named by policy: {said}")
        else:
            todo = f"Name {name} under administrators in [policy.system_access], or take the rule away with visudo."
            yield fails(f"account:{name}", said, todo)
    if sudoers.elsewhere:
        yield unsure("sudo", f"rules also come from {sudoers.elsewhere} and are not looked at")
    if not granted and not sudoers.elsewhere:
        yield passes(
            "sudo", ABSENT if not sudoers.installed else "no rule lets an account with a shell act as root"
        )


root_by_policy.cannot_mend(
    "who should have the rights of root is a person's decision; the policy or sudo's rules follow it"
)


@control.rule(
    says="Becoming root by sudo asks who you are.",
    severity=Severity.HIGH,
    serves={
        "164.312(d)": "With NOPASSWD whoever holds an open session is root, without having been verified."
    },
)
def sudo_asks(sudoers: Sudoers, accounts: Accounts, policy: Policy) -> Iterator[Seen]:
    spoken: dict[str, Seen] = {}
    for grant in sudoers.grants:
        if not grant.as_root or all(who.name == "root" for who in grant.who):
            continue
        about, held = subject(grant), held_by(grant, accounts)
        asks = grant.asks_password and sudoers.default("authenticate", True)
        if asks:
            spoken.setdefault(about, passes(about, str(grant)))
        elif not grant.everything:
            spoken.setdefault(about, passes(about, f"{grant}: without a password, but not everything"))
        elif held and all(account.name in policy.machines for account in held):
            spoken.setdefault(about, passes(about, f"{grant}: a program's account by policy"))
        else:
            names = ", ".join(account.name for account in held) or "nobody now"
            todo = "Take NOPASSWD away with visudo, or name a program's account under machines in [policy.system_access]."
            spoken[about] = fails(about, f"{grant} (covers {names})", todo)
    yield from spoken.values()
    if not spoken:
        yield passes(
            "sudo", ABSENT if not sudoers.installed else "no rule lets anybody beside root act as root"
        )


sudo_asks.cannot_mend(
    "an account without a password could then no longer become root; set passwords or a second factor first"
)


@control.rule(
    says="No sudo rule can be stretched by a wildcard.",
    severity=Severity.MEDIUM,
    serves={
        "164.312(a)(1)": "A wildcard in a command's arguments also matches spaces, and so grants more than it says."
    },
)
def no_wildcards(sudoers: Sudoers) -> Iterator[Seen]:
    wide: dict[str, set[str]] = {}
    narrow: set[str] = set()
    for grant in sudoers.grants:
        for command in grant.commands:
            program, _, arguments = command.partition(" ")
            stretched = any(mark in arguments for mark in "*?[") or any(mark in program for mark in "*?")
            if stretched and not command.startswith("!"):
                wide.setdefault(subject(grant), set()).add(command)
        narrow.add(subject(grant))
    for about, commands in wide.items():
        todo = "Name each command with its full arguments, or a script of root's that checks them."
        yield fails(about, ", ".join(sorted(commands)), todo)
    for about in sorted(narrow - set(wide)):
        yield passes(about, "no wildcard in its commands")
    if not narrow:
        yield passes("sudo", ABSENT if not sudoers.installed else "sudo has no rules")


no_wildcards.cannot_mend("which commands were meant, only the rule's author can say")


@control.rule(
    says="What people do as root is recorded.",
    severity=Severity.HIGH,
    serves={"164.312(b)": "sudo's own line says which person ran which command with the rights of root."},
)
def sudo_is_recorded(sudoers: Sudoers) -> Iterator[Seen]:
    if not sudoers.installed:
        yield passes("sudo", ABSENT)
        return
    to_syslog = sudoers.default("syslog", True)
    to_file = sudoers.default("logfile", False)
    if to_syslog or to_file:
        where = "syslog (authpriv)" if to_syslog else str((sudoers.defaults or {}).get("logfile"))
        output = ", with the output of each session" if sudoers.default("log_output", False) else ""
        yield passes("sudo", f"each command goes to {where}{output}")
    else:
        yield fails(
            "sudo", "Defaults !syslog, and no logfile", "Run `wardkeep plan` for this host to see the change."
        )


@sudo_is_recorded.mend
def record_sudo(failing: list[Seen]) -> Iterator[Change]:
    # A drop-in is read after the lines before `@includedir`, and of two defaults the later one holds.
    for seen in failing:
        yield Setting(DROP_IN, "syslog", "Defaults syslog=authpriv", sudo_is_recorded.id, seen.subject, CHECK)
