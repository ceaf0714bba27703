"""When the usual intrusion sensors and the audit trail last wrote a line. Only the files' times and sizes travel."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, named

LOGS = {
    "suricata": "/var/log/suricata/eve.json",
    "snort": "/var/log/snort/alert_json.txt",
    "zeek": "/opt/zeek/logs/current/conn.log",
    "wazuh": "/var/ossec/logs/ossec.log",
    "crowdsec": "/var/log/crowdsec.log",
    "fail2ban": "/var/log/fail2ban.log",
    "audit": "/var/log/audit/audit.log",
    "aide": "/var/log/aide/aide.log",
}
SCRIPT = (
    "printf '= logs\\n'\n"
    + "".join(
        f'[ -e {path} ] && {{ told=$(stat -L -c "%Y %s" {path}) || exit 1; printf "|{name} %s\\n" "$told"; }}\n'
        for name, path in LOGS.items()
    )
    + END
)


@dataclass(frozen=True, slots=True)
class SensorLog:
    """A sensor's file: when it was last written (UTC) and its size in bytes."""

    sensor: str
    written: datetime
    size: int

    @property
    def path(self) -> str:
        return LOGS[self.sensor]


@dataclass(frozen=True, slots=True)
class SensorLogs:
    ask: ClassVar[Question] = Question("sensor_logs", SCRIPT)
    logs: tuple[SensorLog, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        (told,) = named(answer, "logs")
        return cls(tuple(_log(line) for line in told.lines))


def _log(line: str) -> SensorLog:
    words = line.split(" ")
    if len(words) != 3 or words[0] not in LOGS or not all(word.isdigit() for word in words[1:]):
        raise NotUnderstood(f"`{line[:60]}` describes no sensor's log")
    return SensorLog(words[0], datetime.fromtimestamp(int(words[1]), UTC), int(words[2]))
