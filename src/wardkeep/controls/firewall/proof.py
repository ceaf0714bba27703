"""Whether the compiled policy lets in all that it must, and nothing that it must not: exactly, with a packet to show.

Exact because the table's rules ask for nothing but source, protocol and port (and whole interfaces, which are trusted or
not). Not asked here: what foreign tables drop besides, rates (who keeps within his rate is let in), and packets on
trusted interfaces, from which everything may come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from wardkeep.controls.firewall.allowed import Opening, Permit
from wardkeep.controls.firewall.program import Network

Spans = list[tuple[int, int]]  # addresses, sorted, apart
WORLD: dict[int, Spans] = {4: [(0, (1 << 32) - 1)], 6: [(0, (1 << 128) - 1)]}


@dataclass(frozen=True, slots=True)
class Breach:
    """A packet, new and from outside, with which the policy breaks the sentence."""

    source: IPv4Address | IPv6Address
    protocol: str
    port: int
    sentence: str

    def __str__(self) -> str:
        return f"a packet from {self.source} to {self.port}/{self.protocol}"


def dropped(permit: Permit, wanted: Iterable[Opening]) -> Iterator[Breach]:
    """For each of these openings the first packet that the compiled rules would drop, if there is one."""
    for one in wanted:
        breach = next(_packets(permit, one, inside=False), None)
        if breach:
            yield breach


def admitted(permit: Permit, forbidden: Iterable[Opening]) -> Iterator[Breach]:
    """For each of these the first packet that the compiled rules would let in, if there is one."""
    for one in forbidden:
        breach = next(_packets(permit, one, inside=True), None)
        if breach:
            yield breach


def _packets(permit: Permit, asked: Opening, inside: bool) -> Iterator[Breach]:
    cuts = sorted({asked.low, *(cut for cut in permit.cuts() if asked.low < cut <= asked.high)})
    for version in (4, 6):
        about = _spans(asked.sources, version) if asked.sources else WORLD[version]
        for port in cuts if about else ():
            let_in = _let_in(permit, asked.protocol, port, version)
            found = _both(about, let_in) if inside else _without(about, let_in)
            if found:
                address = _unlike_the_edge(found[0])
                source = IPv4Address(address) if version == 4 else IPv6Address(address)
                yield Breach(source, asked.protocol, port, str(asked))
                break


def _let_in(permit: Permit, protocol: str, port: int, version: int) -> Spans:
    """The sources from which a packet to this port is accepted."""
    opened: Spans = _spans(permit.networks, version)
    for opening in permit.for_port(protocol, port, port):
        opened = opened + (_spans(opening.sources, version) if opening.sources else WORLD[version])
    refused: Spans = []
    for denial in permit.denials:
        if denial.covers(protocol, port, port):
            refused = refused + (_spans(denial.sources, version) if denial.sources else WORLD[version])
    return _without(_merged(opened), _merged(refused))


def _spans(networks: Iterable[Network], version: int) -> Spans:
    return _merged(
        (int(n.network_address), int(n.broadcast_address)) for n in networks if n.version == version
    )


def _merged(spans: Iterable[tuple[int, int]]) -> Spans:
    made: Spans = []
    for low, high in sorted(spans):
        if made and low <= made[-1][1] + 1:
            made[-1] = (made[-1][0], max(high, made[-1][1]))
        else:
            made.append((low, high))
    return made


def _both(one: Spans, other: Spans) -> Spans:
    return _without(one, _without(_everything(one), other))


def _everything(spans: Spans) -> Spans:
    return [(spans[0][0], spans[-1][1])] if spans else []


def _without(one: Spans, other: Spans) -> Spans:
    made: Spans = []
    at = 0
    for low, high in one:
        while at < len(other) and other[at][1] < low:
            at += 1
        step = at
        while step < len(other) and other[step][0] <= high:
            if other[step][0] > low:
                made.append((low, other[step][0] - 1))
            low = max(low, other[step][1] + 1)
            step += 1
        if low <= high:
            made.append((low, high))
    return made


def _unlike_the_edge(span: tuple[int, int]) -> int:
    """An address a person believes in: not 0.0.0.0, not the network's own, where another is left."""
    low, high = span
    if low == 0 and high >= 1 << 24:
        return min(high, 0x08080808 if high < 1 << 32 else 0x2A00 << 112)
    return low + 1 if high > low + 1 else low
