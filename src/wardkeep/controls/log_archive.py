"""Log aggregation and archiving: what a host records outlives the host."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from wardkeep.core.changes import Act, Change, OnHost, Step
from wardkeep.core.control import Control
from wardkeep.core.findings import Seen, Severity, fails, holds, passes, unsure
from wardkeep.facts.log_shipping import LogShipping
from wardkeep.facts.services import Services

# Shippers whose own configuration is not read: that they run says little of where they send.
OTHERS = [
    "vector",
    "fluent-bit",
    "td-agent-bit",
    "fluentd",
    "filebeat",
    "promtail",
    "alloy",
    "grafana-agent",
    "syslog-ng",
    "otelcol",
    "otelcol-contrib",
    "splunkforwarder",
    "SplunkForwarder",
    "nxlog",
    "amazon-cloudwatch-agent",
    "google-cloud-ops-agent",
]

control = Control(
    "log_archive",
    missing=(
        "Whether what is sent arrives, and is kept six years unchanged, is not looked at.",
        "Logs of containers, databases and applications are not followed.",
        "The drill finds a marked line on the host's own disk; nobody looks for it in the archive yet.",
    ),
)


@control.rule(
    says="What the journal holds survives a restart.",
    severity=Severity.MEDIUM,
    serves={
        "164.312(b)": "A trail that a restart erases is no record: restarting would be the way to hide.",
        "164.316(b)(1)(ii)": "The journal is part of the written record of activity, so it has to be on disk.",
    },
)
def journal_survives(shipping: LogShipping) -> Iterator[Seen]:
    where = (
        "there is a journal under /var/log/journal"
        if shipping.journal_on_disk
        else "nothing under /var/log/journal"
    )
    todo = "Set `Storage=persistent` in /etc/systemd/journald.conf.d/."
    yield holds(shipping.journal_survives, "journal", f"Storage={shipping.storage}, {where}", todo)


@journal_survives.mend
def keep_the_journal(failing: list[Seen]) -> Iterator[Change]:
    for seen in failing:
        # Of several files systemd takes the last, so ours is named to come last.
        yield Act(
            "Keep the journal on disk",
            "set -e\nmkdir -p /etc/systemd/journald.conf.d\n"
            "printf '[Journal]\\nStorage=persistent\\n' >/etc/systemd/journald.conf.d/zz-wardkeep.conf\n"
            "systemctl restart systemd-journald\njournalctl --flush",
            "rm -f /etc/systemd/journald.conf.d/zz-wardkeep.conf\nsystemctl restart systemd-journald",
            journal_survives.id,
            seen.subject,
        )


@control.rule(
    says="Log lines are sent to another host as they are written.",
    severity=Severity.HIGH,
    serves={
        "164.312(b)": "Who breaks into a host edits its logs; a copy elsewhere keeps the record.",
        "164.308(a)(1)(ii)(D)": "Logs of all hosts in one place are what a regular review can read.",
        "164.316(b)(2)(i)": "Six years outlive a host, so the record must leave it.",
    },
)
def logs_leave_the_host(shipping: LogShipping, services: Services) -> Iterator[Seen]:
    active = {unit.name: unit.runs for unit in services.units}
    spoken = False
    for forward in sorted(shipping.forwards, key=lambda f: (f.host, f.protocol)):
        if is_here(forward.host):
            continue
        spoken = True
        what = f"rsyslog sends to {forward.host} by {forward.protocol}"
        yield holds(
            active.get("rsyslog.service", False),
            f"forward:{forward.protocol}:{forward.host}",
            what if active.get("rsyslog.service") else f"{what}, but rsyslog does not run",
            "Start it: `systemctl enable --now rsyslog`.",
        )
    if shipping.upload_url:
        spoken = True
        runs = active.get("systemd-journal-upload.service", False)
        what = f"systemd-journal-upload to {shipping.upload_url.rpartition('@')[2]}: {'active' if runs else 'not active'}"
        yield holds(
            runs, "journal-upload", what, "Start it: `systemctl enable --now systemd-journal-upload`."
        )
    for kind in shipping.others:
        spoken = True
        yield unsure(
            f"output:{kind}", f"rsyslog writes by {kind}; where to is not read", "Look for yourself."
        )
    for unit in services.installed(OTHERS):
        spoken = True
        if unit.runs:
            yield unsure(
                f"service:{unit.name}", f"{unit.name} runs; where it sends is not read", "Look for yourself."
            )
        else:
            yield fails(f"service:{unit.name}", f"{unit.name}: {unit.state}", f"Start {unit.name}.")
    if not spoken:
        todo = "Forward by rsyslog (RELP with TLS) or systemd-journal-upload to a log host."
        yield fails(
            "host", "neither rsyslog nor the journal nor a known shipper sends anything elsewhere", todo
        )


logs_leave_the_host.cannot_mend("which host keeps the logs is the operator's decision")


@control.rule(
    says="Log lines travel encrypted.",
    severity=Severity.MEDIUM,
    serves={
        "164.312(b)": "A trail that can be read and changed on its way is not the record it claims to be."
    },
)
def logs_travel_encrypted(shipping: LogShipping, services: Services) -> Iterator[Seen]:
    away = [f for f in shipping.forwards if not is_here(f.host)]
    unread = [unit for unit in services.installed(OTHERS) if unit.runs]
    for kind in shipping.others:
        yield unsure(f"output:{kind}", f"rsyslog writes by {kind}; whether encrypted is not read")
    for unit in unread:
        said = f"{unit.name} runs; whether what it sends is encrypted is not read"
        yield unsure(f"service:{unit.name}", said, "Look for yourself.")
    if not away and not shipping.upload_url and not shipping.others and not unread:
        yield passes("host", "rsyslog and the journal send nothing over a network")
    # One subject may be named twice, once encrypted and once not: the weaker one counts.
    for key in sorted({(f.protocol, f.host) for f in away}):
        encrypted = all(f.encrypted for f in away if (f.protocol, f.host) == key)
        seen = f"{key[0]} to {key[1]}, {'with TLS' if encrypted else 'in clear'}"
        yield holds(encrypted, f"forward:{key[0]}:{key[1]}", seen, "Use RELP or TCP with TLS.")
    if shipping.upload_url:
        url = shipping.upload_url.rpartition("@")[2]
        yield holds(
            shipping.upload_url.startswith("https://"), "journal-upload", url, "Use an https:// address."
        )


logs_travel_encrypted.cannot_mend("both ends must be changed together, with certificates of their own")


@control.drilled_by
def write_and_find(shipping: LogShipping) -> Iterator[Step]:
    """A marked line is written as any program would, and must be in the journal's files, not only in memory."""
    yield OnHost(
        "A marked line is logged, and found again in the journal on disk",
        'mark="wardkeep-drill-$(cat /proc/sys/kernel/random/uuid)"\n'
        'logger -t wardkeep-drill "$mark" || exit 3\njournalctl --sync || exit 3\n'
        "for try in 1 2 3 4 5; do\n"
        '  journalctl -q -D /var/log/journal -t wardkeep-drill --since -10min -o cat | grep -qxF "$mark" && '
        '{ echo "found on disk"; exit 0; }\n'
        "  sleep 1\ndone\nexit 1",
        journal_survives.id,
        expect_text="found on disk",
    )


def is_here(host: str) -> bool:
    """Whether a name or address can only be this machine."""
    if host in ("localhost", "ip6-localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
