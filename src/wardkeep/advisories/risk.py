"""One number for what to look at first, with its arithmetic beside it. It orders a queue; deadlines do not hang on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# Where no score is given: the middle of CVSS's range for the word; "unknown" is held to be high.
MIDDLE = {"critical": 9.5, "high": 8.0, "medium": 5.5, "low": 2.0, "unknown": 7.0}


@dataclass(frozen=True, slots=True)
class Risk:
    """0 to 100, and how it came about."""

    value: int
    because: str


def risk_of(
    label: str,
    score: float,
    *,
    kev: bool,
    epss: float,
    ssvc: str,
    has_fix: bool,
    more: Iterable[tuple[str, float]] = (),
) -> Risk:
    """Severity × 4, known exploitation 40 (else EPSS × 30), SSVC up to 10, a released fix 5, and what `more` says; at most 100.

    `more` is what the caller knows of the places it is installed in, as reasons and points: that something listens, for example.
    """
    points = [
        (
            f"severity {_said(label)} {score if score >= 0 else MIDDLE[label]:g} × 4",
            4 * (score if score >= 0 else MIDDLE[label]),
        )
    ]
    if kev:
        points.append(("known exploited", 40.0))
    elif epss >= 0:
        points.append((f"EPSS {epss:.3f} × 30", 30 * epss))
    said = dict(part.split("=", 1) for part in ssvc.split() if "=" in part)
    if said.get("exploitation") in ("active", "poc") and not kev:
        points.append(
            (f"SSVC exploitation {said['exploitation']}", 7.0 if said["exploitation"] == "active" else 4.0)
        )
    if said.get("automatable") == "yes":
        points.append(("SSVC automatable", 3.0))
    if has_fix:
        points.append(("fix released", 5.0))
    points += more
    total = min(100, round(sum(value for _, value in points)))
    return Risk(
        total,
        " + ".join(f"{text} = {value:g}" if "×" in text else f"{text} {value:g}" for text, value in points),
    )


def _said(label: str) -> str:
    return "not given, so taken for" if label == "unknown" else label
