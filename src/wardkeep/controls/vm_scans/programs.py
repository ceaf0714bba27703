"""The programs that guard a machine, and every packaged file, against the checksums they shipped with."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from wardkeep.controls.vm_scans.row import EVALUATION, INTEGRITY, MALWARE, RISK, Policy, control
from wardkeep.core.findings import Seen, Severity, Verdict, fails, holds, passes
from wardkeep.facts.listener_programs import ListenerPrograms
from wardkeep.facts.package_sums import PackageSums
from wardkeep.facts.programs import Programs


@control.rule(
    says="The programs through which people enter and act are as their packages shipped them.",
    severity=Severity.CRITICAL,
    serves={
        INTEGRITY: "A program whose content differs from its package was altered by somebody.",
        MALWARE: "Replaced log-in programs are what intruders leave behind.",
        EVALUATION: "Comparing programs with their packages is a technical evaluation that can be repeated.",
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
        RISK: "A program that lends its owner's rights is a risk that must be known.",
        MALWARE: "A set-id copy of a shell is the simplest back door there is.",
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


@control.rule(
    says="Every file of every package is as it was shipped, by a comparison that is not too long ago.",
    severity=Severity.HIGH,
    serves={
        INTEGRITY: "Comparing every packaged file with its checksum shows what was altered unnoticed.",
        EVALUATION: "The whole system's programs are evaluated again and again, not only the few that guard it.",
    },
)
def packages_unchanged(sums: PackageSums, policy: Policy, now: datetime) -> Iterator[Seen]:
    age = now - sums.at
    told = f"compared {sums.packages} packages on {sums.at:%Y-%m-%d}, {max(age.days, 0)} days ago"
    yield holds(
        age <= timedelta(days=policy.sums_days), "comparison", told, "Run `wardkeep scan host` for this host."
    )
    for path in sorted(sums.changed):
        todo = f"Find out who changed {path}; if nobody knows, treat the host as broken into."
        yield fails(f"file:{path}", "its content differs from its package's checksum", todo)
    if sums.missing:
        first = ", ".join(sorted(sums.missing)[:3])
        told = f"{len(sums.missing)} packaged files are missing: {first}" + (
            ", …" if len(sums.missing) > 3 else ""
        )
        yield fails("missing", told, "Install their packages anew, or say why they were removed.")
    if not sums.changed and not sums.missing:
        edited = f"; {len(sums.edited)} configuration files were edited" if sums.edited else ""
        yield passes("host", f"every packaged file that is no configuration is as shipped{edited}")


packages_unchanged.cannot_mend("installing the package again would destroy the trace; a person looks first")


@control.rule(
    says="Every program that listens is of a package or named in policy, and its file is still there.",
    severity=Severity.HIGH,
    serves={
        MALWARE: "A program that waits for somebody and that no package brought is how a back door looks.",
        EVALUATION: "Whose the listening programs are is evaluated on the machine itself.",
    },
)
def listeners_known(listeners: ListenerPrograms, policy: Policy) -> Iterator[Seen]:
    found: dict[str, Seen] = {}
    # Of several processes of one file the one that fails is told of.
    for one in sorted(listeners.programs, key=lambda p: (p.file, not p.deleted, p.elsewhere, p.name)):
        subject = f"program:{one.file}"
        if subject in found and found[subject].verdict is Verdict.FAIL:
            continue
        if one.elsewhere:
            found[subject] = passes(subject, f"{one.name} sees another file system, as in a container")
        elif one.package or one.file in policy.listening_programs:
            found[subject] = passes(subject, f"{one.name}, of {one.package or 'the policy'}")
        elif one.deleted:
            told = f"{one.name} runs from a file that was removed or replaced since"
            found[subject] = fails(
                subject, told, f"Restart {one.name}; if nobody upgraded it, treat it as an intruder's."
            )
        else:
            told = f"{one.name} is of no package"
            todo = f"Stop it, or name {one.file} in `listening_programs`."
            found[subject] = fails(subject, told, todo)
    yield from found.values()
    if not found:
        yield passes("host", "no process listens")


listeners_known.cannot_mend("a person must say whether the program is theirs")
