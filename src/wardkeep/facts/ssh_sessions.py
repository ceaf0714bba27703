"""Who is connected to the host's ssh server now: the ways in that a change must not cut."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, sections

SCRIPT = f"""out=$(ss -Htnp state established) || exit $?
printf '= connections\\n'
[ -z "$out" ] || printf '%s\\n' "$out" | sed 's/^/|/'
{END}"""
# OpenSSH 10 gives each connection to a program of its own, `sshd-session`.
SSHD = re.compile(r'\("sshd(?:-session|-auth)?",')


@dataclass(frozen=True, slots=True)
class Session:
    """One established connection to sshd: who, and to which port of ours."""

    peer: IPv4Address | IPv6Address
    port: int

    @property
    def family(self) -> str:
        return "ip" if self.peer.version == 4 else "ip6"


@dataclass(frozen=True, slots=True)
class SshSessions:
    """Every established TCP connection that sshd holds. None is a fact too: nobody is connected by ssh."""

    ask: ClassVar[Question] = Question("ssh_sessions", SCRIPT, tool="ss")
    sessions: tuple[Session, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        """Lines of `ss -Htnp state established`: two queues, local, peer, holders. Connections of others are skipped."""
        told = list(sections(answer))
        if [section.name for section in told] != ["connections"]:
            raise NotUnderstood("no section names the connections", where=answer.question)
        found = {_session(line, answer.question) for line in told[0].lines}
        return cls(tuple(sorted((s for s in found if s), key=lambda s: (s.port, str(s.peer)))))


def _session(line: str, question: str) -> Session | None:
    words = line.split(None, 4)
    if len(words) < 4:
        raise NotUnderstood(f"`{line[:60]}` is no connection", where=question)
    (_, port), (peer, _) = (_end(word, question) for word in words[2:4])
    return Session(peer, port) if len(words) == 5 and SSHD.search(words[4]) else None


def _end(text: str, question: str) -> tuple[IPv4Address | IPv6Address, int]:
    host, _, port = text.rpartition(":")
    host = re.sub(r"%[^\]]*", "", host).removeprefix("[").removesuffix("]")
    try:
        address = ip_address(host)
        number = int(port)
    except ValueError:
        raise NotUnderstood(f"`{text}` is no address and port", where=question) from None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address, number
