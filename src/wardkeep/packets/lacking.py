"""Flat lists without some rules: what unfolding the program without them gives, as far as packets fare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from wardkeep.packets.flat import NOBODY, Act, Fate, Flat
from wardkeep.packets.program import Effect, Goto, Jump, Match, Program, Rule, Unknown, Verdict
from wardkeep.packets.worlds import Owners


def is_plain(rule: Rule) -> bool:
    """Whether a rule can be left out of a list: it changes nothing about packets, and what it decides is one thing."""
    return all(isinstance(part, Match | Unknown | Effect | Verdict | Jump | Goto) for part in rule.body)


def lacking(flats: Sequence[Flat], program: Program, gone: set[str]) -> list[Flat]:
    """The lists without some plain rules: their entries turn nobody away and decide nothing, and lead past the chains that are
    written out for them."""
    absent = np.append(np.isin(Owners.of(program).names, [*gone]), False)
    out = []
    for flat in flats:
        idle = absent[flat.owner]  # NOBODY, -1: the last
        target = np.where(idle, np.arange(1, len(flat) + 1), flat.target).astype(flat.target.dtype)
        certain = flat.certain.copy()
        for entry, place in flat.past.items():
            if idle[entry]:
                target[entry], certain[entry] = place, True
        out.append(
            replace(
                flat,
                target=target,
                certain=certain,
                act=np.where(idle, Act.STEP, flat.act).astype(flat.act.dtype),
                fate=np.where(idle, Fate.OPEN, flat.fate).astype(flat.fate.dtype),
                owner=np.where(idle, NOBODY, flat.owner).astype(flat.owner.dtype),
            )
        )
    return out
