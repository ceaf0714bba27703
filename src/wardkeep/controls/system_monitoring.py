"""System monitoring: the host has room to work, and something measures it all the time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from wardkeep.core.control import Control
from wardkeep.core.findings import Seen, Severity, fails, holds, passes
from wardkeep.facts.resources import Resources
from wardkeep.facts.services import Services

AGENTS = [
    "prometheus-node-exporter",
    "node_exporter",
    "telegraf",
    "zabbix-agent",
    "zabbix-agent2",
    "netdata",
    "collectd",
    "munin-node",
    "datadog-agent",
    "otelcol",
    "otelcol-contrib",
    "grafana-agent",
    "alloy",
    "nagios-nrpe-server",
    "icinga2",
    "checkmk-agent-async",
    "amazon-cloudwatch-agent",
    "google-cloud-ops-agent",
    "azuremonitoragent",
]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How much room a host keeps."""

    disk_free_percent: int = field(
        default=10, metadata={"doc": "each file system keeps this much space and inodes free", "unit": "%"}
    )
    memory_free_percent: int = field(
        default=10, metadata={"doc": "this much memory stays available to programs", "unit": "%"}
    )


control = Control(
    "system_monitoring",
    policy=Policy,
    missing=(
        "Whether anybody is told when a measured value leaves its bounds is not looked at.",
        "Load over time, temperature, disk errors and the containers' state are not looked at.",
        "No drill fills a disk to see the alarm yet.",
    ),
)
control.cannot_drill("not built")


@control.rule(
    says="Every file system has room left.",
    severity=Severity.HIGH,
    serves={
        "164.308(a)(7)(i)": "A full disk stops databases and logs alike; seeing it early is the start of contingency.",
        "164.312(b)": "Records of activity can be written only while there is room for them.",
    },
)
def disks_have_room(resources: Resources, policy: Policy) -> Iterator[Seen]:
    for volume in sorted(resources.volumes, key=lambda v: v.target):
        gib = volume.free / 2**30
        seen = f"{volume.percent_free} % free ({gib:.1f} GiB; the scarcer of space and inodes)"
        todo = f"Free or add space on {volume.target}."
        yield holds(volume.percent_free >= policy.disk_free_percent, f"mount:{volume.target}", seen, todo)


disks_have_room.cannot_mend("what may be deleted is for a person to say")


@control.rule(
    says="Programs have memory left.",
    severity=Severity.MEDIUM,
    serves={
        "164.308(a)(7)(i)": "A host out of memory kills its own services, which is an emergency like any other."
    },
)
def memory_has_room(resources: Resources, policy: Policy) -> Iterator[Seen]:
    percent = 100 * resources.memory_available // resources.memory
    seen = f"{percent} % of {resources.memory / 2**30:.1f} GiB available"
    yield holds(percent >= policy.memory_free_percent, "memory", seen, "See what takes it, or add memory.")


memory_has_room.cannot_mend("which program may be stopped is for a person to say")


@control.rule(
    says="An agent measures this host all the time.",
    severity=Severity.MEDIUM,
    serves={
        "164.308(a)(1)(ii)(D)": "What an agent measures between two looks is a record of activity to review.",
        "164.312(b)": "The agent is the mechanism that records load, errors and restarts.",
    },
)
def is_measured(services: Services) -> Iterator[Seen]:
    units = services.installed(AGENTS)
    if not units:
        yield fails(
            "host", "no known monitoring agent is a service here", "Install prometheus-node-exporter."
        )
    for unit in units:
        subject = f"service:{unit.name}"
        if unit.runs:
            yield passes(subject, f"{unit.name}: {unit.state}")
        else:
            yield fails(
                subject, f"{unit.name}: {unit.state}", f"Start it: `systemctl enable --now {unit.name}`."
            )


is_measured.cannot_mend("an agent needs a server that asks it; a person chooses both")
