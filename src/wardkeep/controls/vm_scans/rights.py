"""Owner and rights of the files on which the system's security rests, of homes, and of the boot menu."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from fnmatch import fnmatch

from wardkeep.controls.vm_scans.row import EVALUATION, INTEGRITY, PLAN, RISK, Policy, control
from wardkeep.core.changes import Act, Change
from wardkeep.core.findings import Seen, Severity, holds, passes, unsure
from wardkeep.facts.file_rights import FileRights, Rights

# Pattern → the most that may be allowed, and the groups that may own it; the first match holds. Debian's own values or tighter.
CLOSED: tuple[tuple[str, int, frozenset[str]], ...] = tuple(
    (pattern, mode, frozenset(groups.split()))
    for pattern, mode, groups in (
        ("/etc/shadow*", 0o640, "root shadow"),
        ("/etc/gshadow*", 0o640, "root shadow"),
        ("/etc/security/opasswd", 0o600, "root"),
        ("/etc/passwd*", 0o644, "root"),
        ("/etc/group*", 0o644, "root"),
        ("/etc/sudoers", 0o440, "root"),
        ("/etc/sudoers.d", 0o755, "root"),
        ("/etc/sudoers.d/*", 0o440, "root"),
        ("/etc/ssh/*", 0o644, "root"),
        ("/etc/audit/*", 0o750, "root adm"),
        ("/var/log/audit*", 0o750, "root adm"),
        ("/boot/grub/grub.cfg", 0o644, "root"),
        ("/etc/cron.allow", 0o640, "root crontab"),
        ("/etc/at.allow", 0o640, "root daemon"),
        ("/root", 0o700, "root"),
        ("/tmp", 0o1777, "root"),  # noqa: S108
        ("/var/tmp", 0o1777, "root"),  # noqa: S108
        ("/var/log", 0o775, "root syslog adm"),
        ("*", 0o755, "root"),
    )
)


def wanted(file: Rights) -> tuple[int, frozenset[str]]:
    return next((mode, groups) for pattern, mode, groups in CLOSED if fnmatch(file.path, pattern))


def faults(file: Rights) -> list[str]:
    mode, groups = wanted(file)
    told = []
    if file.mode & ~mode & 0o7777 & ~0o1000:
        told.append(f"more open than {mode:04o}")
    if mode & 0o1000 and not file.mode & 0o1000:
        told.append("without the sticky bit")
    if file.user != "root":
        told.append(f"owned by {file.user}")
    if file.group not in groups and file.mode & 0o020:
        told.append(f"the group {file.group} may change it")
    return told


@control.rule(
    says="The files on which the system's security rests can be changed, and where secret read, by root alone.",
    severity=Severity.HIGH,
    serves={
        INTEGRITY: "Who may change accounts, jobs or the log-in's rules can alter everything else.",
        RISK: "An open password file or job folder is a way to root that needs no flaw.",
    },
)
def system_files_closed(rights: FileRights) -> Iterator[Seen]:
    for file in sorted(rights.files, key=lambda f: f.path):
        told = faults(file)
        yield holds(
            not told, f"file:{file.path}", f"{file.shown}{': ' if told else ''}{', '.join(told)}", PLAN
        )


@system_files_closed.mend
def close_system_files(rights: FileRights, failing: list[Seen]) -> Iterator[Change]:
    found = {f"file:{file.path}": file for file in rights.files}
    for seen in failing:
        file = found[seen.subject]
        mode, groups = wanted(file)
        closed = (file.mode & (mode | 0o1000)) | (mode & 0o1000)
        group = file.group if file.group in groups else "root"
        path = shlex.quote(file.path)
        yield Act(
            f"Close {file.path} ({file.shown} → {closed:04o} root:{group})",
            f"chown root:{group} -- {path} && chmod {closed:04o} -- {path}",
            f"chown {shlex.quote(file.user)}:{shlex.quote(file.group)} -- {path} && chmod {file.mode:04o} -- {path}",
            system_files_closed.id,
            seen.subject,
        )


@control.rule(
    says="Every person's home is there, is theirs, and cannot be changed by others.",
    severity=Severity.MEDIUM,
    serves={
        RISK: "Who may write into a home can make its owner run anything at the next log-in.",
        EVALUATION: "Homes are held against the same rule at every look.",
    },
)
def homes_closed(rights: FileRights) -> Iterator[Seen]:
    homes = {home.account: home for home in sorted(rights.homes, key=lambda h: (h.account, h.path))}
    for home in homes.values():
        told = []
        if home.user not in (home.account, "root"):
            told.append(f"owned by {home.user}")
        if home.mode & 0o022:
            told.append("others may change it")
        if home.mode & 0o004:
            told.append("everybody may read it")
        subject = f"home:{home.account}"
        todo = f"Close it: chown {home.account} and chmod 0700 (or 0750) {home.path}."
        yield holds(
            not told, subject, f"{home.path} {home.shown}{': ' if told else ''}{', '.join(told)}", todo
        )
    for account in sorted(set(rights.homeless) - set(homes)):
        yield unsure(
            f"home:{account}", "the home that the account names is not there", "Make it, or lock the account."
        )
    if not rights.homes and not rights.homeless:
        yield passes("host", "no account has a shell")


homes_closed.cannot_mend("a service may serve files from a home; its owner closes it")


@control.rule(
    says="Files that people make are closed to others from the start.",
    severity=Severity.LOW,
    serves={
        RISK: "A file with health data that is readable for everybody from its first second is read by mistake."
    },
)
def umask_closed(rights: FileRights, policy: Policy) -> Iterator[Seen]:
    if not rights.umask:
        yield unsure("umask", "/etc/login.defs names none", "Write `UMASK 027` into /etc/login.defs.")
        return
    least = int(policy.umask, 8)
    told = f"UMASK {rights.umask} in /etc/login.defs; policy asks for {policy.umask} or tighter"
    yield holds(int(rights.umask, 8) & least == least, "umask", told, PLAN)


@umask_closed.mend
def close_umask(rights: FileRights, failing: list[Seen], policy: Policy) -> Iterator[Change]:
    for seen in failing:
        edit = "sed -i -E 's/^([[:space:]]*UMASK[[:space:]]+)[0-7]{3,4}/\\1"
        yield Act(
            f"Set UMASK {policy.umask} in /etc/login.defs (it was {rights.umask})",
            f"{edit}{policy.umask}/' /etc/login.defs",
            f"{edit}{rights.umask}/' /etc/login.defs",
            umask_closed.id,
            seen.subject,
        )


@control.rule(
    says="The boot menu cannot be changed without a password.",
    severity=Severity.LOW,
    serves={
        RISK: "Who stands at the console can otherwise start the machine with a shell of root and no log-in."
    },
)
def boot_menu_locked(rights: FileRights) -> Iterator[Seen]:
    for path, locked in sorted(rights.boot):
        told = "its entries can be changed by password only" if locked else "no password is set"
        todo = "Make one with grub-mkpasswd-pbkdf2 and put it into /etc/grub.d/40_custom; or waive it where nobody has the console."
        yield holds(locked, f"file:{path}", told, todo)
    if not rights.boot:
        yield passes(
            "host", "the host has no boot menu of its own (a container, or another's hypervisor starts it)"
        )


boot_menu_locked.cannot_mend(
    "a wrong password here can keep the machine from starting; a person sets it at the console"
)
