"""Holding the ways through a packet filter against what the policy names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from wardkeep.controls.firewall.allowed import Permit, within
from wardkeep.controls.firewall.program import (
    MOST_WORK,
    Kind,
    Network,
    Packet,
    Program,
    TooManyWays,
    Way,
    ways,
)


@dataclass(frozen=True, slots=True)
class Entrance:
    """A range of ports that the filter treats alike, and the ways on which it lets new packets in."""

    protocol: str
    low: int
    high: int
    accepted: tuple[Way, ...]

    def __str__(self) -> str:
        ports = str(self.low) if self.low == self.high else f"{self.low}-{self.high}"
        return f"{ports}/{self.protocol}"


def entrances(program: Program, family: str, protocol: str, cuts: Iterable[int]) -> Iterator[Entrance]:
    """The ranges of ports at which something gets in; neighbours that are treated alike are one. Raises TooManyWays."""
    firsts = sorted({*program.cuts, *cuts})
    if len(firsts) * program.size > MOST_WORK:
        raise TooManyWays
    held: Entrance | None = None
    for low, following in pairwise([*firsts, 65536]):
        accepted = tuple(w for w in ways(program, Packet(family, protocol, low)) if w.accepted)
        if held and accepted == held.accepted:
            held = Entrance(protocol, held.low, following - 1, accepted)
            continue
        if held and held.accepted:
            yield held
        held = Entrance(protocol, low, following - 1, accepted)
    if held and held.accepted:
        yield held


def is_named(way: Way, entrance: Entrance, permit: Permit) -> bool:
    """Whether the policy lets in at least everybody that this way lets in."""
    fitting = permit.for_port(entrance.protocol, entrance.low, entrance.high)
    return is_trusted(way, permit) or any(not o.sources or _only_from(way, o.sources) for o in fitting)


def is_trusted(way: Way, permit: Permit) -> bool:
    """Whether the way is only for interfaces or networks that the policy trusts as a whole."""
    for given in way.given:
        if given.kind is Kind.INTERFACE and not given.negated and given.values <= permit.interfaces:
            return True
    return _only_from(way, permit.networks)


def _only_from(way: Way, sources: tuple[Network, ...]) -> bool:
    return any(
        given.kind is Kind.SOURCE and not given.negated and within(given.networks, sources)
        for given in way.given
    )
