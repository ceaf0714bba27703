"""The order of Alpine versions (apk-package(5)): digit{.digit}…{letter}{_suffix{digits}}…{~hash}{-r digits}.

The order of kinds is that of apk 3. Kept from apk 2 and from `apk version -t`, which answers for invalid versions too: digits may
follow the letter (`5.1p1-r0`), `-r` without digits is `-r0`, and what does not parse sorts below what ends there.
"""

from __future__ import annotations

import re

from wardkeep.advisories.versions.packed import NotAVersion, number, word

BEFORE = {"alpha": 1, "beta": 2, "pre": 3, "rc": 4}
AFTER = {"cvs": 1, "svn": 2, "git": 3, "hg": 4, "p": 5}
# Which kind of piece sorts lower where two versions go on differently.
PRE, INVALID, END, REVISION, HASH, COUNT, POST, LETTER, DIGIT = (bytes((n,)) for n in range(1, 10))
NEXT = re.compile(
    r"(?P<digits>\.?[0-9]+)|(?P<letter>[a-z])|_(?P<suffix>[a-z]+)(?P<count>[0-9]*)|~(?P<hash>[0-9a-f]+)"
    r"|-r(?P<revision>[0-9]+|(?=-)|\Z)"
)


def key(text: str) -> bytes:
    """Raises NotAVersion only for an empty text: apk itself orders everything else."""
    text = text.strip()
    if not text:
        raise NotAVersion("an empty text is no Alpine version")
    first = re.match(r"[0-9]+", text)
    if not first:
        return INVALID + word(text)
    made = DIGIT + number(first[0])
    at, stage = first.end(), 0
    while at < len(text):
        match = NEXT.match(text, at)
        step = _piece(match, stage) if match else None
        if match is None or step is None:
            rest = text[at:]
            return made + INVALID + (b"" if rest.startswith("-") else word(rest))
        stage, piece = step
        made += piece
        at = match.end()
    return made + END


def _piece(match: re.Match[str], stage: int) -> tuple[int, bytes] | None:
    """The next stage of the grammar and the piece's bytes; None when this piece may not come here."""
    kind = match.lastgroup
    if kind == "count":
        suffix = match["suffix"]
        if stage > 2 or suffix not in BEFORE | AFTER:
            return None
        count = COUNT + number(match["count"]) if match["count"] else b""
        if suffix in BEFORE:
            return 2, PRE + bytes((BEFORE[suffix],)) + count
        return 2, POST + bytes((AFTER[suffix],)) + count
    if kind == "digits":
        dotted = match[0].startswith(".")
        if stage > 1 or (stage == 1 and dotted):
            return None
        return 0, DIGIT + _digits(match[0].removeprefix("."))
    if kind == "letter":
        return (1, LETTER + match[0].encode()) if stage == 0 else None
    if kind == "hash":
        return (3, HASH + word(match["hash"])) if stage < 3 else None
    return (4, REVISION + number(match["revision"])) if stage < 4 else None


def _digits(text: str) -> bytes:
    """After the first, a number with a leading zero sorts as text, and so below every number without one."""
    return b"\x00" + word(text) if text.startswith("0") else b"\x01" + number(text)
