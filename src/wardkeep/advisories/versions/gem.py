"""The order of Ruby gems (Gem::Version): numbers and words, a missing piece is 0, a word sorts before any number."""

from __future__ import annotations

import re

from wardkeep.advisories.versions.packed import NotAVersion, number, word

VERSION = re.compile(r"[0-9A-Za-z]+(?:[.-][0-9A-Za-z]+)*")
PIECE = re.compile(r"[0-9]+|[A-Za-z]+")
WORD, END, NUMBER = b"\x01", b"\x02", b"\x03"
MOST = 2**32 - 1


def key(text: str) -> bytes:
    """A hyphen is `.pre.`. Not handled: a platform after the version (`1.2-x86_64-linux`); who reads a lock file takes it off."""
    bare = text.strip() or "0"
    if not VERSION.fullmatch(bare):
        raise NotAVersion(f"`{text[:60]}` is no gem version")
    return padded(_bare_of_zeros(PIECE.findall(bare.replace("-", ".pre."))))


def padded(pieces: list[str]) -> bytes:
    """Numbers and words as if zeros without end followed.

    A run of zeros counts with what it leads to: before a word, fewer zeros sort lower; before a number, higher.
    """
    made = b""
    zeros = 0
    for piece in pieces:
        if not piece[0].isdigit():
            made += WORD + zeros.to_bytes(4, "big") + word(piece)
        elif not piece.strip("0"):
            zeros += 1
            continue
        else:
            made += NUMBER + (MOST - zeros).to_bytes(4, "big") + number(piece)
        zeros = 0
    return made + END


def _bare_of_zeros(pieces: list[str]) -> list[str]:
    """Without the zeros that end the numbers, and those that end the words (Gem::Version#canonical_segments)."""
    first = next((i for i, piece in enumerate(pieces) if not piece[0].isdigit()), len(pieces))
    made: list[str] = []
    for part in (pieces[:first], pieces[first:]):
        while part and not part[-1].strip("0"):
            part = part[:-1]
        made += part
    return made
