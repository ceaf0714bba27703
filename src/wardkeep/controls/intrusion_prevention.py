"""Intrusion detection and prevention: something watches, and repeated attempts are cut off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wardkeep.core.control import Control
from wardkeep.core.findings import Seen, Severity, fails, passes
from wardkeep.facts.services import Services

SENSORS = {
    "suricata": "network",
    "snort": "network",
    "snort3": "network",
    "zeek": "network",
    "wazuh-agent": "host",
    "wazuh-manager": "host",
    "ossec": "host",
    "ossec-hids": "host",
    "crowdsec": "host",
    "falco": "host",
    "falco-modern-bpf": "host",
    "falco-bpf": "host",
}
BANS = {
    "fail2ban": "bans by log lines",
    "crowdsec-firewall-bouncer": "bans by CrowdSec's decisions",
    "sshguard": "bans by log lines",
}
AUDIT = {"auditd": "the kernel's audit trail"}

control = Control(
    "intrusion_prevention",
    missing=(
        "Whether the sensor would see an attack is not tried: no drill injects one yet.",
        "The age of the sensor's rules and its dropped packets are not looked at.",
        "Sensors in containers, on the network or at the provider are not seen from the host.",
    ),
)


def running(services: Services, wanted: Mapping[str, str], todo: str, what: str) -> Iterator[Seen]:
    """One Seen for each installed program of a kind; a failing one for the host if none is there at all."""
    units = services.installed(wanted)
    if not units:
        yield fails("host", f"none of {', '.join(sorted(wanted))} is a service here", todo)
    for unit in units:
        subject = f"service:{unit.name}"
        kind = wanted[unit.name.removesuffix(".service")]
        if unit.runs:
            yield passes(subject, f"{unit.name} ({kind}): {unit.state}")
        else:
            yield fails(
                subject,
                f"{unit.name} ({kind}): {unit.state}",
                f"Start it: `systemctl enable --now {unit.name}`.",
            )


@control.rule(
    says="A sensor that detects intrusions runs.",
    severity=Severity.HIGH,
    serves={
        "164.308(a)(6)(ii)": "An incident that nothing detects is never responded to.",
        "164.308(a)(1)(ii)(D)": "The sensor's events are records of activity that the review reads.",
        "164.308(a)(5)(ii)(B)": "Sensors recognise the traffic and files of malicious software.",
    },
)
def sensor_runs(services: Services) -> Iterator[Seen]:
    yield from running(
        services,
        SENSORS,
        "Install a sensor, or waive this and name the one that watches from outside.",
        "sensor",
    )


sensor_runs.cannot_mend("which sensor suits a host is a decision; installing one needs rules and room")


@control.rule(
    says="Repeated failing log-ins are answered by a ban.",
    severity=Severity.MEDIUM,
    serves={
        "164.308(a)(5)(ii)(C)": "Watching log-in attempts while they go on is what a ban is made from.",
        "164.308(a)(6)(ii)": "A ban limits the harm of an attempt before a person has read the alert.",
    },
)
def bans_run(services: Services) -> Iterator[Seen]:
    yield from running(services, BANS, "Install fail2ban, or waive this and say what limits attempts.", "ban")


bans_run.cannot_mend("a ban list needs an allow list first, or it locks the operator out")


@control.rule(
    says="The kernel's audit trail is recorded.",
    severity=Severity.MEDIUM,
    serves={"164.312(b)": "auditd is the mechanism that records what programs and people do on the system."},
)
def audit_runs(services: Services) -> Iterator[Seen]:
    yield from running(services, AUDIT, "Install auditd and the rules your policy asks for.", "audit trail")


audit_runs.cannot_mend("what the trail records is a policy of its own that nothing here holds yet")
control.cannot_drill("not built")
