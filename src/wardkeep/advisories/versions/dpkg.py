"""The order of Debian and Ubuntu versions (deb-version(7)), as libdpkg compares them.

What libdpkg only warns of (a letter first, an underscore) is compared; what it refuses is refused.
"""

from __future__ import annotations

import re

from wardkeep.advisories.versions.packed import NotAVersion, number

PIECE = re.compile(r"([^0-9]*)([0-9]*)")
# libdpkg's `order`: `~` before the end of a part, which is before letters, which are before all else.
WEIGHT = {c: c if chr(c).isalpha() else 128 + c for c in range(33, 127)} | {ord("~"): 1}
CLOSE = b"\x02"
EPOCH = re.compile(r"[+-]?[0-9]{1,99}", re.A)  # read by strtol, which takes a sign
MOST_EPOCH = 2**31 - 1


def parts(text: str) -> tuple[str, str, str]:
    """Epoch (digits), upstream version and revision ("" when there is none). Raises NotAVersion."""
    text = text.strip(" \t\n\r\v\f")
    epoch, colon, rest = text.partition(":")
    if not colon:
        epoch, rest = "0", text
    elif not EPOCH.fullmatch(epoch) or not 0 <= int(epoch) <= MOST_EPOCH:
        raise NotAVersion(f"`{text[:60]}` has no number before its colon")
    upstream, hyphen, revision = rest.rpartition("-")
    if not hyphen:
        upstream, revision = rest, ""
    elif not revision:
        raise NotAVersion(f"`{text[:60]}` ends with its hyphen")
    if not upstream:
        raise NotAVersion(f"`{text[:60]}` has no upstream version")
    return epoch.lstrip("+-"), upstream, revision


def key(text: str) -> bytes:
    """24 bytes in the mean; the order is that of `dpkg --compare-versions`."""
    epoch, upstream, revision = parts(text)
    try:
        return number(epoch) + _part(upstream) + _part(revision)
    except (KeyError, ValueError):
        raise NotAVersion(f"`{text[:60]}` holds a character no Debian version has") from None


def _part(text: str) -> bytes:
    made = bytearray()
    for letters, digits in PIECE.findall(text):
        if letters or digits or not made:
            made += bytes([WEIGHT[ord(c)] for c in letters])
            made += CLOSE
            made += number(digits)
    return bytes(made + CLOSE)
