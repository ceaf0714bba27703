"""Pieces of sort keys: bytes that, compared as bytes, keep the order of what they stand for."""

from __future__ import annotations

from wardkeep.core.errors import NotUnderstood

ZERO = b"\x00"


class NotAVersion(NotUnderstood):
    """The text is no version of its scheme. It is never guessed where it would sort."""


def number(digits: str) -> bytes:
    """A whole number of any length: its count of digits, then the digits without leading zeros.

    One byte of count up to 254 digits, else 255 and four bytes, so that longer is always larger.
    """
    bare = digits.lstrip("0")
    count = len(bare)
    if count < 255:
        return bytes((count,)) + bare.encode("ascii")
    return b"\xff" + count.to_bytes(4, "big") + bare.encode("ascii")


def word(text: str) -> bytes:
    """Text that sorts by its bytes, a prefix before what it begins. Raises NotAVersion for a NUL."""
    if "\0" in text:
        raise NotAVersion("a version holds no NUL")
    return text.encode("utf-8", "surrogateescape") + ZERO
