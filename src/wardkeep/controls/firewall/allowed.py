"""What the operator's policy lets in, read from sentences such as `443/tcp` and `22/tcp from 192.0.2.0/24`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

from wardkeep.controls.firewall.program import Network
from wardkeep.core.errors import BadInput

SENTENCE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?/(tcp|udp)(?:\s+from\s+(\S.*))?")


@dataclass(frozen=True, slots=True)
class Opening:
    """Ports `low` to `high` of a protocol, open to `sources`; no source means to the whole world."""

    protocol: str
    low: int
    high: int
    sources: tuple[Network, ...] = ()

    def covers(self, protocol: str, low: int, high: int) -> bool:
        return protocol == self.protocol and self.low <= low and high <= self.high

    def __str__(self) -> str:
        ports = str(self.low) if self.low == self.high else f"{self.low}-{self.high}"
        told = f" from {', '.join(map(str, self.sources))}" if self.sources else ""
        return f"{ports}/{self.protocol}{told}"


@dataclass(frozen=True, slots=True)
class Permit:
    """All that may come in: openings, and networks and interfaces that are trusted as a whole."""

    openings: tuple[Opening, ...]
    networks: tuple[Network, ...] = ()
    interfaces: frozenset[str] = frozenset()

    def cuts(self) -> set[int]:
        """First ports of the classes that the policy tells apart."""
        return {p for o in self.openings for p in (o.low, o.high + 1) if p <= 65535}

    def for_port(self, protocol: str, low: int, high: int) -> tuple[Opening, ...]:
        return tuple(o for o in self.openings if o.covers(protocol, low, high))


def permit(allow: Iterable[str], trusted: Iterable[str]) -> Permit:
    """The policy's sentences, understood. Raises BadInput for one that says nothing clear."""
    found: list[Network] = []
    interfaces = set()
    for name in trusted:
        if re.fullmatch(r"[A-Za-z][\w.-]{0,14}", name):
            interfaces.add(name)
        else:
            found.extend(networks(name, name))
    return Permit(openings(allow), tuple(found), frozenset(interfaces))


def openings(sentences: Iterable[str]) -> tuple[Opening, ...]:
    """Raises BadInput naming the sentence that is no `PORT[-PORT]/tcp|udp [from NETWORK, ...]`."""
    return tuple(_opening(sentence) for sentence in sentences)


def _opening(sentence: str) -> Opening:
    found = SENTENCE.fullmatch(sentence.strip())
    todo = "Write it like `443/tcp` or `22/tcp from 192.0.2.0/24, 2001:db8::/32`."
    if found is None:
        raise BadInput(f"`{sentence}` names no port", where="firewall.allow", todo=todo)
    first, last, protocol, told = found.groups()
    low, high = int(first), int(last or first)
    if not 0 <= low <= high <= 65535:
        raise BadInput(f"`{sentence}` is no range of ports", where="firewall.allow", todo=todo)
    if told is None or told.strip() == "anywhere":
        return Opening(protocol, low, high)
    return Opening(protocol, low, high, networks(told, sentence))


def networks(text: str, sentence: str) -> tuple[Network, ...]:
    """Comma-separated addresses and networks. Raises BadInput, also for host bits that are set."""
    try:
        return tuple(ip_network(part.strip()) for part in text.split(","))
    except ValueError as e:
        raise BadInput(
            f"`{sentence}`: {e}", where="firewall.allow", todo="Write networks like 192.0.2.0/24."
        ) from None


def within(inner: Iterable[Network], outer: Iterable[Network]) -> bool:
    """Whether every address of `inner` lies in the union of `outer`. Nothing lies in nothing: False."""
    asked, outside = list(inner), list(outer)
    four = collapse_addresses(n for n in outside if isinstance(n, IPv4Network))
    six = collapse_addresses(n for n in outside if isinstance(n, IPv6Network))
    wide: list[Network] = [*four, *six]
    return bool(asked) and all(any(_holds(w, n) for w in wide) for n in asked)


def _holds(wide: Network, narrow: Network) -> bool:
    return (
        wide.version == narrow.version
        and wide.network_address <= narrow.network_address  # type: ignore[operator]
        and narrow.broadcast_address <= wide.broadcast_address  # type: ignore[operator]
    )
