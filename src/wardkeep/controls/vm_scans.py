"""Virtual machine scans and testing: so far, a first look at the programs that guard a machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from wardkeep.core.changes import OnHost, Step
from wardkeep.core.control import Control
from wardkeep.core.findings import Seen, Severity, fails, holds, passes, unsure
from wardkeep.facts.platform_schedules import PlatformSchedules
from wardkeep.facts.programs import Programs


@dataclass(frozen=True, kw_only=True)
class Policy:
    set_id_programs: frozenset[str] = field(
        default=frozenset(),
        metadata={"doc": "set-id programs of your own, by path, that no Debian package owns"},
    )


control = Control(
    "vm_scans",
    policy=Policy,
    missing=(
        "No host is scanned for malware or rootkits yet.",
        "Hosts are not held against a hardening benchmark yet.",
        "The data's own integrity is not checked; only a few programs are.",
    ),
)


@control.rule(
    says="The programs through which people enter and act are as their packages shipped them.",
    severity=Severity.CRITICAL,
    serves={
        "164.312(c)(2)": "A program whose content differs from its package was altered by somebody.",
        "164.308(a)(5)(ii)(B)": "Replaced log-in programs are what intruders leave behind.",
        "164.308(a)(8)": "Comparing programs with their packages is a technical evaluation that can be repeated.",
    },
)
def programs_unchanged(programs: Programs) -> Iterator[Seen]:
    if not programs.changed:
        yield passes("host", f"dpkg --verify finds no changed file in {len(programs.verified)} packages")
    for path in sorted(set(programs.changed)):
        todo = f"Find out who changed {path}; if nobody knows, treat the host as broken into."
        yield fails(f"file:{path}", "is missing or differs from its package's checksum", todo)


programs_unchanged.cannot_mend("installing the package again would destroy the trace; a person looks first")


@control.rule(
    says="Every set-id program belongs to a package or is named in policy.",
    severity=Severity.HIGH,
    serves={
        "164.308(a)(1)(ii)(A)": "A program that lends its owner's rights is a risk that must be known.",
        "164.308(a)(5)(ii)(B)": "A set-id copy of a shell is the simplest back door there is.",
    },
)
def set_id_owned(programs: Programs, policy: Policy) -> Iterator[Seen]:
    strange = [p for p in programs.setid if not p.package and p.path not in policy.set_id_programs]
    if not strange:
        yield passes("host", f"all {len(programs.setid)} set-id programs found are owned or named in policy")
    for program in sorted(strange, key=lambda p: p.path):
        todo = f"Remove it or its set-id bit, or name {program.path} in `set_id_programs`."
        yield fails(f"file:{program.path}", f"mode {program.mode}, owner {program.user}, in no package", todo)


set_id_owned.cannot_mend("a person must say whether the program is theirs")


PLANTED = "/var/tmp/wardkeep-drill-set-id"  # noqa: S108 - the drill's own file, made with a fixed content


@control.rule(
    says="A penetration test is on record within the time that policy asks for.",
    severity=Severity.MEDIUM,
    serves={
        "164.308(a)(8)": "A test by people who attack is the evaluation that no configuration check replaces.",
        "164.308(a)(1)(ii)(A)": "What attackers could reach in the test is what the risk analysis starts from.",
    },
)
def penetration_tested(schedules: PlatformSchedules, now: datetime) -> Iterator[Seen]:
    duty = schedules.find("review", "vm_scans")
    todo = 'Have it done, then say by whom and what was found: `wardkeep review vm_scans --says "…"`.'
    if duty is None:
        yield unsure("review", "the platform keeps no schedule for this test", todo)
    elif duty.last_done is None:
        yield fails("review", "no penetration test is on record", todo)
    else:
        seen = f"last attested {duty.last_done:%Y-%m-%d}, due every {duty.cadence.days} days"
        yield holds(now - duty.last_done <= duty.cadence, "review", seen, todo)


penetration_tested.cannot_mend("people must do the test")


@control.drilled_by
def plant_and_find(programs: Programs) -> Iterator[Step]:
    """The same question that observes is asked while a harmless set-id program lies where intruders leave theirs."""
    yield OnHost(
        "A set-id copy of `true` is left in /var/tmp, and the look at set-id programs names it",
        f"rm -f {PLANTED}; cp /bin/true {PLANTED} && chmod 4755 {PLANTED} || exit 3\n"
        f"({Programs.ask.script}) | grep -F ' {PLANTED}'",
        set_id_owned.id,
        expect_text=f"|4755 root {PLANTED}",
        undo=f"rm -f {PLANTED}",
        timeout=90,
    )
