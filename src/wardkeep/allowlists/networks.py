"""Networks as ranges of integers: read from text, cut into aligned blocks, written back."""

from __future__ import annotations

import socket
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from wardkeep.core.errors import BadInput

BITS = {4: 32, 6: 128}
TODO = (
    "Write an address (192.0.2.7), a network (192.0.2.0/24, 2001:db8::/48) or a range (192.0.2.4-192.0.2.9)."
)


@dataclass(frozen=True, slots=True)
class Network:
    """The addresses `low` to `high` (integers, both within) of IP `version` 4 or 6.

    `host_bits` says that the text named an address inside the network (192.0.2.7/24), not the network itself.
    """

    version: int
    low: int
    high: int
    host_bits: bool = False

    @property
    def size(self) -> int:
        return self.high - self.low + 1

    @property
    def prefix(self) -> int | None:
        """The length of its prefix; None for a range that is no network."""
        size = self.high - self.low + 1
        if size & (size - 1) or self.low & (size - 1):
            return None
        return BITS[self.version] - size.bit_length() + 1

    def __str__(self) -> str:
        first = write_address(self.version, self.low)
        prefix = self.prefix
        if prefix is None:
            return f"{first}-{write_address(self.version, self.high)}"
        return first if prefix == BITS[self.version] else f"{first}/{prefix}"


def write_address(version: int, number: int) -> str:
    return str(IPv4Address(number) if version == 4 else IPv6Address(number))


def read_address(text: str) -> tuple[int, int]:
    """(version, number). Raises ValueError; names, zones and octal numbers are no addresses."""
    try:
        if ":" in text:
            return 6, int.from_bytes(socket.inet_pton(socket.AF_INET6, text))
        return 4, int.from_bytes(socket.inet_pton(socket.AF_INET, text))
    except (OSError, UnicodeEncodeError):
        raise ValueError(text) from None


def read_network(text: str) -> Network:
    """An address, a network in CIDR notation (a netmask is refused) or a range. Raises BadInput."""
    try:
        head, slash, tail = text.partition("/")
        if slash:
            version, number = read_address(head)
            bits = BITS[version]
            if not (tail.isascii() and tail.isdigit() and len(tail) <= 3 and int(tail) <= bits):
                raise ValueError(text)
            size = 1 << (bits - int(tail))
            low = number & ~(size - 1)
            return Network(version, low, low + size - 1, low != number)
        head, dash, tail = text.partition("-")
        version, low = read_address(head.strip())
        if not dash:
            return Network(version, low, low)
        other, high = read_address(tail.strip())
        if other != version or high < low:
            raise ValueError(text)
        return Network(version, low, high)
    except ValueError:
        raise BadInput(f"`{text[:80]}` is no network", todo=TODO) from None


def blocks(version: int, low: int, high: int) -> Iterator[tuple[int, int]]:
    """The fewest aligned blocks (first, last address) that make up a range, in their order; a network is one block."""
    bits = BITS[version]
    while low <= high:
        size = low & -low or 1 << bits
        while size > high - low + 1:
            size >>= 1
        yield low, low + size - 1
        low += size


class Union:
    """The addresses of many networks, and whether another one has any of them."""

    __slots__ = ("_ends", "_firsts")

    def __init__(self, *many: Iterable[Network]) -> None:
        self._firsts: dict[int, list[int]] = {4: [], 6: []}
        self._ends: dict[int, list[int]] = {4: [], 6: []}
        for version, low, high in sorted({(n.version, n.low, n.high) for some in many for n in some}):
            firsts, ends = self._firsts[version], self._ends[version]
            if ends and low <= ends[-1]:
                ends[-1] = max(high, ends[-1])
            else:
                firsts.append(low)
                ends.append(high)

    def touched(self, network: Network) -> bool:
        at = bisect_right(self._firsts[network.version], network.high) - 1
        return at >= 0 and self._ends[network.version][at] >= network.low
