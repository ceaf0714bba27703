"""The order of Maven versions: the version order specification of the POM reference, as Maven 3's ComparableVersion keeps it.

It is no total order (`1 < 1.sp < 1-alpha < 1`), so there is no key: versions are compared in pairs.
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from wardkeep.advisories.versions.packed import NotAVersion

QUALIFIERS = ("alpha", "beta", "milestone", "rc", "snapshot", "", "sp")
SAME = {"cr": "rc", "ga": "", "final": "", "release": ""}
SHORT = {"a": "alpha", "b": "beta", "m": "milestone"}  # only directly before a number


class Token(NamedTuple):
    """A piece and the sign before it (a change between digits and letters counts as `-`). `number` is None for a word."""

    sign: str
    number: int | None
    word: str

    @property
    def is_null(self) -> bool:
        return self.number == 0 or (self.number is None and not self.word)

    @property
    def kind(self) -> int:
        """`.word` before `-word` before `-number` before `.number`."""
        if self.number is None:
            return 1 if self.sign == "-" else 0
        return 2 if self.sign == "-" else 3


def compare(left: str, right: str) -> int:
    """-1, 0 or 1. Raises NotAVersion for an empty text or one with a space."""
    one, two = tokens(left), tokens(right)
    for i in range(max(len(one), len(two))):
        if i >= len(one):
            order = -_against_nothing(two[i])
        elif i >= len(two):
            order = _against_nothing(one[i])
        else:
            order = _compare(one[i], two[i])
        if order:
            return order
    return 0


@functools.lru_cache(maxsize=65536)
def tokens(text: str) -> tuple[Token, ...]:
    """The pieces, without the zeros and empty words that end the version or stand before a hyphen."""
    bare = text.strip().lower()
    if not bare or len(bare.split()) != 1:
        raise NotAVersion(f"`{text[:60]}` is no Maven version")
    if bare[0] == "v" and bare[1:2].isdigit():
        bare = bare[1:]
    made: list[Token] = []
    for part in re.finditer(r"(^|[.-])([^.-]*)", bare):
        runs = re.findall(r"[0-9]+|[^0-9]+", part[2]) or ["0"]
        for n, run in enumerate(runs):
            sign = part[1] if n == 0 else "-"
            if run.isascii() and run.isdigit():
                made.append(Token(sign, int(run) if len(run) < 4000 else _too_long(text), ""))
            else:
                word = SHORT.get(run, run) if n + 1 < len(runs) else run
                made.append(Token(sign, None, SAME.get(word, word)))
    return tuple(_trimmed(made))


def _too_long(text: str) -> int:
    raise NotAVersion(f"`{text[:60]}…` has a number of thousands of digits")


def _trimmed(made: list[Token]) -> list[Token]:
    """From the end, and then again before each hyphen from the end to the start."""
    i = len(made) - 1
    while i > 0:
        if made[i].is_null:
            del made[i]
            i -= 1
            continue
        while i >= 0 and made[i].sign != "-":
            i -= 1
        i -= 1
    return made


def _compare(one: Token, two: Token) -> int:
    if one.kind != two.kind:
        return (one.kind > two.kind) - (one.kind < two.kind)
    if one.number is not None and two.number is not None:
        return (one.number > two.number) - (one.number < two.number)
    a, b = _place(one.word), _place(two.word)
    return (a > b) - (a < b)


def _against_nothing(token: Token) -> int:
    """A number against 0, a word against the empty one."""
    if token.number is not None:
        return 1 if token.number or token.sign == "-" else 0
    a, b = _place(token.word), _place("")
    return (a > b) - (a < b)


def _place(word: str) -> tuple[int, str]:
    return (QUALIFIERS.index(word), "") if word in QUALIFIERS else (len(QUALIFIERS), word)
