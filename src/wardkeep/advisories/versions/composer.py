"""The order of PHP packages: PHP's version_compare, on which Composer's Comparator stands.

`1.0.0` sorts above `1.0` there; Composer writes both as `1.0.0.0` before it holds them against a range, and so does `normal`.
"""

from __future__ import annotations

import re

from wardkeep.advisories.versions.packed import NotAVersion, number

# PHP's table of special forms, by how a word begins; a word not in it sorts before `dev`.
FORMS = (("dev", 2), ("alpha", 3), ("a", 3), ("beta", 4), ("b", 4), ("RC", 5), ("rc", 5), ("pl", 8), ("p", 8))
UNKNOWN, END, NUMBER = 1, 6, 7
STABILITY = re.compile(
    r"(?P<core>[0-9]+(?:\.[0-9]+){0,3})(?:[._-]?(?P<form>stable|beta|b|RC|alpha|a|patch|pl|p)(?P<n>(?:[.-]?[0-9]+)*))?"
    r"(?P<dev>[._-]?dev)?(?:\+\S*)?",
    re.I,
)
BRANCH = re.compile(r"(?P<numbers>(?:[0-9]+\.){1,3})[x*](?:\.[x*])*[.-]?dev", re.I)
ANY = "9999999"  # what Composer writes for the `x`


def key(text: str) -> bytes:
    """Raises NotAVersion for an empty text or one with `#`, which equals every number and so has no place in an order."""
    made = b""
    for piece in pieces(text):
        rank = _rank(piece)
        made += bytes((rank,)) + (number(piece) if rank == NUMBER else b"")
    return made + bytes((END,))


def normal(text: str) -> str:
    """As Composer writes it before it compares: four numbers, one name for each stability. Other text stays as it is.

    A branch of numbers (`2.1.x-dev`) is above all of its releases. One of another name (`dev-main`) is in no range: NotAVersion.
    """
    bare = text.strip().removeprefix("v").removeprefix("V")
    if bare.lower().startswith("dev-"):
        raise NotAVersion(f"`{text[:60]}` is a branch, whose place among the versions nobody can tell")
    if branch := BRANCH.fullmatch(bare):
        numbers = branch["numbers"].rstrip(".").split(".")
        return ".".join([*numbers, *[ANY] * 4][:4]) + "-dev"
    match = STABILITY.fullmatch(bare)
    if not match:
        return text
    core = ".".join([*match["core"].split("."), "0", "0", "0"][:4])
    form = (match["form"] or "").lower()
    form = {"b": "beta", "a": "alpha", "pl": "patch", "p": "patch", "rc": "RC", "stable": ""}.get(form, form)
    if not form and match["form"]:
        return core  # `1.0-stable-dev` is stable to Composer
    tail = f"-{form}{(match['n'] or '').lstrip('.-')}" if form else ""
    return core + tail + ("-dev" if match["dev"] else "")


def compare(left: str, right: str) -> int:
    """-1, 0 or 1. `#` is PHP's mark for any number and is understood here, unlike in `key`."""
    if "#" not in left + right:
        a, b = key(left), key(right)
        return (a > b) - (a < b)
    one, two = pieces(left, any_number=True), pieces(right, any_number=True)
    for i in range(max(len(one), len(two)) + 1):
        a_rank = _rank(one[i]) if i < len(one) else END
        b_rank = _rank(two[i]) if i < len(two) else END
        if i < len(one) and i < len(two) and one[i] != "#" != two[i] and a_rank == b_rank == NUMBER:
            a_key, b_key = number(one[i]), number(two[i])
            if a_key != b_key:
                return (a_key > b_key) - (a_key < b_key)
            continue
        if "#" in (one[i : i + 1] + two[i : i + 1]) and {a_rank, b_rank} <= {NUMBER, END}:
            continue
        if a_rank != b_rank:
            return (a_rank > b_rank) - (a_rank < b_rank)
    return 0


def pieces(text: str, *, any_number: bool = False) -> list[str]:
    """The text taken apart as PHP does: at `.-_+`, at other signs, and between digits and letters."""
    bare = text.strip()
    if bare[:1] in "vV" and bare[1:2].isdigit():
        bare = bare[1:]
    found = re.findall(
        r"[0-9]+|#|[A-Za-z\x80-\uffff]+" if any_number else r"[0-9]+|[A-Za-z\x80-\uffff]+", bare
    )
    if not found or ("#" in bare and not any_number):
        raise NotAVersion(f"`{text[:60]}` is no Composer version")
    return found


def _rank(piece: str) -> int:
    if piece[0] in "0123456789#":
        return NUMBER
    return next((rank for name, rank in FORMS if piece.startswith(name)), UNKNOWN)
