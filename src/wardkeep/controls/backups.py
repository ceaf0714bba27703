"""Automated backups: copies are made often enough, and (by drills to come) can be restored."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from wardkeep.core.control import Control
from wardkeep.core.findings import Seen, Severity, fails, passes, unsure
from wardkeep.facts.backup_jobs import PROGRAMS, BackupJobs
from wardkeep.facts.services import Services, Unit

NAMES = frozenset(PROGRAMS) | {"backup", "backups", "dump", "pgdump", "snapshot", "bacula", "bareos"}
NOT_DATA = frozenset({"dpkg-db-backup"})  # Debian's copy of its own package list


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What backups are held to."""

    age_hours: int = field(
        default=24,
        metadata={"doc": "the newest backup is at most this old", "unit": "h", "number": "backup_age"},
    )
    units: frozenset[str] = field(
        default=frozenset(),
        metadata={"doc": "systemd services of your own that make backups, without `.service`"},
    )


control = Control(
    "backups",
    policy=Policy,
    missing=(
        "No restore is drilled yet, so nothing proves that a backup can be read back.",
        "Where backups are kept, whether they are encrypted, and what they cover is not looked at.",
        "Backups made from outside the host, or inside containers, are not seen.",
    ),
)
control.cannot_drill("not built")


def jobs(services: Services, policy: Policy) -> list[Unit]:
    """The services that make backups, by their names: those that a word of a backup program stands in."""
    found = []
    for unit in services.units:
        stem, dot, kind = unit.name.rpartition(".")
        words = set(re.split(r"[^a-z0-9]+", stem.lower())) | {stem.lower()}
        if kind != "service" or unit.load != "loaded" or stem in NOT_DATA:
            continue
        if dot and (words & NAMES or stem in policy.units):
            found.append(unit)
    return sorted(found, key=lambda unit: unit.name)


@control.rule(
    says="A job of this host makes backups by itself.",
    severity=Severity.CRITICAL,
    serves={
        "164.308(a)(7)(ii)(A)": "Exact copies exist reliably only when no person has to remember to make them.",
        "164.310(d)(2)(iv)": "A standing job means a copy exists whenever the equipment has to be moved.",
    },
)
def backup_job_exists(services: Services, found: BackupJobs, policy: Policy) -> Iterator[Seen]:
    timed = {u.starts: u for u in services.units if u.name.endswith(".timer") and u.runs}
    units = jobs(services, policy)
    for unit in units:
        subject = f"job:{unit.name}"
        if unit.name in timed:
            yield passes(subject, f"{unit.name}, started by {timed[unit.name].name}")
        elif unit.runs:
            yield passes(subject, f"{unit.name} runs all the time")
        else:
            yield fails(subject, f"{unit.name} is there, but no timer starts it", "Enable its timer.")
    for job in sorted(found.cron, key=lambda job: (job.path, job.program)):
        yield passes(f"job:cron:{job.path}:{job.program}", f"{job.path} runs {job.program}")
    if not units and not found.cron:
        installed = f"installed: {', '.join(sorted(found.programs))}; " if found.programs else ""
        todo = "Set up a backup (restic or pgBackRest by a systemd timer), or name your own unit in `units`."
        yield fails("host", f"{installed}no timer, service or cron file that makes backups is known", todo)


backup_job_exists.cannot_mend("where copies may be kept, and with whose key, is the operator's decision")


@control.rule(
    says="The newest backup is not older than policy allows.",
    severity=Severity.HIGH,
    serves={
        "164.308(a)(7)(ii)(A)": "A copy from last week is no exact copy of the data of today.",
        "164.308(a)(7)(ii)(B)": "What was written since the newest copy is what a disaster takes for good.",
    },
)
def newest_backup_is_fresh(
    services: Services, found: BackupJobs, policy: Policy, now: datetime
) -> Iterator[Seen]:
    units = jobs(services, policy)
    for unit in units:
        subject = f"job:{unit.name}"
        if unit.ended is None:
            yield unsure(
                subject, f"{unit.name} has not ended since this machine started, by what systemd knows"
            )
            continue
        hours = int((now - unit.ended).total_seconds() // 3600)
        what = f"{unit.name} last ended {unit.ended:%Y-%m-%d %H:%M} UTC with {unit.result}"
        if unit.result != "success":
            yield fails(subject, what, f"Read `journalctl -u {unit.name}` and run it again.")
        elif hours >= policy.age_hours:
            yield fails(
                subject,
                f"{what}, {hours} h before this look",
                f"See why its timer did not start {unit.name}.",
            )
        else:
            yield passes(subject, what)
    for job in sorted(found.cron, key=lambda job: (job.path, job.program)):
        why = f"cron keeps no record of how {job.program} in {job.path} ended"
        yield unsure(
            f"job:cron:{job.path}:{job.program}", why, "Start it by a systemd timer: that keeps the result."
        )
    if not units and not found.cron:
        yield fails("host", "no backup job is known, so there is no newest backup", "Set up a backup first.")


newest_backup_is_fresh.cannot_mend("a backup that did not run has a cause that a person must find")
