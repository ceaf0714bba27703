"""Flat lists without some rules: what unfolding the program without them gives, as far as packets fare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from wardkeep.packets.flat import NOBODY, Act, Fate, Flat
from wardkeep.packets.program import Program
from wardkeep.packets.worlds import Owners


def lacking(flats: Sequence[Flat], program: Program, gone: set[str]) -> list[Flat]:
    """The lists without some rules: their entries turn nobody away and decide nothing, and lead past the chains that are
    written out for them."""
    absent = np.append(np.isin(Owners.of(program).names, [*gone]), False)
    out = []
    for flat in flats:
        idle = absent[flat.owner]  # NOBODY, -1: the last
        target = np.where(idle, np.arange(1, len(flat) + 1), flat.target).astype(flat.target.dtype)
        certain = flat.certain.copy()
        for owner, begin, end in flat.spans:
            if absent[owner]:
                idle[begin:end] = True
                target[begin:end] = np.arange(begin + 1, end + 1)
                certain[begin:end] = True
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
