"""Our signs for a terminal or pipe whose encoding lacks them (a Latin-1 or C locale): a plain one stands for each."""

from __future__ import annotations

import codecs
import io
import sys

# No sign may come out as another state's: `?` is unknown, so what fails is no question mark there.
PLAIN = {"▲": "!", "●": "+", "○": "o", "·": "-", "→": "->", "…": "...", "—": "-", "–": "-", "─": "-", "≥": ">=", "≤": "<=", "×": "x", "µ": "u"}  # fmt: skip


def spell_for_terminal() -> None:
    """From now on stdout and stderr take every text, in whatever encoding the locale gave them."""
    codecs.register_error("wardkeep.plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors="wardkeep.plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(PLAIN.get(sign) or f"\\u{ord(sign):04x}" for sign in signs), error.end
