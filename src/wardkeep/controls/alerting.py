"""Monitoring and alerting: what the platform finds reaches somebody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from wardkeep.core.changes import SendTest, Step
from wardkeep.core.control import Control
from wardkeep.core.findings import Seen, Severity, fails, holds, passes, unsure
from wardkeep.facts.platform_alerts import PlatformAlerts

TEST = "Send a test alert, `wardkeep drill alerting`, and see that it arrives."


@dataclass(frozen=True, kw_only=True)
class Policy:
    proven_days: int = field(
        default=7,
        metadata={
            "doc": "each channel has delivered something within",
            "unit": "d",
            "number": "intrusion_drill",
        },
    )


control = Control(
    "alerting",
    policy=Policy,
    missing=(
        "Whether a person reads an alert, and how soon, is not known to the platform.",
        "Alerts of other programs (Alertmanager, cron mail) are not looked at.",
    ),
)


@control.rule(
    says="Alerts have somewhere to go.",
    severity=Severity.HIGH,
    serves={
        "164.308(a)(6)(ii)": "An incident found at night is responded to only if somebody is told.",
        "164.314(a)(2)(i)(C)": "A business associate must be aware of an incident to report it.",
        "164.410": "The clock of breach notification starts with a discovery that somebody noticed.",
    },
)
def channel_exists(alerts: PlatformAlerts) -> Iterator[Seen]:
    names = ", ".join(sorted(channel.name for channel in alerts.channels))
    seen = f"configured: {names}" if names else "no address for alerts is configured"
    yield holds(bool(names), "alerts", seen, "Add an address under `[alerts]` in wardkeep.toml.")


channel_exists.cannot_mend("the platform cannot know whom to tell")


@control.rule(
    says="Every alert channel has delivered lately, and its last delivery arrived.",
    severity=Severity.HIGH,
    serves={
        "164.308(a)(6)(ii)": "A channel that silently stopped working is found before the incident, not by it.",
        "164.308(a)(5)(ii)(C)": "Discrepancies in log-ins are reported over these channels.",
    },
)
def channels_deliver(alerts: PlatformAlerts, policy: Policy, now: datetime) -> Iterator[Seen]:
    if not alerts.channels:
        yield fails("alerts", "no channel, so nothing can be delivered", "Add an address under `[alerts]`.")
    for channel in sorted(alerts.channels, key=lambda found: found.name):
        subject = f"channel:{channel.name}"
        if channel.problem:
            yield fails(
                subject, f"the last delivery failed: {channel.problem}", "Mend the address or the service."
            )
        elif channel.last_ok is None:
            yield unsure(subject, "nothing was ever sent over it", TEST)
        elif now - channel.last_ok > timedelta(days=policy.proven_days):
            yield unsure(
                subject,
                f"last delivered {channel.last_ok:%Y-%m-%d}, more than {policy.proven_days} d ago",
                TEST,
            )
        else:
            yield passes(subject, f"last delivered {channel.last_ok:%Y-%m-%d %H:%M} UTC")


channels_deliver.cannot_mend("a channel that fails is mended at its service")


@control.rule(
    says="No alert waits undelivered.",
    severity=Severity.HIGH,
    serves={"164.308(a)(1)(ii)(D)": "An alert that waits is a record that nobody has been shown."},
)
def nothing_waits(alerts: PlatformAlerts) -> Iterator[Seen]:
    seen = f"{alerts.undelivered} undelivered"
    yield holds(
        alerts.undelivered == 0, "alerts", seen, "See the channels' problems, then they are sent again."
    )


nothing_waits.cannot_mend("alerts are sent again by themselves once a channel works")


@control.drilled_by
def test_alert(alerts: PlatformAlerts) -> Iterator[Step]:
    """A test alert over every channel, as a real one would go. Without a channel there is nothing to try."""
    for channel in sorted(alerts.channels, key=lambda found: found.name):
        yield SendTest(channel.name, channels_deliver.id, f"A test alert is taken by {channel.name}")
