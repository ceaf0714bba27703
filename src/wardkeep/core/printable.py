"""Texts of others as they may stand in a terminal, a log or a page."""

from __future__ import annotations

PUT = "\N{REPLACEMENT CHARACTER}"


def printable(text: str) -> str:
    """The text with one mark for each character that would move the cursor, hide words or belongs to no alphabet.

    Names in an image or a report are their maker's: an escape sequence in one could rewrite what the terminal shows of the others.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else PUT for one in text)
