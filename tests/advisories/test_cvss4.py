"""CVSS v4.0 scores, as FIRST's calculator gives them."""

from __future__ import annotations

import json

import pytest

from wardkeep.advisories.cvss4 import MACROS, SCORE, score
from wardkeep.advisories.feeds.osv import read
from wardkeep.advisories.records import Flaw
from wardkeep.advisories.severity import base_score

BARE = "AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N"


# Vectors of FIRST's document of CVSS v4.0 examples and variations of them. The library `cvss` 3.6 (Red Hat) gives the same scores,
# and agreed on 40,000 random vectors with all metrics when this was written.
@pytest.mark.parametrize(
    ("vector", "expected"),
    [
        ("AV:L/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 7.3),
        ("AV:N/AC:L/AT:P/PR:N/UI:P/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 7.7),
        ("AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", 10.0),
        (BARE, 8.7),
        ("AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:L/VA:L/SC:N/SI:N/SA:N", 8.3),
        ("AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:L/VA:L/SC:N/SI:N/SA:N/CR:H/IR:L/AR:L", 8.1),
        ("AV:N/AC:L/AT:N/PR:N/UI:A/VC:N/VI:N/VA:N/SC:L/SI:L/SA:N", 5.1),
        ("AV:N/AC:L/AT:N/PR:N/UI:N/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N", 6.9),
        ("AV:L/AC:L/AT:N/PR:H/UI:N/VC:N/VI:N/VA:N/SC:H/SI:N/SA:N", 5.9),
        ("AV:L/AC:L/AT:N/PR:L/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", 9.3),
        ("AV:P/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:H/SA:N/S:P/V:D/MSI:S", 9.2),
        (f"{BARE}/E:U/CR:L", 4.5),
        ("AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N", 0.0),
    ],
)
def test_scores_are_those_of_the_specification(vector: str, expected: float) -> None:
    assert score(f"CVSS:4.0/{vector}") == expected
    assert base_score(f"CVSS:4.0/{vector}") == expected


@pytest.mark.parametrize(
    "vector",
    [
        f"CVSS:3.1/{BARE}",
        "CVSS:4.0",
        "CVSS:4.0/",
        f"CVSS:4.0/{BARE}/",
        f"CVSS:4.0/{BARE}/AV:N",
        f"CVSS:4.0/{BARE}/E:",
        f"CVSS:4.0/{BARE}/E:Z",
        f"CVSS:4.0/{BARE}/MVC:S",
        f"CVSS:4.0/{BARE}/U:Blue",
        f"CVSS:4.0/{BARE}/XX:Y",
        f"CVSS:4.0/{BARE}".replace("SI:N", "SI:S"),
        f"CVSS:4.0/{BARE}".replace("/AT:N", ""),
    ],
)
def test_what_is_no_vector_has_no_score(vector: str) -> None:
    assert score(vector) is None


def test_no_macrovector_is_below_one_that_is_less_severe() -> None:
    assert len(MACROS) == 270
    for macro in MACROS:
        for place in range(6):
            worse = (*macro[:place], macro[place] - 1, *macro[place + 1 :])
            # EQ3 and EQ6 are one pair of equivalence classes, with no order of their own across the pair.
            if worse in SCORE:
                assert SCORE[worse] >= SCORE[macro], (worse, macro)


def test_a_record_with_a_v4_vector_alone_has_its_severity() -> None:
    def rated(*severity: tuple[str, str]) -> list[tuple[str, float]]:
        told = {"id": "GHSA-aaaa-bbbb-cccc", "modified": "2026-01-01T00:00:00Z", "affected": []}
        told["severity"] = [{"type": kind, "score": vector} for kind, vector in severity]
        flaws = [one for one in read(json.dumps(told).encode(), "x.json") if isinstance(one, Flaw)]
        return [(one.label, one.score) for flaw in flaws for one in flaw.ratings]

    v4 = ("CVSS_V4", f"CVSS:4.0/{BARE}")
    v3 = ("CVSS_V3", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N")
    assert rated(v4) == [("high", 8.7)]
    assert rated(v4, v3) == rated(v3) == [("medium", 5.3)]
