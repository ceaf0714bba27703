"""Orders that no feed here uses yet, for data that name them: Arch (alpm), Gentoo, Conan, OpenSSL, RFC 3339 times, plain text.

Sources: pacman's vercmp(8), Gentoo's Package Manager Specification (3.3), Conan's documentation of versions, OpenSSL's version policy.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from wardkeep.advisories.versions.packed import NotAVersion, number, word

GENTOO = re.compile(
    r"(?P<numbers>[0-9]+(?:\.[0-9]+)*)(?P<letter>[a-z]?)(?P<suffixes>(?:_(?:alpha|beta|pre|rc|p)[0-9]*)*)(?:-r(?P<revision>[0-9]+))?"
)
SUFFIX = re.compile(r"_(alpha|beta|pre|rc|p)([0-9]*)")
RANKS = {"alpha": 1, "beta": 2, "pre": 3, "rc": 4, "p": 6}
NO_SUFFIX = 5
OPENSSL = re.compile(r"([0-9]+)\.([0-9]+)\.([0-9]+)([a-z]*)(?:-([0-9A-Za-z.-]+))?")
Items = list[str]
TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)")


def gentoo_key(text: str) -> bytes:
    """After the first number, one with a leading zero is compared as text without the zeros that end it."""
    match = GENTOO.fullmatch(text.strip())
    if not match:
        raise NotAVersion(f"`{text[:60]}` is no Gentoo version")
    first, *rest = match["numbers"].split(".")
    made = number(first)
    for one in rest:
        made += b"\x02" + (b"\x01" + word(one.rstrip("0")) if one.startswith("0") else b"\x02" + number(one))
    made += b"\x01" + word(match["letter"])
    for suffix, count in SUFFIX.findall(match["suffixes"]):
        made += bytes((RANKS[suffix],)) + number(count or "0")
    return made + bytes((NO_SUFFIX,)) + number(match["revision"] or "0")


def openssl_key(text: str) -> bytes:
    """Three numbers, then letters (before 3.0) or a pre-release (`-alpha1`), which comes before its release."""
    match = OPENSSL.fullmatch(text.strip())
    if not match:
        raise NotAVersion(f"`{text[:60]}` is no OpenSSL version")
    core = b"".join(number(match[n]) for n in (1, 2, 3))
    if match[5]:
        pieces = re.findall(r"[0-9]+|[^0-9]+", match[5])
        return (
            core + word(match[4]) + b"\x01" + b"".join(number(p) if p.isdigit() else word(p) for p in pieces)
        )
    return core + word(match[4]) + b"\x02"


def time_key(text: str) -> bytes:
    """Microseconds since year 1, UTC."""
    if not TIME.fullmatch(text.strip()):
        raise NotAVersion(f"`{text[:60]}` is no RFC 3339 time")
    try:
        at = datetime.fromisoformat(text.strip().upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise NotAVersion(f"`{text[:60]}` is no RFC 3339 time") from None
    since = at - datetime(1, 1, 1, tzinfo=UTC)
    return ((since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds).to_bytes(10, "big")


def text_key(text: str) -> bytes:
    """By the bytes of UTF-8, which is by code points."""
    return word(text)


def alpm_compare(left: str, right: str) -> int:
    """pacman's vercmp: the release counts only where both have one, so this is no total order and has no key."""
    (epoch, version, release), (other_epoch, other, other_release) = _alpm_parts(left), _alpm_parts(right)
    order = _alpm(epoch, other_epoch) or _alpm(version, other)
    if order or release is None or other_release is None:
        return order
    return _alpm(release, other_release)


def _alpm_parts(text: str) -> tuple[str, str, str | None]:
    bare = text.strip()
    if not bare:
        raise NotAVersion("an empty text is no Arch version")
    epoch, colon, rest = bare.partition(":")
    if not colon or not epoch.isdigit():
        epoch, rest = "0", bare
    version, hyphen, release = rest.rpartition("-")
    return (epoch, version, release) if hyphen else (epoch, rest, None)


def _alpm(one: str, two: str) -> int:
    pattern = re.compile(r"([^0-9A-Za-z]*)([0-9]+|[A-Za-z]+|)")
    at, there = 0, 0
    while at < len(one) and there < len(two):
        a, b = pattern.match(one, at), pattern.match(two, there)
        assert a
        assert b
        if not a[2] or not b[2]:
            at, there = (
                (a.end() if not a[2] else at + len(a[1])),
                (b.end() if not b[2] else there + len(b[1])),
            )
            break
        if len(a[1]) != len(b[1]):
            return 1 if len(a[1]) > len(b[1]) else -1
        if a[2][0].isdigit() != b[2][0].isdigit():
            return 1 if a[2][0].isdigit() else -1
        x, y = (number(a[2]), number(b[2])) if a[2][0].isdigit() else (a[2].encode(), b[2].encode())
        if x != y:
            return 1 if x > y else -1
        at, there = a.end(), b.end()
    left, right = one[at:], two[there:]
    if not left and not right:
        return 0
    # What remains as letters is older than nothing (`1.0rc` before `1.0`); anything else is newer.
    return -1 if left[:1].isalpha() or (not left and not right[:1].isalpha()) else 1


def conan_compare(left: str, right: str) -> int:
    """Numbers as numbers, anything else against anything as text; zeros at the end do not count; no key, since texts mix."""
    (main, pre, build), (other, other_pre, other_build) = _conan_parts(left), _conan_parts(right)
    order = _conan(main, other)
    if not order:
        # No pre-release is above any of them, no build below any of them.
        order = _against_none(pre, other_pre, none=1) or _against_none(build, other_build, none=-1)
    return order


def _against_none(one: Items | None, two: Items | None, *, none: int) -> int:
    if one is None or two is None:
        return 0 if one is two else none if one is None else -none
    return _conan(one, two)


def _conan_parts(text: str) -> tuple[Items, Items | None, Items | None]:
    bare = text.strip()
    if not bare:
        raise NotAVersion("an empty text is no Conan version")
    main, plus, build = bare.partition("+")
    main, hyphen, pre = main.partition("-")
    return _items(main), _items(pre) if hyphen else None, _items(build) if plus else None


def _items(text: str) -> Items:
    found = [one for one in text.split(".") if one]
    while found and found[-1].isdigit() and not found[-1].strip("0"):
        found.pop()
    return found


def _conan(one: Items, two: Items) -> int:
    for a, b in zip(one, two, strict=False):
        if a.isdigit() and b.isdigit():
            x, y = number(a), number(b)
            if x != y:
                return 1 if x > y else -1
        elif a != b:
            return 1 if a > b else -1
    return (len(one) > len(two)) - (len(one) < len(two))
