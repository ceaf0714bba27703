"""Analysis of intrusion detection system data: so far only that there is fresh data to analyse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from wardkeep.core.control import Control
from wardkeep.core.findings import Seen, Severity, fails, passes
from wardkeep.facts.sensor_logs import LOGS, SensorLogs


@dataclass(frozen=True, kw_only=True)
class Policy:
    silence_hours: int = field(
        default=24, metadata={"doc": "a sensor that wrote nothing for so long counts as silent", "unit": "h"}
    )


control = Control(
    "intrusion_analysis",
    policy=Policy,
    missing=(
        "Nothing reads the sensor's events yet, so no anomaly in them would be named.",
        "No record exists of a person having reviewed the sensor's events.",
    ),
)
control.cannot_drill("not built")


@control.rule(
    says="The sensors and the audit trail have written something within the last day.",
    severity=Severity.MEDIUM,
    serves={
        "164.312(b)": "Activity can be examined only if it was recorded; a silent sensor records nothing.",
        "164.308(a)(1)(ii)(D)": "A review of empty logs would find nothing and look like a good day.",
    },
)
def sensors_write(logs: SensorLogs, policy: Policy, now: datetime) -> Iterator[Seen]:
    if not logs.logs:
        known = ", ".join(sorted(LOGS))
        yield fails(
            "host", f"no log of a known sensor exists ({known})", "Install a sensor that writes its events."
        )
    for log in sorted(logs.logs, key=lambda found: found.sensor):
        subject, age = f"log:{log.sensor}", now - log.written
        hours = int(age.total_seconds() // 3600)
        what = f"{log.path}, {log.size} bytes, last written {log.written:%Y-%m-%d %H:%M} UTC"
        if log.size and age <= timedelta(hours=policy.silence_hours):
            yield passes(subject, what)
        else:
            yield fails(subject, f"{what}, {hours} h before this look", f"See why {log.sensor} is silent.")


sensors_write.cannot_mend("a silent sensor has a cause that a person must find")
