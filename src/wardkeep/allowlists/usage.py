"""Which entries anybody used, and when last: from connections that were seen.

Said honestly: an entry is *unused* only if the record goes back far enough; otherwise that is unknown.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from wardkeep.allowlists.audit import Defect
from wardkeep.allowlists.entry import ALLOW, Allowlist, Entry
from wardkeep.allowlists.networks import Network
from wardkeep.allowlists.services import Span

BLOCK = 256
NOT_TOLD = ""
UNUSED_AFTER = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Use:
    """A connection that came in: from whom, to what, and when (epoch seconds, UTC; 0 if the record does not say).

    `protocol` is NOT_TOLD where the record holds TCP and UDP together: a use of an entry only if the entry opens both.
    """

    version: int
    address: int
    protocol: str
    port: int
    at: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """All uses of one record. `since` and `until` bound the time that it covers; None if it names no times."""

    uses: tuple[Use, ...]
    since: datetime | None
    until: datetime | None


class Uses:
    """Uses, to be looked up by network and ports: the latest of a range of addresses in about log n steps."""

    def __init__(self, uses: Iterable[Use]) -> None:
        latest: dict[tuple[int, str, int], dict[int, int]] = {}
        for one in uses:
            held = latest.setdefault((one.version, one.protocol, one.port), {})
            held[one.address] = max(held.get(one.address, 0), one.at)
        self._ports: dict[tuple[int, str], list[int]] = {}
        for version, protocol, port in sorted(latest):
            self._ports.setdefault((version, protocol), []).append(port)
        self._at = {key: _Latest(held) for key, held in latest.items()}

    def last(self, entry: Entry) -> int | None:
        """Epoch seconds of the last use (0: used at a time nobody recorded); None if there was none."""
        found = [self._within(entry.network, span) for span in entry.spans]
        found += [self._within(entry.network, span) for span in _both(entry.spans)]
        return _latest(found)

    def perhaps(self, entry: Entry) -> int | None:
        """The same of what may have been a use: it came by TCP or UDP, and the record does not say by which."""
        return _latest([self._within(entry.network, (NOT_TOLD, low, high)) for _, low, high in entry.spans])

    def _within(self, network: Network, span: Span) -> int:
        protocol, low, high = span
        ports, found = self._ports.get((network.version, protocol), []), -1
        for port in ports[bisect_left(ports, low) : bisect_right(ports, high)]:
            found = max(found, self._at[network.version, protocol, port].within(network.low, network.high))
        return found


def _latest(found: list[int]) -> int | None:
    return None if max(found, default=-1) < 0 else max(found)


def _both(spans: tuple[Span, ...]) -> Iterator[Span]:
    """The ports that are open by TCP and by UDP."""
    for protocol, low, high in spans:
        for other, first, last in spans:
            if (protocol, other) == ("tcp", "udp") and first <= high and low <= last:
                yield NOT_TOLD, max(low, first), min(high, last)


class _Latest:
    """Addresses in order, each with its latest use; the largest of each block of them is kept."""

    def __init__(self, held: dict[int, int]) -> None:
        self.addresses = sorted(held)
        self.times = array("q", (held[address] for address in self.addresses))
        self.blocks = [max(self.times[at : at + BLOCK]) for at in range(0, len(self.times), BLOCK)]

    def within(self, low: int, high: int) -> int:
        first, last = bisect_left(self.addresses, low), bisect_right(self.addresses, high)
        if first == last:
            return -1
        whole, end = -(-first // BLOCK), last // BLOCK
        if whole >= end:
            return max(self.times[first:last])
        edges = [*self.times[first : whole * BLOCK], *self.times[end * BLOCK : last]]
        return max([*self.blocks[whole:end], *edges])


def unused(
    allowlist: Allowlist, records: Iterable[Record], today: date, after: timedelta = UNUSED_AFTER
) -> Iterator[Defect]:
    """Entries in force from which nobody came for `after`; unknown where the records do not go back so far.

    An entry younger than `after` is not told: it had no time to be used.
    """
    known = list(records)
    lookup = Uses(use for record in known for use in record.uses)
    begins = [record.since for record in known if record.since is not None]
    covered = today - min(begins).date() if begins else timedelta()
    for entry in allowlist.entries:
        if entry.action != ALLOW or entry.expired(today):
            continue
        if entry.created is not None and today - entry.created < after:
            continue
        last, perhaps = lookup.last(entry), lookup.perhaps(entry)
        todo = "Ask its owner whether it is needed, or remove it."
        if last is not None and (not last or today - _day(last) <= after):
            continue
        if perhaps is not None and (not perhaps or today - _day(perhaps) <= after):
            seen = f"{came_by_either(perhaps)}, which the record does not say"
            yield Defect("unused", entry, seen, "Wait until the record tells them apart.", unknown=True)
        elif last is not None:
            seen = f"last used on {_day(last)}, {(today - _day(last)).days} days ago"
            yield Defect("unused", entry, seen, todo)
        elif covered >= after:
            yield Defect("unused", entry, f"nobody came from there in {covered.days} days", todo)
        else:
            reach = (
                f"go back {covered.days} day{'s' * (covered.days != 1)} only"
                if begins
                else "name no day on which they begin"
            )
            seen = f"nobody came from there, but the records {reach}"
            yield Defect("unused", entry, seen, "Give records of a quarter.", unknown=True)


def came_by_either(at: int) -> str:
    return f"somebody came{f' on {_day(at)}' if at else ''} by TCP or UDP"


def _day(at: int) -> date:
    return datetime.fromtimestamp(at, UTC).date()
