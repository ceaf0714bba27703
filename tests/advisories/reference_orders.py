"""Comparisons written straight from the tools' documentation, slow and without keys: what the keys must agree with."""

from __future__ import annotations

import itertools
import re


def dpkg(left: str, right: str) -> int:
    """deb-version(7), "Sorting algorithm"."""

    def split(text: str) -> tuple[int, str, str]:
        epoch, colon, rest = text.partition(":")
        upstream, hyphen, revision = (rest if colon else text).rpartition("-")
        return (
            int(epoch) if colon else 0,
            upstream if hyphen else revision,
            revision if hyphen else "",
        )

    def rank(c: str) -> int:
        if c == "" or c.isdigit():
            return 0
        return -1 if c == "~" else ord(c) if c.isalpha() else ord(c) + 256

    def part(a: str, b: str) -> int:
        while a or b:
            while (a and not a[0].isdigit()) or (b and not b[0].isdigit()):
                x, y = rank(a[:1]), rank(b[:1])
                if x != y:
                    return 1 if x > y else -1
                a, b = a[1:], b[1:]
            a, b, order = numbers(a, b)
            if order:
                return order
        return 0

    one, two = split(left), split(right)
    if one[0] != two[0]:
        return 1 if one[0] > two[0] else -1
    return part(one[1], two[1]) or part(one[2], two[2])


def rpm(left: str, right: str) -> int:
    """rpm's rpmvercmp, on texts without epoch and release."""
    a, b = left, right
    while a or b:
        a, b = (re.sub(r"^[^A-Za-z0-9~^]+", "", text) for text in (a, b))
        if a.startswith("~") or b.startswith("~"):
            if not a.startswith("~"):
                return 1
            if not b.startswith("~"):
                return -1
            a, b = a[1:], b[1:]
            continue
        if a.startswith("^") or b.startswith("^"):
            if not a:
                return -1
            if not b:
                return 1
            if not a.startswith("^"):
                return 1
            if not b.startswith("^"):
                return -1
            a, b = a[1:], b[1:]
            continue
        if not a or not b:
            break
        pattern = r"[0-9]+" if a[0].isdigit() else r"[A-Za-z]+"
        one, two = re.match(pattern, a), re.match(pattern, b)
        assert one
        if not two:
            return 1 if a[0].isdigit() else -1
        x, y = one[0], two[0]
        a, b = a[len(x) :], b[len(y) :]
        if x[0].isdigit():
            x, y = x.lstrip("0"), y.lstrip("0")
            if len(x) != len(y):
                return 1 if len(x) > len(y) else -1
        if x != y:
            return 1 if x > y else -1
    return (bool(a) > bool(b)) - (bool(a) < bool(b))


def gem(left: str, right: str) -> int:
    """Gem::Version#<=>: pieces padded with zeros, a word below a number."""

    def segments(text: str) -> list[str]:
        return re.findall(r"[0-9]+|[A-Za-z]+", text.replace("-", ".pre.") or "0")

    def canonical(found: list[str]) -> list[str]:
        words = list(itertools.dropwhile(str.isdigit, found))
        made: list[str] = []
        for some in (found[: len(found) - len(words)], words):
            while some and some[-1].isdigit() and int(some[-1]) == 0:
                some = some[:-1]
            made += some
        return made

    one, two = canonical(segments(left)), canonical(segments(right))
    for x, y in itertools.zip_longest(one, two, fillvalue="0"):
        if x.isdigit() and y.isdigit():
            if int(x) != int(y):
                return 1 if int(x) > int(y) else -1
        elif x.isdigit() or y.isdigit():
            return 1 if x.isdigit() else -1
        elif x != y:
            return 1 if x > y else -1
    return 0


def php(left: str, right: str) -> int:
    """PHP's version_compare, without its mark `#`."""
    forms = ("dev", "alpha", "a", "beta", "b", "RC", "rc", "#", "pl", "p")
    ranks = (0, 1, 1, 2, 2, 3, 3, 4, 5, 5)

    def special(text: str) -> int:
        return next((rank for name, rank in zip(forms, ranks, strict=True) if text.startswith(name)), -1)

    def take(text: str) -> list[str]:
        return re.findall(r"[0-9]+|[A-Za-z]+", text)

    one, two = take(left), take(right)
    for x, y in zip(one, two, strict=False):
        if x.isdigit() and y.isdigit():
            order = (int(x) > int(y)) - (int(x) < int(y))
        else:
            a, b = (special("#" if t.isdigit() else t) for t in (x, y))
            order = (a > b) - (a < b)
        if order:
            return order
    if len(one) == len(two):
        return 0
    longer, sign = (one, 1) if len(one) > len(two) else (two, -1)
    rest = longer[min(len(one), len(two))]
    if rest.isdigit():
        return sign
    return sign * ((special(rest) > 4) - (special(rest) < 4))


def numbers(a: str, b: str) -> tuple[str, str, int]:
    """Both texts without the digits they begin with, and the order of those digits."""
    x, y = (re.match(r"[0-9]*", text) for text in (a, b))
    assert x
    assert y
    one, two = int(x[0] or "0"), int(y[0] or "0")
    return a[x.end() :], b[y.end() :], (one > two) - (one < two)
