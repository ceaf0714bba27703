"""The order of RPM versions ([epoch:]version[-release]), as rpm's rpmvercmp compares each part.

What stands before the first colon is compared like any other part, so a number is a number and other text has an order too.
"""

from __future__ import annotations

import re

from wardkeep.advisories.versions.packed import NotAVersion, number, word

PIECE = re.compile(r"[0-9]+|[A-Za-z]+|[~^]")
TILDE, END, CARET, LETTERS, DIGITS = b"\x01", b"\x02", b"\x03", b"\x04", b"\x05"
NO_RELEASE, RELEASE = b"\x01", b"\x02"


def key(text: str) -> bytes:
    """A missing epoch is 0; a missing release sorts before any. Raises NotAVersion for an empty text."""
    text = text.strip()
    if not text:
        raise NotAVersion("an empty text is no RPM version")
    epoch, colon, rest = text.partition(":")
    if not colon:
        epoch, rest = "0", text
    elif epoch == "(none)":  # as rpm prints an epoch that is not there
        epoch = "0"
    version, hyphen, release = rest.rpartition("-")
    if not hyphen:
        return part(epoch) + part(rest) + NO_RELEASE
    return part(epoch) + part(version) + RELEASE + part(release)


def part(text: str) -> bytes:
    """rpmvercmp: `~` before the end, `^` after it, then letters, then numbers; anything else only separates."""
    made = b""
    for piece in PIECE.findall(text):
        if piece == "~":
            made += TILDE
        elif piece == "^":
            made += CARET
        elif piece[0].isdigit():
            made += DIGITS + number(piece)
        else:
            made += LETTERS + word(piece)
    return made + END
