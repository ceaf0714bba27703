"""The order of Maven versions, as ComparableVersion of Maven 3.8.6 has it; the databases of advisories are sorted by it.

It is no total order (`1 < 1.sp < 1-alpha < 1`), so there is no key: versions are compared in pairs. From 3.8.7 on Maven
takes `1.x` as `1-x`.
"""

from __future__ import annotations

import functools
import re
from itertools import zip_longest

from wardkeep.advisories.versions.packed import NotAVersion

QUALIFIERS = ("alpha", "beta", "milestone", "rc", "snapshot", "", "sp")
SAME = {"cr": "rc", "ga": "", "final": "", "release": ""}
SHORT = {"a": "alpha", "b": "beta", "m": "milestone"}  # only directly before a number
NOTHING = QUALIFIERS.index("")
DIGITS = re.compile(r"\d+|\D+")
EMPTY_WORD = re.compile(r"-(?:ga|final|release)(?=-\d)")

# A number is (2, how many thirds of 9 digits Java needs, value); a word is (0, its place, itself in Java's order).
# What follows a hyphen, or a change between digits and letters, is a list in the list before it, and always its last item:
# so a version is the lists one after another, the first one outermost.
Item = tuple[int, int, int | bytes]
Lists = tuple[tuple[Item, ...], ...]


def compare(left: str, right: str) -> int:
    """-1, 0 or 1. Raises NotAVersion for an empty text or one with a space."""
    one, two = lists(left), lists(right)
    order = _compare(one, two)
    # The reference of the POM says that these are one version, and Maven itself does not.
    if order and EMPTY_WORD.sub("", left.lower()) == EMPTY_WORD.sub("", right.lower()):
        return 0
    return order


def _compare(one: Lists, two: Lists) -> int:
    for depth, (a, b) in enumerate(zip_longest(one, two)):
        if a is None:
            return -_against_nothing(two[depth:])
        if b is None:
            return _against_nothing(one[depth:])
        for x, y in zip(a, b, strict=False):
            if x != y:
                return 1 if x > y else -1
        if len(a) > len(b):
            return _longer(a[len(b) :], one[depth + 1 :], two[depth + 1 :])
        if len(a) < len(b):
            return -_longer(b[len(a) :], two[depth + 1 :], one[depth + 1 :])
    return 0


def _longer(rest: tuple[Item, ...], after: Lists, other: Lists) -> int:
    """The items that one list has more than the other: against the list that the other goes on with, or against nothing."""
    if other:
        return 1 if rest[0][0] else -1  # a word is before a list, a list before a number
    return _against_nothing((rest, *after))


def _against_nothing(some: Lists) -> int:
    """A number against 0, a word against the empty one; the first that differs."""
    for kind, place, value in (item for items in some for item in items):
        if kind and value:
            return 1
        if not kind and place != NOTHING:
            return 1 if place > NOTHING else -1
    return 0


@functools.lru_cache(maxsize=65536)
def lists(text: str) -> Lists:
    """The lists of a version, each without the zeros and empty words that end it or stand before its inner list."""
    bare = text.strip().lower()
    if not bare or len(bare.split()) != 1:
        raise NotAVersion(f"`{text[:60]}` is no Maven version")
    made: list[list[Item]] = [[]]
    parts = bare.split("-")
    for n, part in enumerate(parts):
        pieces = part.split(".")
        for m, piece in enumerate(pieces):
            runs = DIGITS.findall(piece)
            is_last = n + 1 == len(parts) and m + 1 == len(pieces)
            if not runs and not is_last:
                made[-1].append(_number("0", text))
            for r, run in enumerate(runs):
                if r:
                    made.append([])
                is_number = run[0].isdecimal()
                made[-1].append(_number(run, text) if is_number else _word(run, r + 1 < len(runs)))
        if n + 1 < len(parts):
            made.append([])
    return _trimmed(made)


def _trimmed(made: list[list[Item]]) -> Lists:
    kept: list[tuple[Item, ...]] = []
    for items in reversed(made):
        while items and (items[-1][1] == NOTHING if not items[-1][0] else not items[-1][2]):
            items.pop()
        if items or kept:
            kept.append(tuple(items))
    return tuple(reversed(kept)) or ((),)


def _number(run: str, text: str) -> Item:
    digits = run.lstrip("0") or run
    if len(digits) >= 4000:
        raise NotAVersion(f"`{text[:60]}…` has a number of thousands of digits")
    return 2, (len(digits) > 9) + (len(digits) > 18), int(digits)


def _word(run: str, before_digit: bool) -> Item:
    word = SHORT.get(run, run) if before_digit else run
    word = SAME.get(word, word)
    if word in QUALIFIERS:
        return 0, QUALIFIERS.index(word), b""
    return 0, len(QUALIFIERS), word.encode("utf-16-be", "surrogatepass")
