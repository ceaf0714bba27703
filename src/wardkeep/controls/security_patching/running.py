"""Processes that still run the code from before an upgrade."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wardkeep.controls.security_patching.row import MALWARE, RISK, control
from wardkeep.core.changes import Act, Blocked, Change
from wardkeep.core.findings import Seen, Severity, fails, passes
from wardkeep.facts.old_libraries import OldLibraries, OldProcess

# Restarting these can end the way in by which the restart was asked for.
WAYS_IN = re.compile(
    r"(ssh|sshd|networking|systemd-networkd|NetworkManager|wpa_supplicant|wg-quick@.*|openvpn.*)\.service"
)
CONTAINER = re.compile(r"(libpod|docker|crio|cri-containerd|kubepods|lxc|machine)\b.*")
# Every client of the bus hangs on it, logind and systemd among them.
NEEDS_REBOOT = frozenset({"dbus.service", "dbus-broker.service"})


def subject_of(process: OldProcess) -> str:
    """What a person would restart: the unit, the container, the user's session, or the program itself."""
    parts = process.group.strip("/").split("/")
    if container := _container(process):
        return f"container:{container}"
    if parts[0] == "user.slice":
        return f"session:{parts[1] if len(parts) > 1 else 'user.slice'}"
    return f"unit:{process.unit}" if process.unit else f"program:{process.name}"


def _container(process: OldProcess) -> str:
    """The part of the group's path that belongs to a container, or "". What runs inside is no unit of this host,
    even if it is called `ssh.service`."""
    parts = process.group.strip("/").split("/")
    outer = parts[:-1] if parts[-1].endswith(".service") else parts
    return next((part for part in outer if CONTAINER.fullmatch(part)), "")


@control.rule(
    says="No process runs code of a package from before its upgrade.",
    severity=Severity.HIGH,
    serves={
        RISK: "a fix is in force only once the programs that had loaded the flaw were started again",
        MALWARE: "the flaw stays open in memory for whoever looks for it",
    },
)
def nothing_runs_old_code(old: OldLibraries) -> Iterator[Seen]:
    gathered: dict[str, list[OldProcess]] = {}
    for process in sorted(old.processes, key=lambda p: (p.name, p.pid)):
        gathered.setdefault(subject_of(process), []).append(process)
    for subject, processes in gathered.items():
        names = ", ".join(sorted({p.name for p in processes}))
        files = sorted({file for p in processes for file in p.files})
        more = f" and {len(files) - 3} more" if len(files) > 3 else ""
        yield fails(
            subject,
            f"{names} still runs {', '.join(files[:3])}{more}, replaced since it started",
            _obstacle(processes[0]) or "Run `wardkeep plan` to see the restart.",
        )
    if not gathered:
        yield passes("processes", f"{old.looked} processes run what is installed")


def _obstacle(process: OldProcess) -> str:
    """What a person must do because a restart by us would do harm, or ""."""
    subject, unit = subject_of(process), process.unit
    if unit in NEEDS_REBOOT:
        return "Reboot the host: every program on the bus hangs on this one."
    if subject.startswith("container:"):
        return "Restart the container from an image that has the fix."
    if subject.startswith("session:") or unit.startswith(("ssh@", "sshd@", "getty@", "serial-getty@")):
        return "Log the session out: it is somebody's at work."
    if not unit.endswith(".service") and unit != "init.scope":
        return "End the program; it belongs to no service."
    return ""


@nothing_runs_old_code.mend
def start_them_again(old: OldLibraries, failing: list[Seen]) -> Iterator[Change]:
    wanted = {seen.subject for seen in failing}
    spoken: set[str] = set()
    for process in sorted(old.processes, key=lambda p: (p.name, p.pid)):
        subject, unit, why = subject_of(process), process.unit, nothing_runs_old_code.id
        if subject not in wanted or subject in spoken:
            continue
        spoken.add(subject)
        if obstacle := _obstacle(process):
            yield Blocked(
                f"Start {unit or process.name} again", "we would cut somebody's work", obstacle, why, subject
            )
        elif unit == "init.scope":
            says = "Have systemd load its own new code (nothing to undo: it keeps its state)"
            yield Act(says, "systemctl daemon-reexec", "", why, subject)
        else:
            yield Act(
                f"Restart {unit} (nothing to undo: a restart has no opposite)",
                f"systemctl try-restart -- '{unit}'",
                "",
                why,
                subject,
                cuts_access=WAYS_IN.fullmatch(unit) is not None,
            )
