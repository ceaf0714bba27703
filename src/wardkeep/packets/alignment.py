"""Which rules and policies two versions of a rule set have in common, in the same order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wardkeep.packets.program import Chain, Program


def unchanged(old: Program, new: Program) -> list[tuple[str, str]]:
    """The rules and policies that both versions have in the same order, by their names in the old and in the new one."""
    then, now = {c.id: c for c in old.chains}, {c.id: c for c in new.chains}
    kept: list[tuple[str, str]] = []
    same_order = [c.id for c in old.chains if c.entry and c.id in now] == [
        c.id for c in new.chains if c.entry and c.id in then
    ]
    for name, chain in then.items():
        other = now.get(name)
        if other is None:
            continue
        ours, theirs = chain.entry, other.entry
        if (ours is None) != (theirs is None):
            continue
        if ours is not None and theirs is not None:
            if not same_order or replace(ours, policy=theirs.policy) != theirs:
                continue
            if ours.policy == theirs.policy:
                kept.append((f"policy of {name}", f"policy of {name}"))
        kept += [(chain.rules[one].id, other.rules[two].id) for one, two in aligned(chain, other)]
    return kept


def aligned(old: Chain, new: Chain) -> list[tuple[int, int]]:
    """Places of equal rules in two chains, rising in both: the ends first, then the longest run of rules that occur once."""
    a, b = [repr(rule.body) for rule in old.rules], [repr(rule.body) for rule in new.rules]
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    end = 0
    while end < min(len(a), len(b)) - start and a[-1 - end] == b[-1 - end]:
        end += 1
    out = [(n, n) for n in range(start)]
    middle_a, middle_b = a[start : len(a) - end], b[start : len(b) - end]
    out += [(start + i, start + j) for i, j in _once(middle_a, middle_b)]
    return out + [(len(a) - 1 - n, len(b) - 1 - n) for n in range(end)]


def _once(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """The longest rising run among the texts that each side has exactly once (patience)."""
    places: dict[str, list[int]] = {}
    for j, text in enumerate(b):
        places.setdefault(text, []).append(j)
    counts: dict[str, int] = {}
    for text in a:
        counts[text] = counts.get(text, 0) + 1
    pairs = [(i, places[t][0]) for i, t in enumerate(a) if counts[t] == 1 and len(places.get(t, ())) == 1]
    tails: list[int] = []
    back: dict[int, int] = {}
    for n, (_, j) in enumerate(pairs):
        low, high = 0, len(tails)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if pairs[tails[middle]][1] < j else (low, middle)
        back[n] = tails[low - 1] if low else -1
        tails[low:] = [n] if low == len(tails) else [n, *tails[low + 1 :]]
    out = []
    n = tails[-1] if tails else -1
    while n >= 0:
        out.append(pairs[n])
        n = back[n]
    return out[::-1]
