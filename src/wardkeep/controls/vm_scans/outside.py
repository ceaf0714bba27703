"""The host as another place sees it, held against what the host says of itself and what policy allows; and people's own tests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from wardkeep.controls.vm_scans.row import EVALUATION, MALWARE, RISK, Policy, control
from wardkeep.core.findings import Seen, Severity, fails, holds, passes, unsure
from wardkeep.facts.listeners import Listeners
from wardkeep.facts.outside_ports import OutsidePorts
from wardkeep.facts.platform_schedules import PlatformSchedules, reviewed_in_time


@control.rule(
    says="From outside, only ports that policy names answer, and a program of the host holds each of them.",
    severity=Severity.HIGH,
    serves={
        EVALUATION: "What the network really reaches is tried, not read from a configuration.",
        MALWARE: "A port that answers though the host names no program for it is what a rootkit hides.",
        RISK: "Every port that answers is a way in that the risk analysis has to know.",
    },
)
def outside_as_inside(
    outside: OutsidePorts, listeners: Listeners, policy: Policy, now: datetime
) -> Iterator[Seen]:
    age = now - outside.at
    where = ", ".join(sorted(outside.addresses))
    told = f"{outside.tried} ports of {where} tried on {outside.at:%Y-%m-%d}, {max(age.days, 0)} days ago"
    todo = "Run `wardkeep scan ports` for this host."
    yield holds(age <= timedelta(days=policy.outside_days), "look", told, todo)
    held: dict[int, str] = {}
    for socket in sorted(listeners.sockets, key=lambda s: s.programs):
        if socket.protocol == "tcp" and socket.programs not in held.get(socket.port, "").split(" and "):
            held[socket.port] = " and ".join(
                part for part in (held.get(socket.port), socket.programs) if part
            )
    for port in outside.open:
        subject = f"port:tcp/{port}"
        families = ", ".join(
            sorted(
                {
                    "IPv4" if p.family == "ip" else "IPv6"
                    for p in outside.ports
                    if p.port == port and p.state == "open"
                }
            )
        )
        if port not in held:
            todo = (
                "See whether something before the host answers for it; if not, treat the host as broken into."
            )
            yield fails(
                subject,
                f"answers over {families}, and no program of the host listens on it",
                todo,
                severity=Severity.CRITICAL,
            )
        elif port not in policy.outside_ports:
            todo = f"Close it in the firewall, stop {held[port]}, or name {port} in `outside_ports`."
            yield fails(subject, f"answers over {families}: {held[port]}, not named by policy", todo)
        else:
            yield passes(subject, f"answers over {families}: {held[port]}, named by policy")
    if not outside.open:
        yield passes("host", f"no port answers of {outside.tried} tried")


outside_as_inside.cannot_mend("the firewall's own row closes ports; a person decides which")


@control.rule(
    says="What speaks TLS to the outside speaks a version that is still good, with a certificate that is valid.",
    severity=Severity.MEDIUM,
    serves={EVALUATION: "What a client really gets is tried from a client's place."},
)
def outside_tls_good(outside: OutsidePorts, now: datetime) -> Iterator[Seen]:
    found = [port for port in outside.ports if port.tls and port.state == "open"]
    for port in sorted(found, key=lambda p: (p.port, p.family)):
        subject = f"port:tcp/{port.port}/{port.family}"
        if port.tls not in ("TLSv1.2", "TLSv1.3"):
            yield fails(subject, f"agreed on {port.tls}", "Allow TLS 1.2 and later alone.")
        elif port.until is None:
            yield unsure(subject, f"agreed on {port.tls}; the certificate's end could not be read")
        else:
            left = (port.until - now).days
            told = f"{port.tls}, certificate until {port.until:%Y-%m-%d}"
            yield holds(left >= 0, subject, told, "Renew the certificate.")
    if not found:
        yield passes("host", "no port that answers speaks TLS from the start")


outside_tls_good.cannot_mend("the service that holds the certificate renews it")


@control.rule(
    says="A penetration test is on record within the time that policy asks for.",
    severity=Severity.MEDIUM,
    serves={
        EVALUATION: "A test by people who attack is the evaluation that no configuration check replaces.",
        RISK: "What attackers could reach in the test is what the risk analysis starts from.",
    },
)
def penetration_tested(schedules: PlatformSchedules, now: datetime) -> Iterator[Seen]:
    todo = 'Have it done, then say by whom and what was found: `wardkeep review vm_scans --says "…"`.'
    yield reviewed_in_time(schedules, "vm_scans", "penetration test", todo, now)


penetration_tested.cannot_mend("people must do the test")
