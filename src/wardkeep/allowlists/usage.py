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

BLOCK = 256
UNUSED_AFTER = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Use:
    """A connection that came in: from whom, to what, and when (epoch seconds, UTC; 0 if the record does not say)."""

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
        network, found = entry.network, -1
        for protocol, low, high in entry.spans:
            ports = self._ports.get((network.version, protocol), [])
            for port in ports[bisect_left(ports, low) : bisect_right(ports, high)]:
                known = self._at[network.version, protocol, port]
                found = max(found, known.within(network.low, network.high))
        return None if found < 0 else found


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
        last = lookup.last(entry)
        todo = "Ask its owner whether it is needed, or remove it."
        if last:
            day = datetime.fromtimestamp(last, UTC).date()
            if today - day > after:
                seen = f"last used on {day}, {(today - day).days} days ago"
                yield Defect("unused", entry, seen, todo)
        elif last is None and covered >= after:
            yield Defect("unused", entry, f"nobody came from there in {covered.days} days", todo)
        elif last is None:
            reach = f"go back {covered.days} days only" if begins else "name no day on which they begin"
            seen = f"nobody came from there, but the records {reach}"
            yield Defect("unused", entry, seen, "Give records of a quarter.", unknown=True)
