"""Is the release still mended, does the installed kernel run, and do the services stand?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

from wardkeep.controls.operating_system.row import Policy, control
from wardkeep.core.findings import Seen, Severity, fails, passes, unsure
from wardkeep.facts.kernel import Kernel
from wardkeep.facts.release import SOURCE, Release
from wardkeep.facts.units import Units

REBOOT = "Choose the hour, then: `systemctl reboot`."


@control.rule(
    says="The release is still supported with security updates.",
    severity=Severity.CRITICAL,
    serves={
        "164.308(a)(1)(ii)(B)": "A release that nobody mends keeps every flaw found after its end.",
        "164.308(a)(5)(ii)(B)": "Malicious software enters by published flaws that no update closes any more.",
    },
)
def release_supported(release: Release, policy: Policy, today: date) -> Iterator[Seen]:
    support = release.support
    if support is None:
        said = f"{release.pretty}: no release of Debian or Ubuntu whose dates Wardkeep knows"
        yield unsure("release", said, "Look up until when its makers mend it, and keep that as your proof.")
        return
    team = f"security team until {support.full}"
    long = f", long-term team until {support.long}" if support.long else ""
    said = f"{release.pretty}: {team}{long} ({SOURCE})"
    if today <= support.full:
        yield passes("release", said)
    elif support.long and today <= support.long:
        if policy.long_term_support:
            yield passes("release", f"{said}; long-term support covers fewer packages")
        else:
            todo = "Upgrade to the next release, or accept long-term support in [policy.operating_system]."
            yield fails("release", said, todo, severity=Severity.HIGH, since=support.full.isoformat())
    else:
        ended = support.long or support.full
        yield fails("release", said, "Upgrade to a supported release.", since=ended.isoformat())


release_supported.cannot_mend("an upgrade to another release is planned and tried by a person")


@control.rule(
    says="The newest installed kernel is the one that runs.",
    severity=Severity.HIGH,
    serves={
        "164.308(a)(5)(ii)(B)": "A mended kernel protects only once it runs.",
        "164.308(a)(1)(ii)(B)": "The flaws of the old kernel stay open until the reboot.",
    },
)
def newest_kernel_runs(kernel: Kernel) -> Iterator[Seen]:
    running = f"{kernel.running}" + (f" ({kernel.built})" if kernel.built else "")
    if kernel.container:
        said = f"{running} belongs to the machine that runs this {kernel.container} container"
        yield unsure("kernel", said, "Look at that machine's kernel.")
    elif kernel.newest is None:
        said = f"{running} runs, and no package here installed a kernel to compare it with"
        yield unsure("kernel", said, "Look where this machine's kernel comes from.")
    elif kernel.current:
        yield passes("kernel", f"{running} runs, the newest installed: {' '.join(kernel.newest)}")
    else:
        yield fails("kernel", f"{running} runs; installed is {' '.join(kernel.newest)}", REBOOT)


newest_kernel_runs.cannot_mend("a reboot stops everything on the host; a person chooses the hour")


@control.rule(
    says="Nothing waits for a reboot.",
    severity=Severity.HIGH,
    serves={
        "164.308(a)(5)(ii)(B)": "An update that waits for a reboot is not in force yet.",
        "164.308(a)(8)": "What runs is compared again with what is installed.",
    },
)
def no_reboot_waits(kernel: Kernel) -> Iterator[Seen]:
    reasons = []
    if kernel.reboot_asked is not None:
        since = datetime.fromtimestamp(kernel.reboot_asked, UTC).date()
        reasons.append(
            f"/run/reboot-required since {since} for {', '.join(kernel.reboot_for) or 'no named package'}"
        )
    if kernel.old_libraries:
        reasons.append(f"PID 1 runs replaced libraries: {', '.join(kernel.old_libraries)}")
    if reasons:
        yield fails("reboot", "; ".join(reasons), REBOOT)
    elif kernel.old_libraries is None:
        yield unsure(
            "reboot", "no file asks for a reboot, but what PID 1 runs could not be read", "Look as root."
        )
    elif not kernel.has_dpkg:
        said = "PID 1 runs the libraries that are installed, but without dpkg nothing here writes /run/reboot-required"
        yield unsure("reboot", said, "Ask this system's own package tool.")
    else:
        yield passes("reboot", "no file asks for a reboot, and PID 1 runs the libraries that are installed")


no_reboot_waits.cannot_mend("a reboot stops everything on the host; a person chooses the hour")


@control.rule(
    says="No service has failed.",
    severity=Severity.MEDIUM,
    serves={
        "164.308(a)(8)": "A service that failed after a change is found at the next look.",
        "164.308(a)(1)(ii)(B)": "A protecting service that failed protects no longer.",
    },
)
def no_failed_unit(units: Units, policy: Policy) -> Iterator[Seen]:
    if not units.has_systemd:
        said = f"PID 1 is {units.first}, not systemd: nothing here keeps account of services"
        yield unsure("units", said, "Look at your services by the means this host has.")
        return
    for unit, about in units.failed:
        if unit in policy.accepted_failures:
            yield passes(f"unit:{unit}", f"failed, and accepted by policy: {about or unit}")
        else:
            todo = f"Read why: `systemctl status {unit}`; once mended: `systemctl reset-failed {unit}`."
            yield fails(f"unit:{unit}", f"failed: {about or unit}", todo)
    if not units.failed and units.state in ("running", "degraded"):
        yield passes("units", f"systemd is {units.state}, and no unit has failed")
    elif not units.failed:
        yield unsure(
            "units", f"systemd is {units.state}: what will fail is not decided yet", "Look again later."
        )


no_failed_unit.cannot_mend("why a service failed has to be read; starting it again would hide the reason")
