"""What entries are to each other: the same, one within others, neighbours that make one network, allowed and denied.

Networks are cut into aligned blocks, and aligned blocks are nested or apart, never crossed: one sweep in the order of first
addresses with a stack of the blocks around is enough. n entries cost O(n log n) however deep they are nested.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from wardkeep.allowlists.entry import ALLOW, DENY, Entry
from wardkeep.allowlists.networks import Network, Union, blocks
from wardkeep.allowlists.services import Span, overlap

Block = tuple[int, int]
NAMED_AT_MOST = 8  # entries that a finding names


class Ports:
    """The union of some entries' ports, and whose they are. Neighbouring spans are kept as one."""

    __slots__ = ("by_protocol",)

    def __init__(self) -> None:
        self.by_protocol: dict[str, tuple[list[int], list[int], list[list[int]]]] = {}

    def add(self, spans: tuple[Span, ...], owner: int) -> None:
        for protocol, low, high in spans:
            lows, highs, owners = self.by_protocol.setdefault(protocol, ([], [], []))
            first = bisect_left(highs, low - 1)  # the first span that ends at or after our left neighbour
            last = bisect_right(lows, high + 1)
            held = [owner]
            if first < last:
                low, high = min(low, lows[first]), max(high, highs[last - 1])
                held = [*owners[first], *(o for more in owners[first + 1 : last] for o in more), owner]
            lows[first:last], highs[first:last], owners[first:last] = [low], [high], [held]

    def reach(self, protocol: str, port: int) -> tuple[int, list[int]]:
        """(the last port up to which all are held from `port` on, whose they are); (-1, []) if `port` is not held."""
        known = self.by_protocol.get(protocol)
        if known is None:
            return -1, []
        at = bisect_right(known[0], port) - 1
        return (known[1][at], known[2][at]) if at >= 0 and known[1][at] >= port else (-1, [])

    def touching(self, spans: tuple[Span, ...]) -> list[int]:
        """The owners of every port of these spans that is held."""
        found: list[int] = []
        for protocol, low, high in spans:
            known = self.by_protocol.get(protocol)
            if known:
                for at in range(bisect_left(known[1], low), bisect_right(known[0], high)):
                    found += known[2][at]
        return found


@dataclass
class Relations:
    """Indexes into the entries that were compared. `within` maps an entry to those that make it superfluous; `same` to
    the first that says the same; `merge` lists neighbours with the network they make together; `denied` maps an entry
    that allows to those that deny the same."""

    same: dict[int, int] = field(default_factory=dict)
    within: dict[int, tuple[int, ...]] = field(default_factory=dict)
    merge: list[tuple[tuple[int, ...], Network]] = field(default_factory=list)
    denied: dict[int, tuple[int, ...]] = field(default_factory=dict)


def relations(entries: Sequence[Entry], chosen: Iterable[int]) -> Relations:
    """How the `chosen` entries stand to each other. The same, within and neighbours are told within one list and action,
    and only between entries for comparable services; allowed and denied across all lists."""
    made = Relations()
    groups: dict[tuple[str, str, int], list[int]] = {}
    for index in chosen:
        one = entries[index]
        groups.setdefault((one.list, one.action, one.network.version), []).append(index)
    every: dict[int, list[int]] = {4: [], 6: []}
    for (_, _, version), members in groups.items():
        first: dict[tuple[int, int, tuple[Span, ...]], int] = {}
        beside: list[int] = []
        for index in _beside_others(entries, members):
            network = entries[index].network
            kept = first.setdefault((network.low, network.high, entries[index].spans), index)
            if kept != index:
                made.same[index] = kept
            else:
                beside.append(index)
        within = dict(_within(entries, beside))
        made.within.update(within)
        made.merge += _neighbours(entries, [index for index in beside if index not in within])
        every[version] += (index for index in members if index not in made.same)
    for members in every.values():
        made.denied.update(_denied(entries, members))
    return made


def _beside_others(entries: Sequence[Entry], members: list[int]) -> list[int]:
    """Those that share an address with another member or stand next to one, in their order: the rest is nothing to any."""
    networks = [entries[index].network for index in members]
    lows = [network.low for network in networks]
    found: list[int] = []
    end, before = -2, -1
    for at in sorted(range(len(members)), key=lows.__getitem__):
        if lows[at] > end + 1:
            end, before = networks[at].high, at
            continue
        if before >= 0:
            found.append(before)
            before = -1
        found.append(at)
        end = max(end, networks[at].high)
    return [members[at] for at in sorted(found)]


def _nodes(entries: Sequence[Entry], members: Iterable[int]) -> dict[Block, list[int]]:
    nodes: dict[Block, list[int]] = {}
    for index in members:
        network = entries[index].network
        if network.prefix is not None:
            nodes.setdefault((network.low, network.high), []).append(index)
        else:
            for block in blocks(network.version, network.low, network.high):
                nodes.setdefault(block, []).append(index)
    return nodes


def _outermost_first(nodes: Iterable[Block]) -> list[Block]:
    return sorted(nodes, key=lambda block: (block[0], -block[1]))


def _within(entries: Sequence[Entry], members: list[int]) -> Iterator[tuple[int, tuple[int, ...]]]:
    nodes = _nodes(entries, members)
    wanted: dict[int, int] = {}
    covering: dict[int, list[int]] = {}
    around: list[tuple[int, Ports]] = []
    for block in _outermost_first(nodes):
        while around and around[-1][0] < block[0]:
            around.pop()
        own = Ports()
        around.append((block[1], own))
        held = nodes[block]
        if len(held) > 1:
            # A fixed order, widest first: of two entries that hold each other's block, one stays.
            held = sorted(held, key=lambda i: (-entries[i].network.size, -_width(entries[i].spans), i))
        for index in held:
            spans = entries[index].spans
            wanted[index] = wanted.get(index, 0) + 1
            if len(around) > 1 or len(held) > 1:
                owners = _covering(around, spans)
                if owners is not None:
                    wanted[index] -= 1
                    covering.setdefault(index, []).extend(owners)
            own.add(spans, index)
    for index, missing in wanted.items():
        if not missing:
            yield index, _fewest(entries, entries[index], covering[index])


def _covering(around: list[tuple[int, Ports]], spans: tuple[Span, ...]) -> list[int] | None:
    found: list[int] = []
    for protocol, low, high in spans:
        port = low
        while port <= high:
            best, owners = max(
                (ports.reach(protocol, port) for _, ports in around), key=lambda reached: reached[0]
            )
            if best < port:
                return None
            found += owners
            port = best + 1
    return found


def _fewest(entries: Sequence[Entry], one: Entry, owners: Iterable[int]) -> tuple[int, ...]:
    """Of the entries that cover one: a single one that does it alone, or those that take part."""
    found = sorted(set(owners))
    for index in found:
        other = entries[index]
        if (
            other.network.low <= one.network.low
            and one.network.high <= other.network.high
            and all(any(q == p and a <= c and d <= b for q, a, b in other.spans) for p, c, d in one.spans)
        ):
            return (index,)
    return tuple(i for i in found if overlap(entries[i].spans, one.spans))[:NAMED_AT_MOST]


def _neighbours(
    entries: Sequence[Entry], members: Iterable[int]
) -> Iterator[tuple[tuple[int, ...], Network]]:
    by_service: dict[tuple[Span, ...], list[int]] = {}
    for index in members:
        by_service.setdefault(entries[index].spans, []).append(index)
    for held in by_service.values():
        held.sort(key=lambda i: (entries[i].network.low, entries[i].network.high))
        run: list[int] = []
        end = -2
        for index in held:
            network = entries[index].network
            if run and network.low > end + 1:
                yield from _merged(entries, run)
                run = []
            run.append(index)
            end = max(end, network.high) if len(run) > 1 else network.high
        yield from _merged(entries, run)


def _merged(entries: Sequence[Entry], run: list[int]) -> Iterator[tuple[tuple[int, ...], Network]]:
    if len(run) < 2:
        return
    networks = [entries[index].network for index in run]
    version, low, high = networks[0].version, networks[0].low, max(n.high for n in networks)
    if any(network.prefix is None for network in networks):
        yield tuple(run), Network(version, low, high)
        return
    at = 0
    for first, last in blocks(version, low, high):
        group = []
        while at < len(run) and networks[at].high <= last:
            group.append(run[at])
            at += 1
        if len(group) > 1:
            yield tuple(group), Network(version, first, last)


def _denied(entries: Sequence[Entry], members: list[int]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Entries that allow what lies, in the same or a wider network, on a deny list as well. A narrower deny inside an
    allowed network is an exception that somebody meant, and is not told."""
    denying = [index for index in members if entries[index].action == DENY]
    if not denying:
        return
    denied = _nodes(entries, denying)
    reached = Union(entries[index].network for index in denying)
    touched = (i for i in members if entries[i].action == ALLOW and reached.touched(entries[i].network))
    allowed = _nodes(entries, touched)
    around: list[tuple[int, Ports]] = []
    found: dict[int, list[int]] = {}
    for block in _outermost_first({*denied, *allowed}):
        while around and around[-1][0] < block[0]:
            around.pop()
        if block in denied:
            ports = Ports()
            for index in denied[block]:
                ports.add(entries[index].spans, index)
            around.append((block[1], ports))
        for index in allowed.get(block, ()):
            spans = entries[index].spans
            for _, ports in around:
                if touching := ports.touching(spans):
                    found.setdefault(index, []).extend(
                        i for i in touching if overlap(entries[i].spans, spans)
                    )
    for index, others in found.items():
        yield index, tuple(sorted(set(others)))[:NAMED_AT_MOST]


def _width(spans: tuple[Span, ...]) -> int:
    return sum(high - low + 1 for _, low, high in spans)
