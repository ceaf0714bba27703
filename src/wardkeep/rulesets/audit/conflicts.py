"""Rules of one chain that overlap and decide against each other: correlations, where neither holds the other.

The taxonomy is Al-Shaer and Hamed's (2004). A general rule behind its exceptions (generalisation) is how rule sets are written and
is only counted; a correlation is a pair whose order somebody should have meant. Rules with a match that is not modelled, a negation or
several rows are left out: nothing here is guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from wardkeep.packets.dimensions import DIMENSIONS, Row, Values
from wardkeep.packets.program import Effect, Match, Program, Rule, Verdict
from wardkeep.rulesets.audit.model import Finding, finding_id, worded
from wardkeep.rulesets.spans import Spans, join, meet

MOST_RULES: Final = 3_000  # of one chain; its pairs are looked at
MOST_PAIRS: Final = 50  # of one rule set that are told
RANGES: Final = (
    "src4",
    "dst4",
    "src6",
    "dst6",
    "proto",
    "sport",
    "dport",
    "state",
    "icmp_type",
    "icmp6_type",
)


def findings(program: Program, live: set[str]) -> Iterator[Finding]:
    """The correlations among live rules, at most MOST_PAIRS."""
    told = 0
    for chain in program.chains:
        plain = [
            (r, row, kind)
            for r in chain.rules
            if r.id in live and (row := _plain(r)) is not None and (kind := _kind(r))
        ]
        if not 1 < len(plain) <= MOST_RULES:
            continue
        for first, second in _pairs([row for _, row, _ in plain], [kind for _, _, kind in plain]):
            if told == MOST_PAIRS:
                return
            told += 1
            yield _told(chain.id, plain[first][0], plain[second][0], plain[first][1], plain[second][1])


def _told(chain: str, a: Rule, b: Rule, one: Row, other: Row) -> Finding:
    shared = {**one, **other}
    packet: dict[str, int | str] = {
        "route": "input",
        "family": 6 if "src6" in shared or "dst6" in shared else 4,
    }
    for name in shared:
        if name in one and name in other and name not in ("in", "out"):
            packet[name] = (meet(_spans(one[name]), _spans(other[name])) or ((0, 0),))[0][0]
        else:
            value = shared[name][0]
            packet[name] = value if isinstance(value, str) else value[0] if isinstance(value, tuple) else 0
    what = f"rules {a.position} and {b.position} of {chain} decide against each other about what they share: `{a.text}`, `{b.text}`"
    key = finding_id("conflict", chain, a.text, b.text)
    return Finding(
        key,
        "conflict",
        "info",
        what,
        (a.id, b.id),
        worded(packet),
        "Make the order's purpose plain in a comment",
    )


def _kind(rule: Rule) -> str:
    last = rule.body[-1] if rule.body else None
    if not isinstance(last, Verdict):
        return ""
    return {"accept": "accept", "drop": "deny", "reject": "deny"}.get(last.kind, "")


def _plain(rule: Rule) -> Row | None:
    """The rule's conditions as one box; None if they are none."""
    row: dict[str, Values] = {}
    for part in rule.body[:-1]:
        if isinstance(part, Effect):
            continue
        if not isinstance(part, Match) or part.negated or len(part.rows) != 1:
            return None
        for name, values in part.rows[0].items():
            if DIMENSIONS[name].shape == "bits" or (DIMENSIONS[name].shape == "name" and name in row):
                return None
            row[name] = meet(_spans(row[name]), _spans(values)) if name in row else values
            if not row[name]:
                return None
    return row


def _spans(values: Values) -> Spans:
    return join(v for v in values if isinstance(v, tuple))


def _pairs(rows: list[Row], kinds: list[str]) -> Iterator[tuple[int, int]]:
    """Pairs of opposite kinds that overlap, neither within the other."""
    count = len(rows)
    lo = np.zeros((count, len(RANGES)))
    hi = np.zeros((count, len(RANGES)))
    for n, row in enumerate(rows):
        for m, name in enumerate(RANGES):
            spans = _spans(row[name]) if name in row else ((0, DIMENSIONS[name].highest),)
            lo[n, m], hi[n, m] = float(spans[0][0]), float(spans[-1][1])
    denies = np.array([kind == "deny" for kind in kinds])
    for n in range(count - 1):
        near = (
            (lo[n + 1 :] <= hi[n]).all(axis=1)
            & (hi[n + 1 :] >= lo[n]).all(axis=1)
            & (denies[n + 1 :] != denies[n])
        )
        for m in (np.flatnonzero(near) + n + 1).tolist():
            one, other = rows[n], rows[m]
            if _overlap(one, other) and not _within(one, other) and not _within(other, one):
                yield n, m


def _overlap(one: Row, other: Row) -> bool:
    families = {name[-1] for name in (*one, *other) if name in ("src4", "dst4", "src6", "dst6")}
    return len(families) < 2 and all(_shares(one[name], other[name]) for name in one if name in other)


def _shares(a: Values, b: Values) -> bool:
    names_a, names_b = ([v for v in values if isinstance(v, str)] for values in (a, b))
    if names_a or names_b:
        return any(_alike(x, y) for x in names_a for y in names_b)
    return bool(meet(_spans(a), _spans(b)))


def _alike(a: str, b: str) -> bool:
    if a.endswith("*"):
        return b.startswith(a[:-1]) or (b.endswith("*") and a[:-1].startswith(b[:-1]))
    return a == b or (b.endswith("*") and a.startswith(b[:-1]))


def _within(inner: Mapping[str, Values], outer: Mapping[str, Values]) -> bool:
    """Whether the inner box certainly lies in the outer one."""
    for name, values in outer.items():
        if name not in inner:
            return False
        if any(isinstance(v, str) for v in values):
            if not all(
                any(
                    x == y or (isinstance(y, str) and y.endswith("*") and str(x).startswith(y[:-1]))
                    for y in values
                )
                for x in inner[name]
            ):
                return False
        elif meet(_spans(inner[name]), _spans(values)) != _spans(inner[name]):
            return False
    return True
