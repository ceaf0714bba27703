"""Does the host install security updates by itself, and does it really do so?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from wardkeep.controls.operating_system.row import Policy, control
from wardkeep.core.changes import Act, Change, Setting
from wardkeep.core.findings import Seen, Severity, fails, passes
from wardkeep.facts.auto_updates import AutoUpdates

APT = "/etc/apt/apt.conf.d/zz-wardkeep"
CHECK = "apt-config dump >/dev/null"
PLAN = "Run `wardkeep plan` for this host to see the change."
TIMERS = ("apt-daily.timer", "apt-daily-upgrade.timer")
# apt's script runs only when its timers do; one of them fetches the lists, the other installs.
LISTS, UPGRADES, PROGRAM, TIMER = "package lists", "upgrades", "program", "timers"


@control.rule(
    says="Security updates are installed automatically.",
    severity=Severity.HIGH,
    serves={
        "164.308(a)(5)(ii)(B)": "Updates that need nobody to think of them close flaws before they are used.",
        "164.308(a)(1)(ii)(B)": "The time between a fix and its installation is the time at risk.",
    },
)
def updates_are_automatic(updates: AutoUpdates) -> Iterator[Seen]:
    for subject, name in ((LISTS, "Update-Package-Lists"), (UPGRADES, "Unattended-Upgrade")):
        days = updates.days(name)
        said = f"APT::Periodic::{name} is {'off' if days == 0 else f'every {days} days'}"
        yield (
            passes(subject, f"APT::Periodic::{name} is daily")
            if days == 1
            else fails(subject, f"{said}; wanted daily", PLAN)
        )
    security = sorted(origin for origin in updates.origins if "security" in origin.lower())
    if not updates.has_program:
        yield fails(PROGRAM, "unattended-upgrades is not installed", PLAN)
    elif not security:
        todo = "Put the security archive back: `dpkg-reconfigure -plow unattended-upgrades`."
        yield fails(PROGRAM, "unattended-upgrades may install nothing of a security archive", todo)
    else:
        yield passes(PROGRAM, f"unattended-upgrades installs from {security[0]}")
    off = [timer for timer in updates.timers if timer.enabled != "enabled" or timer.active == "inactive"]
    if not updates.timers:
        yield fails(TIMER, "neither systemd's timers nor cron start apt's daily script", PLAN)
    elif off:
        said = ", ".join(sorted(f"{timer.unit} is {timer.enabled} and {timer.active}" for timer in off))
        yield fails(TIMER, said, PLAN)
    else:
        yield passes(TIMER, f"{', '.join(sorted(timer.unit for timer in updates.timers))} enabled")


@updates_are_automatic.mend
def automate_updates(updates: AutoUpdates, failing: list[Seen]) -> Iterator[Change]:
    rule = updates_are_automatic.id
    names = {LISTS: "Update-Package-Lists", UPGRADES: "Unattended-Upgrade"}
    for seen in failing:
        if name := names.get(seen.subject):
            yield Setting(
                APT, f"APT::Periodic::{name}", f'APT::Periodic::{name} "1";', rule, seen.subject, CHECK
            )
        elif seen.subject == PROGRAM and not updates.has_program:
            yield Act(
                "Install unattended-upgrades",
                "DEBIAN_FRONTEND=noninteractive apt-get -y install unattended-upgrades",
                "DEBIAN_FRONTEND=noninteractive apt-get -y remove unattended-upgrades",
                rule,
                seen.subject,
            )
        elif seen.subject == PROGRAM:
            origin = '"origin=Debian,codename=${distro_codename}-security,label=Debian-Security";'
            line = f"Unattended-Upgrade::Origins-Pattern {{ {origin} }};"
            yield Setting(APT, "Unattended-Upgrade::Origins-Pattern", line, rule, seen.subject, CHECK)
        elif updates.timers:
            off = [
                timer.unit
                for timer in updates.timers
                if timer.enabled != "enabled" or timer.active == "inactive"
            ]
            masked = [timer.unit for timer in updates.timers if timer.enabled == "masked"]
            units, undo = " ".join(sorted(off)), f"systemctl disable --now {' '.join(sorted(off))}"
            if masked:
                undo += f"; systemctl mask {' '.join(sorted(masked))}"
            script = f"systemctl unmask {units} && systemctl enable --now {units}"
            yield Act(f"Start apt's timers: {units}", script, undo, rule, seen.subject)
        else:
            yield Act(
                "Install cron, which starts apt's daily script where systemd does not run",
                "DEBIAN_FRONTEND=noninteractive apt-get -y install cron",
                "DEBIAN_FRONTEND=noninteractive apt-get -y remove cron",
                rule,
                seen.subject,
            )


@control.rule(
    says="The automatic updates really run.",
    severity=Severity.MEDIUM,
    serves={"164.308(a)(8)": "A schedule that stopped running is found by looking at its last run."},
)
def updates_run(updates: AutoUpdates, policy: Policy) -> Iterator[Seen]:
    limit = int(policy.updates_within.total_seconds())
    names = {
        LISTS: ("update-success-stamp", "update-stamp"),
        UPGRADES: ("unattended-upgrades-stamp",),
    }
    for subject, stamps in names.items():
        last = max((updates.stamps[name] for name in stamps if name in updates.stamps), default=None)
        if last is None:
            yield fails(
                subject,
                "has never run: apt left no stamp",
                "Run `/usr/lib/apt/apt.systemd.daily` and read its log.",
            )
            continue
        said = f"last run {datetime.fromtimestamp(last, UTC):%Y-%m-%d %H:%M} UTC"
        if 0 <= updates.clock - last <= limit:
            yield passes(subject, said)
        else:
            yield fails(subject, said, "Read /var/log/unattended-upgrades and `journalctl -u apt-daily*`.")


updates_run.cannot_mend(
    "why a run did not happen has to be read in its log; the next run renews the stamp by itself"
)
