"""The score of a CVSS v4.0 vector, by macrovectors, as the specification's section 8.2 has it (FIRST, CVSS v4.0).

A vector belongs to one of 270 macrovectors, whose scores experts gave; within it, each step away from the macrovector's highest
vectors takes a share of the distance to the next lower macrovector. The arithmetic is on fractions: nothing is lost to binary ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import product
from typing import Final

VALUES: Final[Mapping[str, str]] = {
    **{"AV": "NALP", "AC": "LH", "AT": "NP", "PR": "NLH", "UI": "NPA"},
    **dict.fromkeys(("VC", "VI", "VA", "SC", "SI", "SA"), "HLN"),
}
# Not defined (X) counts as the worst.
OPTIONAL: Final[Mapping[str, str]] = {"E": "XAPU", "CR": "XHML", "IR": "XHML", "AR": "XHML"}
ALONE: Final[Mapping[str, tuple[str, ...]]] = {  # supplemental: they say more, and do not score
    "S": ("X", "N", "P"),
    "AU": ("X", "N", "Y"),
    "R": ("X", "A", "U", "I"),
    "V": ("X", "D", "C"),
    "RE": ("X", "L", "M", "H"),
    "U": ("X", "Clear", "Green", "Amber", "Red"),
}
SAFETY: Final = ("SI", "SA")  # of these the modified metrics know S, safety, above H
STEPS: Final[Mapping[str, str]] = {  # from the worst down, one step each
    **VALUES,
    **dict.fromkeys(("SC", "SI", "SA"), "SHLN"),
    **{"E": "APU", "CR": "HML", "IR": "HML", "AR": "HML"},
}
# Scores of the macrovectors (FIRSTdotorg/cvss-v4-calculator, cvss_lookup.js), in the order of their six digits; EQ3 2 with EQ6 0
# cannot be.
SCORES: Final = """
10 9.9 9.8 9.5 9.5 9.2 10 9.6 9.3 8.7 9.1 8.1 9.3 9 8.9 8 8.1 6.8
9.8 9.5 9.5 9.2 9 8.4 9.3 9.2 8.9 8.1 8.1 6.5 8.8 8 7.8 7 6.9 4.8
9.2 8.2 7.2 7.9 6.9 5 6.9 5.5 2.7 9.9 9.7 9.5 9.2 9.2 8.5 9.5 9.1 9
8.3 8.4 7.1 9.2 8.1 8.2 7.1 7.2 5.3 9.5 9.3 9.2 8.5 8.5 7.3 9.2 8.2 8
7.2 7 5.9 8.4 7 7.1 5.2 5 3 8.6 7.5 5.2 7.1 5.2 2.9 6.3 2.9 1.7
9.8 9.5 9.4 8.7 9.1 8.1 9.4 8.9 8.6 7.4 7.7 6.4 8.7 7.5 7.4 6.3 6.3 4.9
9.4 8.9 8.8 7.7 7.6 6.7 8.6 7.6 7.4 5.8 5.9 5 7.2 5.7 5.7 5.2 5.2 2.5
8.3 7 5.4 6.5 5.8 2.6 5.3 2.1 1.3 9.5 9 8.8 7.6 7.6 7 9 7.7 7.5
6.2 6.1 5.3 7.7 6.6 6.8 5.9 5.2 3 8.9 7.8 7.6 6.7 6.2 5.8 7.4 5.9 5.7
5.7 4.7 2.3 6.1 5.2 5.7 2.9 2.4 1.6 7.1 5.9 3 5.8 2.6 1.5 2.3 1.3 0.6
9.3 8.7 8.6 7.2 7.5 5.8 8.6 7.4 7.4 6.1 5.6 3.4 7 5.4 5.2 4 4 2.2
8.5 7.5 7.4 5.5 6.2 5.1 7.2 5.7 5.5 4.1 4.6 1.9 5.3 3.6 3.4 1.9 1.9 0.8
6.4 5.1 2 4.7 2.1 1.1 2.4 0.9 0.4 8.8 7.5 7.3 5.3 6 5 7.3 5.5 5.9
4 4.1 2 5.4 4.3 4.5 2.2 2 1.1 7.5 5.5 5.8 4.5 4 2.1 6.1 5.1 4.8
1.8 2 0.9 4.6 1.8 1.7 0.7 0.8 0.2 5.3 2.4 1.4 2.4 1.2 0.5 1 0.3 0.1
"""
MACROS: Final = [
    m for m in product((0, 1, 2), (0, 1), (0, 1, 2), (0, 1, 2), (0, 1, 2), (0, 1)) if (m[2], m[5]) != (2, 0)
]
SCORE: Final = dict(zip(MACROS, map(Fraction, SCORES.split()), strict=True))
# The highest vectors of each level (specification, tables of section 8.2) and its depth, in steps.
Level = tuple[tuple[str, ...], int]
EQ1: Final[tuple[Level, ...]] = (
    (("AV:N/PR:N/UI:N",), 1),
    (("AV:A/PR:N/UI:N", "AV:N/PR:L/UI:N", "AV:N/PR:N/UI:P"), 4),
    (("AV:P/PR:N/UI:N", "AV:A/PR:L/UI:P"), 5),
)
EQ2: Final[tuple[Level, ...]] = ((("AC:L/AT:N",), 1), (("AC:H/AT:N", "AC:L/AT:P"), 2))
EQ3_6: Final[Mapping[tuple[int, int], Level]] = {
    (0, 0): (("VC:H/VI:H/VA:H/CR:H/IR:H/AR:H",), 7),
    (0, 1): (("VC:H/VI:H/VA:L/CR:M/IR:M/AR:H", "VC:H/VI:H/VA:H/CR:M/IR:M/AR:M"), 6),
    (1, 0): (("VC:L/VI:H/VA:H/CR:H/IR:H/AR:H", "VC:H/VI:L/VA:H/CR:H/IR:H/AR:H"), 8),
    (1, 1): (
        (
            "VC:L/VI:H/VA:L/CR:H/IR:M/AR:H",
            "VC:L/VI:H/VA:H/CR:H/IR:M/AR:M",
            "VC:H/VI:L/VA:H/CR:M/IR:H/AR:M",
            "VC:H/VI:L/VA:L/CR:M/IR:H/AR:H",
            "VC:L/VI:L/VA:H/CR:H/IR:H/AR:M",
        ),
        8,
    ),
    (2, 1): (("VC:L/VI:L/VA:L/CR:H/IR:H/AR:H",), 10),
}
EQ4: Final[tuple[Level, ...]] = ((("SC:H/SI:S/SA:S",), 6), (("SC:H/SI:H/SA:H",), 5), (("SC:L/SI:L/SA:L",), 4))
EQ5: Final[tuple[Level, ...]] = ((("E:A",), 1), (("E:P",), 1), (("E:U",), 1))


def score(vector: str) -> float | None:
    """0.0 to 10.0; None for a text that is no CVSS v4.0 vector: a metric missing, twice, unknown, or with another value."""
    said = _read(vector)
    if said is None:
        return None
    if all(said[name] == "N" for name in ("VC", "VI", "VA", "SC", "SI", "SA")):
        return 0.0
    macro = eq1, eq2, eq3, eq4, eq5, eq6 = _macro(said)
    # The next lower macrovectors. EQ3 and EQ6 go together: of two neighbours the higher counts.
    lower = {
        1: [(eq1 + 1, eq2, eq3, eq4, eq5, eq6)],
        2: [(eq1, eq2 + 1, eq3, eq4, eq5, eq6)],
        3: [(eq1, eq2, eq3 + 1, eq4, eq5, eq6)] if eq6 else [(eq1, eq2, eq3, eq4, eq5, 1)],
        4: [(eq1, eq2, eq3, eq4 + 1, eq5, eq6)],
        5: [(eq1, eq2, eq3, eq4, eq5 + 1, eq6)],
    }
    if (eq3, eq6) == (0, 0):
        lower[3].append((eq1, eq2, 1, eq4, eq5, 0))
    levels = {1: EQ1[eq1], 2: EQ2[eq2], 3: EQ3_6[eq3, eq6], 4: EQ4[eq4], 5: EQ5[eq5]}
    lost = []
    for eq, level in levels.items():
        next_scores = [SCORE[one] for one in lower[eq] if one in SCORE]
        if next_scores:
            lost.append((SCORE[macro] - max(next_scores)) * _steps(said, level[0]) / level[1])
    value = SCORE[macro] - (sum(lost, Fraction()) / len(lost) if lost else 0)
    tenths = int(min(max(value, Fraction()), Fraction(10)) * 10 + Fraction(1, 2))  # half goes up
    return tenths / 10


def _read(vector: str) -> dict[str, str] | None:
    """Each metric that scores, with the value that counts: the modified one where it is given."""
    version, _, rest = vector.partition("/")
    if version != "CVSS:4.0":
        return None
    said: dict[str, str] = {}
    for part in rest.split("/"):
        name, colon, value = part.partition(":")
        if not colon or name in said or not _may_be(name, value):
            return None
        said[name] = value
    if not VALUES.keys() <= said.keys():
        return None
    made = {}
    for name in VALUES:
        modified = said.get(f"M{name}", "X")
        made[name] = said[name] if modified == "X" else modified
    for name, values in OPTIONAL.items():
        given = said.get(name, "X")
        made[name] = values[1] if given == "X" else given
    return made


def _may_be(name: str, value: str) -> bool:
    if name in ALONE:
        return value in ALONE[name]
    if len(value) != 1:
        return False
    if name.startswith("M") and name[1:] in VALUES:
        return value in f"X{VALUES[name[1:]]}" or (value == "S" and name[1:] in SAFETY)
    return value in VALUES.get(name, "") or value in OPTIONAL.get(name, "")


def _macro(said: Mapping[str, str]) -> tuple[int, int, int, int, int, int]:
    easy = [said["AV"] == "N", said["PR"] == "N", said["UI"] == "N"]
    eq1 = 0 if all(easy) else 1 if any(easy) and said["AV"] != "P" else 2
    eq2 = int((said["AC"], said["AT"]) != ("L", "N"))
    high = [said[name] == "H" for name in ("VC", "VI", "VA")]
    eq3 = 0 if high[0] and high[1] else 1 if any(high) else 2
    later = said["SC"], said["SI"], said["SA"]
    eq4 = 0 if "S" in later else 1 if "H" in later else 2
    eq5 = "APU".index(said["E"])
    needed = [said[name] == "H" for name in ("CR", "IR", "AR")]
    eq6 = int(not any(a and b for a, b in zip(high, needed, strict=True)))
    return eq1, eq2, eq3, eq4, eq5, eq6


def _steps(said: Mapping[str, str], highest: tuple[str, ...]) -> int:
    """How many steps the vector is below the first of the highest ones that is nowhere below it."""
    for one in highest:
        steps = []
        for part in one.split("/"):
            name, _, value = part.partition(":")
            steps.append(STEPS[name].index(said[name]) - STEPS[name].index(value))
        if min(steps) >= 0:
            return sum(steps)
    raise AssertionError("no highest vector is above this one")
