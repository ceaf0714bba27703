"""What a packet filter does with a packet that comes from outside: all the ways it can take.

A rule set, whatever tool wrote it, becomes a `Program`: base chains in the order of their hook and priority, rules made of
conditions and one verdict. `ways` follows one class of packets through it and forks wherever a condition may or may not
hold (the sender's address, the interface, anything not understood). So "no way ends in accept" is sound: a doubt
adds a way, it never takes one away. What is *not* modelled: two conditions on one way that contradict
each other (a way too many), and forwarding (only what ends on this host is followed).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network
Spans: TypeAlias = tuple[tuple[int, int], ...]

MOST_WAYS = 2_000
MOST_WORK = 2_000_000  # conditions to try for all classes of ports of one family and protocol: about 1 s
MOST_JUMPS = 16  # the kernel's own limit


class Kind(Enum):
    """What a condition asks about."""

    PROTOCOL = "protocol"  # values: names
    PORT = "port"  # spans
    FAMILY = "family"  # values: ip, ip6
    STATE = "state"  # values: new, established, ...
    INTERFACE = "interface"  # values: names
    SOURCE = "source"  # networks
    SENDER = "sender"  # something every sender can choose or wait for (flags, source port, rate)
    HERE = "here"  # which of our own addresses or links it came to
    OPAQUE = "opaque"  # not understood by this version


@dataclass(frozen=True, slots=True)
class Condition:
    """One test of a rule. `text` is how a person reads it."""

    kind: Kind
    text: str
    values: frozenset[str] = frozenset()
    spans: Spans = ()
    networks: tuple[Network, ...] = ()
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """accept, drop, continue, return; jump and goto name a chain; `opaque` may be any of them."""

    act: str
    target: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    conditions: tuple[Condition, ...]
    verdict: Verdict
    says: str = ""


@dataclass(frozen=True, slots=True)
class Hooked:
    """A base chain. `families` are the packets that enter it, `scope` is the table whose chains it may jump to."""

    scope: str
    name: str
    families: frozenset[str]
    priority: int
    policy: str
    doubt: str = ""  # why it might not be in force at all


@dataclass(frozen=True, slots=True)
class Redirect:
    """A rule that sends arriving packets elsewhere (DNAT, redirect) before the input chains see them."""

    protocols: frozenset[str]
    spans: Spans
    says: str


@dataclass(frozen=True)
class Program:
    """All base chains of the input hook, in the order the kernel runs them, and the chains of each scope."""

    hooked: tuple[Hooked, ...]
    chains: Mapping[tuple[str, str], tuple[Line, ...]]
    redirects: tuple[Redirect, ...] = ()
    untracked: bool = False  # a rule can take packets out of connection tracking

    @functools.cached_property
    def size(self) -> int:
        """How many lines and spans of ports there are to try."""
        return sum(1 + len(c.spans) for li in self._lines() for c in li.conditions)

    @functools.cached_property
    def cuts(self) -> frozenset[int]:
        """Every port at which some condition can change its mind: first ports of the classes to look at."""
        spans = [s for li in self._lines() for c in li.conditions for s in c.spans]
        spans += [s for r in self.redirects for s in r.spans]
        return frozenset({0, *(low for low, _ in spans), *(high + 1 for _, high in spans if high < 65535)})

    def _lines(self) -> Iterator[Line]:
        for lines in self.chains.values():
            yield from lines


@dataclass(frozen=True, slots=True)
class Packet:
    """New packets from outside the host, of one family and protocol (`other`: any that is not named), to one port."""

    family: str
    protocol: str
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """One way through the program: its end (`accept` or `drop`) and the doubtful conditions it took for true."""

    accepted: bool
    given: tuple[Condition, ...] = ()

    @property
    def decided(self) -> bool:
        return all(c.kind is not Kind.OPAQUE for c in self.given)

    def __str__(self) -> str:
        return ", ".join(c.text for c in self.given) or "from anywhere"


class TooManyWays(Exception):
    """The program forks more often than this version follows."""


def ways(program: Program, packet: Packet) -> list[Way]:
    """Every way the packets can take. Accepted means accepted by *each* base chain; one drop is final."""
    open_ways: list[tuple[Condition, ...]] = [()]
    ended: list[Way] = []
    for hook in program.hooked:
        if packet.family not in hook.families:
            continue
        passed: list[tuple[Condition, ...]] = []
        if hook.doubt:
            passed = [(*given, Condition(Kind.OPAQUE, hook.doubt)) for given in open_ways]
        for given in open_ways:
            for end, conditions in _through(program, hook, packet, given):
                if end == "drop":
                    ended.append(Way(False, conditions))
                elif conditions not in passed:
                    passed.append(conditions)
            if len(passed) > MOST_WAYS:
                raise TooManyWays
        open_ways = passed
    return ended + [Way(True, given) for given in open_ways]


def _through(
    program: Program, hook: Hooked, packet: Packet, given: tuple[Condition, ...]
) -> Iterator[tuple[str, tuple[Condition, ...]]]:
    for end, conditions in _chain(program, hook.scope, hook.name, packet, given, 0):
        # The end of a base chain, and a `return` in it, are its policy.
        yield (hook.policy if end in ("end", "return") else end), conditions


def _chain(
    program: Program, scope: str, name: str, packet: Packet, given: tuple[Condition, ...], depth: int
) -> Iterator[tuple[str, tuple[Condition, ...]]]:
    """Yields (accept | drop | end | return, conditions) for every way through the chain."""
    lines = program.chains.get((scope, name))
    if lines is None or depth > MOST_JUMPS:
        doubt = Condition(Kind.OPAQUE, f"the chain `{name}` could not be followed")
        yield "accept", (*given, doubt)
        yield "end", (*given, doubt)
        return
    fronts = [given]
    for line in lines:
        following: list[tuple[Condition, ...]] = []
        for front in fronts:
            met, doubts = _meets(line.conditions, packet, program.untracked)
            if not met:
                following.append(front)
                continue
            fresh = tuple(d for d in doubts if d not in front)
            if doubts:
                following.append(front + _complement(doubts))
            for end, conditions in _verdict(program, scope, line, packet, front + fresh, depth):
                if end == "continue":
                    following.append(conditions)
                else:
                    yield end, conditions
        fronts = list(dict.fromkeys(following))
        if len(fronts) > MOST_WAYS:
            raise TooManyWays
        if not fronts:
            return
    for front in fronts:
        yield "end", front


def _complement(doubts: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """What is known of packets the line did not take. Only "not from elsewhere" narrows: it says where from."""
    if len(doubts) == 1 and doubts[0].negated and doubts[0].kind in (Kind.SOURCE, Kind.INTERFACE):
        return (replace(doubts[0], negated=False, text=doubts[0].text.replace("!= ", "", 1)),)
    return ()


def _verdict(
    program: Program, scope: str, line: Line, packet: Packet, given: tuple[Condition, ...], depth: int
) -> Iterator[tuple[str, tuple[Condition, ...]]]:
    act, target = line.verdict.act, line.verdict.target
    if act in ("accept", "drop", "return", "continue"):
        yield act, given
    elif act in ("jump", "goto"):
        for end, conditions in _chain(program, scope, target, packet, given, depth + 1):
            back = end in ("end", "return")
            # After a goto nothing comes back to this chain: its end is the end of the caller too.
            yield ("continue" if act == "jump" else "end") if back else end, conditions
    else:
        doubt = Condition(Kind.OPAQUE, line.says or target)
        yield "accept", (*given, doubt)
        yield "continue", given


def _meets(
    conditions: tuple[Condition, ...], packet: Packet, untracked: bool
) -> tuple[bool, tuple[Condition, ...]]:
    """(can hold, the conditions that are doubtful)."""
    doubts = []
    for condition in conditions:
        holds = _holds(condition, packet, untracked)
        if holds is False:
            return False, ()
        if holds is None:
            doubts.append(condition)
    return True, tuple(doubts)


def _holds(condition: Condition, packet: Packet, untracked: bool) -> bool | None:
    """True, False, or None for "it depends"."""
    found: bool | None
    match condition.kind:
        case Kind.FAMILY:
            found = packet.family in condition.values
        case Kind.PROTOCOL:
            found = packet.protocol in condition.values
        case Kind.PORT:
            if packet.port is None:  # `th dport` reads whatever stands there
                return None
            found = any(low <= packet.port <= high for low, high in condition.spans)
        case Kind.STATE:
            # The first packet of a stranger's flow is `new`; `untracked` only where some rule makes it so.
            possible = {"new", "untracked"} if untracked else {"new"}
            found = None if possible & condition.values else False
            if possible <= condition.values:
                found = True
        case Kind.INTERFACE:
            # The packet comes from outside: never by `lo`, by which other interface is not known.
            found = None if condition.values - {"lo"} else False
        case Kind.SOURCE:
            same = [n for n in condition.networks if n.version == (4 if packet.family == "ip" else 6)]
            found = None if same else False
            if any(n.prefixlen == 0 for n in same):
                found = True
        case _:
            return None
    return found if found is None or not condition.negated else not found
