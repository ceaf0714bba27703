"""Sets of integers as sorted, separate, inclusive spans: what the readers compute addresses and ports with."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import TypeAlias

Span: TypeAlias = tuple[int, int]
Spans: TypeAlias = tuple[Span, ...]
MOST_HOLES = 12  # free bits above the lowest set bit of a mask: beyond 4,096 spans a mask is not unfolded
TOPS = {4: 2**32 - 1, 6: 2**128 - 1}
_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PLAIN = re.compile(rf"{_BYTE}\.{_BYTE}\.{_BYTE}\.{_BYTE}(?:/(3[0-2]|[12]?[0-9]))?")


class TooManySpans(Exception):
    """A mask with so many holes that its addresses are no list of ranges we would keep."""


def join(spans: Iterable[Span]) -> Spans:
    """Sorted, merged where they touch; reversed spans (`low > high`) hold nothing and are dropped."""
    merged: list[Span] = []
    for low, high in sorted(s for s in spans if s[0] <= s[1]):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def outside(spans: Iterable[Span], top: int) -> Spans:
    """The complement within 0 to `top`."""
    found, following = [], 0
    for low, high in join(spans):
        if low > following:
            found.append((following, low - 1))
        following = high + 1
    if following <= top:
        found.append((following, top))
    return tuple(found)


def meet(one: Spans, other: Spans) -> Spans:
    """What lies in both; each is sorted and its spans are apart."""
    found, i, j = [], 0, 0
    while i < len(one) and j < len(other):
        low, high = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if low <= high:
            found.append((low, high))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def masked(mask: int, value: int, top: int) -> Spans | None:
    """Every number x of 0 to `top` (2^n - 1) with x & mask == value; None if it takes too many spans."""
    if value & ~mask & top:
        return ()
    low_free = 0
    while low_free < top.bit_length() and not mask >> low_free & 1:
        low_free += 1
    free = [bit for bit in range(low_free, top.bit_length()) if not mask >> bit & 1]
    if len(free) > MOST_HOLES:
        return None
    found = []
    for choice in range(1 << len(free)):
        start = value & top
        for index, bit in enumerate(free):
            if choice >> index & 1:
                start |= 1 << bit
        found.append((start, start + (1 << low_free) - 1))
    return join(found)


def network(text: str, version: int) -> Spans | None:
    """`192.0.2.0/24`, `192.0.2.0/255.255.255.0`, an address, or a mask with holes; None if it is none of IPv`version`.

    Raises TooManySpans.
    """
    if version == 4 and (plain := _PLAIN.fullmatch(text)) is not None:
        # Most of what a dump says: five times as fast as the general way.
        a, b, c, d, told = plain.groups()
        start = int(a) << 24 | int(b) << 16 | int(c) << 8 | int(d)
        size = 1 << (32 - int(told or 32))
        return ((start & -size, start | size - 1),)
    address, slash, told = text.partition("/")
    top = TOPS[version]
    kind = IPv4Address if version == 4 else IPv6Address
    try:
        start = int(kind(address))
        if not slash:
            return ((start, start),)
        if told.isdigit():
            length = int(told)
            if length > top.bit_length():
                return None
            mask = top ^ ((1 << (top.bit_length() - length)) - 1)
            return ((start & mask, start & mask | top ^ mask),)
        mask = int(kind(told))
    except (AddressValueError, ValueError):
        return None
    found = masked(mask, start & mask, top)
    if found is None:
        raise TooManySpans(text)
    return found


def address(number: int, version: int) -> str:
    """The address as a person writes it."""
    if version == 4:
        return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return str(IPv6Address(number))
