"""What happens to a session that is left alone, and where the record of sessions is kept."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wardkeep.controls.system_access.row import Policy, control
from wardkeep.core.changes import Blocked, Change, Setting
from wardkeep.core.findings import Seen, Severity, fails, passes
from wardkeep.facts.login_records import LoginRecords
from wardkeep.facts.shell_timeout import ShellTimeout
from wardkeep.facts.sshd import Sshd

PROFILE = "/etc/profile.d/zz-wardkeep.sh"
JOURNAL = "/etc/systemd/journald.conf.d/00-wardkeep.conf"
PLAN = "Run `wardkeep plan` for this host to see the change."
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
RECENT = 86400  # a record this old or younger counts as written to; a log-in by us is among the last


def channel_limit(sshd: Sshd) -> int | None:
    """Seconds after which every server closes an idle session channel (ChannelTimeout, OpenSSH 9.2 on); None if one does not."""
    limits: list[int] = []
    for server in sshd.servers:
        for view in server.views():
            words = " ".join(view.all("channeltimeout")).split()
            found = [re.fullmatch(r"(?:session(?::\*)?|\*)=(\d+)([smhdw]?)", word) for word in words]
            seconds = [int(match[1]) * UNITS[match[2]] for match in found if match]
            if not seconds or seconds[0] == 0:
                return None
            limits.append(seconds[0])
    return max(limits, default=None)


@control.rule(
    says="A session left idle ends by itself.",
    severity=Severity.MEDIUM,
    serves={
        "164.312(a)(2)(iii)": "A session that was left open ends after a set time of inactivity.",
    },
)
def idle_sessions_end(timeout: ShellTimeout, sshd: Sshd, policy: Policy) -> Iterator[Seen]:
    limit = int(policy.idle_after.total_seconds())
    tmout, logind, channel = timeout.tmout or 0, timeout.logind or 0, channel_limit(sshd) or 0
    if 0 < logind <= limit:
        yield passes("sessions", f"logind ends an idle session after {logind} s")
    elif 0 < channel <= limit:
        yield passes("sessions", f"sshd ends an idle session after {channel} s (ChannelTimeout)")
    elif timeout.fixed and 0 < tmout <= limit:
        yield passes("sessions", f"login shells end after {tmout} s (TMOUT, read-only)")
    else:
        fixed = "" if timeout.fixed or not tmout else ", which anybody can change"
        seen = f"TMOUT {tmout or 'unset'}{fixed}; logind {logind or 'without limit'}; ChannelTimeout {channel or 'none'}"
        yield fails("sessions", f"{seen}; wanted at most {limit} s", PLAN)


@idle_sessions_end.mend
def end_idle_sessions(timeout: ShellTimeout, failing: list[Seen], policy: Policy) -> Iterator[Change]:
    limit = int(policy.idle_after.total_seconds())
    for seen in failing:
        if timeout.fixed:
            yield Blocked(
                f"Set TMOUT to {limit}",
                f"another file has fixed it at {timeout.tmout} already",
                "Find the line under /etc/profile or /etc/profile.d and change it there.",
                idle_sessions_end.id,
                seen.subject,
            )
        else:
            # Assigning a read-only variable again would end a plain sh that reads the profile twice.
            line = f'[ "${{TMOUT-}}" = {limit} ] || TMOUT={limit}; readonly TMOUT; export TMOUT'
            yield Setting(PROFILE, "TMOUT", line, idle_sessions_end.id, seen.subject, f"sh -n {PROFILE}")


@control.rule(
    says="The record of log-ins outlives a reboot.",
    severity=Severity.HIGH,
    serves={
        "164.312(b)": "A record in memory is gone after the reboot that an intruder would cause.",
        "164.308(a)(5)(ii)(C)": "Log-ins can be looked at later only where they were kept.",
    },
)
def login_records_last(records: LoginRecords) -> Iterator[Seen]:
    text = records.file("/var/log/auth.log", "/var/log/secure")
    journal = sorted(kept.path for kept in records.journals if kept.lasts)
    if journal:
        yield passes("log-ins", f"the journal is kept in {journal[0]}")
    elif text and text.lasts and text.size and records.now - text.written <= RECENT:
        yield passes("log-ins", f"{text.path}, {text.size} bytes, written within a day")
    elif records.journals:
        only = min(kept.path for kept in records.journals)
        yield fails("log-ins", f"the journal is only in {only}, which is memory", PLAN)
    else:
        yield fails("log-ins", "neither a journal nor an auth.log that is being written", PLAN)


@login_records_last.mend
def keep_journal(records: LoginRecords, failing: list[Seen]) -> Iterator[Change]:
    for seen in failing:
        if not records.journals:
            yield Blocked(
                "Keep the journal on disk",
                "no journal runs on this host",
                "Install and start a log service: systemd-journald, or rsyslog.",
                login_records_last.id,
                seen.subject,
            )
        else:
            yield Setting(
                JOURNAL,
                "Storage",
                "[Journal]\nStorage=persistent",
                login_records_last.id,
                seen.subject,
                activate="systemctl restart systemd-journald && journalctl --flush",
            )


@control.rule(
    says="Each session is written to the log-in database.",
    severity=Severity.MEDIUM,
    serves={
        "164.312(b)": "wtmp (or wtmpdb) is the record from which sessions of a person are counted.",
    },
)
def sessions_are_counted(records: LoginRecords) -> Iterator[Seen]:
    named = [record for record in records.files if record.path.rpartition("/")[2] in ("wtmp", "wtmp.db")]
    database = sorted((record for record in named if record.size), key=lambda record: record.path)
    if kept := [record for record in database if record.lasts]:
        yield passes("log-ins", f"{kept[-1].path}, {kept[-1].size} bytes")
    elif database:
        todo = "Keep /var/log on a disk, or ship the logs."
        yield fails("log-ins", f"{database[0].path} is in memory", todo)
    else:
        todo = "Install libpam-wtmpdb (Debian 13), or create /var/log/wtmp (owner root:utmp, mode 664)."
        yield fails("log-ins", "no log-in database with an entry in it", todo)


sessions_are_counted.cannot_mend(
    "which database the release uses, and whether to install a package for it, is the operator's choice"
)
