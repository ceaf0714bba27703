"""Severities: words, CVSS v3 vectors by the formula of its specification (FIRST, CVSS v3.1, section 7), v4 by `cvss4`."""

from __future__ import annotations

import math

from wardkeep.advisories import cvss4

WEIGHTS = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "UI": {"N": 0.85, "R": 0.62},
    "C": {"H": 0.56, "L": 0.22, "N": 0.0},
    "I": {"H": 0.56, "L": 0.22, "N": 0.0},
    "A": {"H": 0.56, "L": 0.22, "N": 0.0},
}
PRIVILEGES = {"U": {"N": 0.85, "L": 0.62, "H": 0.27}, "C": {"N": 0.85, "L": 0.68, "H": 0.5}}
WORDS = {"moderate": "medium", "important": "high", "negligible": "low", "untriaged": ""}
LABELS = ("critical", "high", "medium", "low")


def base_score(vector: str) -> float | None:
    """The score of a CVSS vector, 0.0 to 10.0: v3.0 and v3.1 the base's, v4.0 with whatever it says; None for any other text."""
    version, _, rest = vector.partition("/")
    if version == "CVSS:4.0":
        return cvss4.score(vector)
    if version not in ("CVSS:3.0", "CVSS:3.1"):
        return None
    said = dict(part.split(":", 1) for part in rest.split("/") if ":" in part)
    try:
        scope = said["S"]
        value = {name: weights[said[name]] for name, weights in WEIGHTS.items()}
        privileges = PRIVILEGES[scope][said["PR"]]
    except KeyError:
        return None
    lost = 1 - (1 - value["C"]) * (1 - value["I"]) * (1 - value["A"])
    impact = 6.42 * lost if scope == "U" else 7.52 * (lost - 0.029) - 3.25 * (lost - 0.02) ** 15
    if impact <= 0:
        return 0.0
    ease = 8.22 * value["AV"] * value["AC"] * privileges * value["UI"]
    total = impact + ease if scope == "U" else 1.08 * (impact + ease)
    return _rounded_up(min(total, 10.0))


def _rounded_up(value: float) -> float:
    """The specification's Roundup: up to one decimal, without binary fractions in the way."""
    whole = round(value * 100_000)
    return whole / 100_000 if whole % 10_000 == 0 else (math.floor(whole / 10_000) + 1) / 10


def label_of(score: float) -> str:
    """CVSS's qualitative scale; "" for 0.0, which is "none"."""
    if score >= 9:
        return "critical"
    if score >= 7:
        return "high"
    return "medium" if score >= 4 else "low" if score > 0 else ""


def words_of(label: str, source: str = "") -> str:
    """`high by Debian`; `not given` where nobody gave one."""
    if label not in LABELS:
        return "not given"
    return f"{label} by {source}" if source else label


def label(text: str) -> str:
    """One of our four words for a source's word; "" when it says nothing."""
    low = text.strip().rstrip("*").lower()
    low = WORDS.get(low, low)
    return low if low in LABELS else ""
