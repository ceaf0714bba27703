"""The sockets a host listens on, and the programs that hold them, from `ss`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, sections

SCRIPT = f"""out=$(ss -Hltnup) || exit $?
printf '= sockets\\n'
[ -z "$out" ] || printf '%s\\n' "$out" | sed 's/^/|/'
{END}"""
HOLDER = re.compile(r'\("((?:[^"\\]|\\.)*)",pid=(\d+),fd=\d+\)')
STATES = {"tcp": "LISTEN", "udp": "UNCONN"}


@dataclass(frozen=True, slots=True)
class Listener:
    """One socket that waits for whoever comes.

    `address` is None for the wildcard; `families` are those whose packets reach it (`ip`, `ip6`): a wildcard IPv6
    socket takes IPv4 too unless it was told not to. `interface` is "" unless bound to one. `holders` are the
    programs' names and process ids; empty where the kernel names none (a kernel socket, or another namespace's).
    """

    protocol: str  # "tcp" | "udp"
    address: IPv4Address | IPv6Address | None
    port: int
    families: tuple[str, ...]
    interface: str = ""
    holders: tuple[tuple[str, int], ...] = ()

    @property
    def local_only(self) -> bool:
        """Whether only the host itself can reach it: bound to a loopback address or to the loopback interface."""
        return self.interface == "lo" or (self.address is not None and self.address.is_loopback)

    @property
    def programs(self) -> str:
        """The holders' names, each once: `nginx`, or `a program the kernel does not name`."""
        return ", ".join(sorted({name for name, _ in self.holders})) or "a program the kernel does not name"

    def __str__(self) -> str:
        where = "any address" if self.address is None else str(self.address)
        return f"{self.port}/{self.protocol} on {where}{'%' + self.interface if self.interface else ''}"


@dataclass(frozen=True, slots=True)
class Listeners:
    """Every listening TCP socket and every unconnected UDP socket, as the kernel lists them."""

    ask: ClassVar[Question] = Question("listeners", SCRIPT, tool="ss")
    sockets: tuple[Listener, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        """Lines of `ss -Hltnup`: protocol, state, two queues, local, peer, holders.

        No line at all is a host where nothing listens. Not checked: raw, SCTP, DCCP and vsock sockets.
        """
        told = list(sections(answer))
        if [section.name for section in told] != ["sockets"]:
            raise NotUnderstood("no section names the sockets", where=answer.question)
        return cls(tuple(_socket(line, answer.question) for line in told[0].lines))

    def to_the_world(self) -> tuple[Listener, ...]:
        """Those that something outside the host could reach if no firewall stood before them."""
        return tuple(s for s in self.sockets if not s.local_only)

    def ports_of(self, program: str) -> tuple[int, ...]:
        """The TCP ports that `program` (a process name, as `sshd`) holds open to the world."""
        held = {
            s.port
            for s in self.to_the_world()
            if s.protocol == "tcp" and any(name == program for name, _ in s.holders)
        }
        return tuple(sorted(held))


def _socket(line: str, question: str) -> Listener:
    words = line.split(None, 6)
    if len(words) < 6:
        raise NotUnderstood(f"a socket line has {len(words)} words, at least 6 are needed", where=question)
    protocol, state, _, _, local, peer = words[:6]
    if STATES.get(protocol) != state:
        raise NotUnderstood(f"no listening state is known as `{protocol} {state}`", where=question)
    if not peer.endswith(":*"):
        raise NotUnderstood(f"a listening socket with the peer `{peer}`", where=question)
    told = words[6].strip() if len(words) == 7 else ""
    address, port, interface = _local(local, question)
    return Listener(protocol, address, port, _families(local, address), interface, _holders(told, question))


def _local(text: str, question: str) -> tuple[IPv4Address | IPv6Address | None, int, str]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise NotUnderstood(f"`{text}` is no address and port", where=question)
    host, _, interface = host.replace("]", "").removeprefix("[").partition("%")
    if host in ("*", "0.0.0.0", "::"):  # noqa: S104 - read, not bound
        return None, int(port), interface
    try:
        return ip_address(host), int(port), interface
    except ValueError:
        raise NotUnderstood(f"`{text}` is no address and port", where=question) from None


def _families(local: str, address: IPv4Address | IPv6Address | None) -> tuple[str, ...]:
    if address is None:
        # ss prints `*` only for an IPv6 wildcard that also takes IPv4.
        if local.startswith("*"):
            return ("ip", "ip6")
        return ("ip6",) if local.startswith("[") else ("ip",)
    if isinstance(address, IPv6Address):
        return ("ip",) if address.ipv4_mapped else ("ip6",)
    return ("ip",)


def _holders(text: str, question: str) -> tuple[tuple[str, int], ...]:
    if not text:
        return ()
    if not (text.startswith("users:(") and text.endswith(")")):
        raise NotUnderstood(f"`{text[:60]}` does not name the socket's holders", where=question)
    inner = text[len("users:(") : -1]
    held = tuple((name, int(pid)) for name, pid in HOLDER.findall(inner))
    if not held or HOLDER.sub("", inner).strip(","):
        raise NotUnderstood(f"`{text[:60]}` does not name the socket's holders", where=question)
    return held
