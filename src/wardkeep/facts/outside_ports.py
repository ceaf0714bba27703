"""Which TCP ports of a host answer when tried from another place (the controller), and what they say over TLS.

Not asked of the host: `wardkeep scan ports` tries them and keeps what it saw in this form, so that it stands in the host's
snapshots with its age. Not seen: UDP, and ports that drop everything from the controller's place alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import named

DAY = 86400
PORT = re.compile(
    r"(?P<port>\d{1,5}) (?P<family>ip6?) (?P<state>open|closed|silent|error)(?: tls (?P<tls>\S+) until (?P<until>\d+|-))?"
)


@dataclass(frozen=True, slots=True)
class OutsidePort:
    """A port that was told of by itself: open ones, and closed ones that somebody asked about by number."""

    port: int
    family: str  # "ip" | "ip6"
    state: str  # "open", "closed" (refused), "silent" (no answer), "error" (the network said no)
    tls: str = ""  # the version that was agreed, "" where the port speaks no TLS
    until: datetime | None = None  # the end of the certificate that was shown


@dataclass(frozen=True, slots=True)
class OutsidePorts:
    """`at` is the controller's clock when the look began; `tried` counts the ports tried at each address."""

    ask: ClassVar[Question] = Question("outside_ports", "", keep=30 * DAY)
    at: datetime
    addresses: tuple[str, ...]
    tried: int
    ports: tuple[OutsidePort, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        looked, addresses, ports = named(answer, "looked", "addresses", "ports")
        words = looked.words(2)
        if not (words[0].isdigit() and words[1].isdigit() and len(words[0]) < 12) or not addresses.lines:
            raise NotUnderstood("the look does not say when and where", where=answer.question)
        found = tuple(map(_port, ports.lines))
        return cls(datetime.fromtimestamp(int(words[0]), UTC), addresses.lines, int(words[1]), found)

    @property
    def open(self) -> tuple[int, ...]:
        """The open ports' numbers, each once."""
        return tuple(sorted({port.port for port in self.ports if port.state == "open"}))


def _port(line: str) -> OutsidePort:
    match = PORT.fullmatch(line)
    if not match or int(match["port"]) > 65535:
        raise NotUnderstood(f"`{line[:60]}` tells of no port")
    until = datetime.fromtimestamp(int(match["until"]), UTC) if (match["until"] or "-").isdigit() else None
    return OutsidePort(int(match["port"]), match["family"], match["state"], match["tls"] or "", until)


def told(at: datetime, addresses: tuple[str, ...], tried: int, ports: tuple[OutsidePort, ...]) -> bytes:
    """The answer that `OutsidePorts.parse` reads back."""
    lines = [
        f"= looked {int(at.timestamp())} {tried}",
        "= addresses",
        *(f"|{one}" for one in addresses),
        "= ports",
    ]
    for one in ports:
        until = int(one.until.timestamp()) if one.until else "-"
        tls = f" tls {one.tls} until {until}" if one.tls else ""
        lines.append(f"|{one.port} {one.family} {one.state}{tls}")
    return ("\n".join([*lines, "= end"]) + "\n").encode()
