"""The published ranges of providers, from files that the operator supplies: nothing is fetched."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wardkeep.allowlists.networks import Network, read_network
from wardkeep.core.errors import BadInput
from wardkeep.core.text_files import read_text_file

# A customer of a provider gets single addresses out of its ranges. What is this wide or wider admits its other customers
# too; /24 and /48 are the smallest networks that are routed on their own.
WIDE = {4: 1 << 8, 6: 1 << 80}
SINGLE = {4: 1, 6: 1 << 64}  # one host's own share: an address, or a /64


@dataclass(frozen=True)
class Ranges:
    """The ranges of one provider, sorted by first address for each version."""

    provider: str
    networks: tuple[Network, ...]


class Providers:
    """Looks networks up in the ranges of all providers."""

    def __init__(self, ranges: Iterable[Ranges]) -> None:
        self._found: dict[int, list[tuple[int, int, str]]] = {4: [], 6: []}
        for one in ranges:
            for network in one.networks:
                self._found[network.version].append((network.low, network.high, one.provider))
        self._lows: dict[int, list[int]] = {}
        self._ends: dict[int, list[int]] = {}
        for version, found in self._found.items():
            found.sort(key=lambda block: (block[0], -block[1], block[2]))
            self._lows[version] = [low for low, _, _ in found]
            ends: list[int] = []
            self._ends[version] = ends
            for _, high, _ in found:  # the furthest end of all that began so far: when to stop looking back
                ends.append(max(high, ends[-1]) if ends else high)

    def whole(self, network: Network) -> tuple[str, str]:
        """(provider, its range) if the network takes in a whole published range, or a wide part of one; ("", "") if not."""
        found, lows = self._found[network.version], self._lows[network.version]
        ends = self._ends[network.version]
        at = bisect_right(lows, network.high) - 1
        while at >= 0 and ends[at] >= network.low:
            low, high, provider = found[at]
            at -= 1
            if high < network.low:
                continue
            takes_whole = network.low <= low and high <= network.high
            wide = min(high, network.high) - max(low, network.low) + 1 >= WIDE[network.version]
            if wide or (takes_whole and high - low + 1 > SINGLE[network.version]):
                return provider, str(Network(network.version, low, high))
        return "", ""


def read_ranges(path: Path, provider: str = "") -> Ranges:
    """Networks one a line, or any JSON in which they stand as texts (AWS, Google, Azure, Cloudflare, GitHub publish such).

    Raises BadInput for a file with no network in it, or a line that is none.
    """
    name = provider or path.stem
    text = read_text_file(path)
    if text.lstrip()[:1] in ("{", "["):
        try:
            networks = list(_inside(json.loads(text)))
        except (ValueError, RecursionError) as e:
            raise BadInput(f"no valid JSON: {e}", where=str(path)) from None
    else:
        networks = []
        for number, line in enumerate(text.splitlines(), start=1):
            if written := re.split(r"[#;]", line, maxsplit=1)[0].strip().rstrip(","):
                try:
                    networks.append(read_network(written))
                except BadInput as e:
                    raise BadInput(e.what, where=f"{path}:{number}", todo=e.todo) from None
    if not networks:
        raise BadInput("no network stands in it", where=str(path), todo="Save the provider's list there.")
    return Ranges(name, tuple(networks))


def _inside(value: Any) -> Iterator[Network]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _inside(one)
    elif isinstance(value, str) and "/" in value and value[0] in "0123456789abcdefABCDEF:":
        try:
            yield read_network(value)
        except BadInput:
            return  # another text of the file: a name, a date, an address of a page
