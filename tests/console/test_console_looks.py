"""Contrast is computed from the style sheet itself; vendored files are what they are said to be."""

from __future__ import annotations

import re
from hashlib import sha256
from itertools import product

import pytest

from wardkeep.console.render import STATIC, relative, strip, ticked

CSS = (STATIC / "console.css").read_text()
TEXTS = ("ink", "quiet", "accent", "pass", "fail", "unknown", "none")
GROUNDS = ("ground", "raised", "sunken")
PAIRS = [
    *product(TEXTS, GROUNDS),
    ("on-accent", "accent"),
    ("fail", "fail-ground"),
    ("unknown", "unknown-ground"),
    ("ink", "none-ground"),
]


def palette(dark: bool) -> dict[str, str]:
    """The colours by name, as the style sheet sets them in this scheme."""
    light_block, dark_block = re.findall(r":root \{(.*?)\}", CSS, re.S)[:2]
    read = lambda block: dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))  # noqa: E731
    return {**read(light_block), **(read(dark_block) if dark else {})}


def luminance(colour: str) -> float:
    """Relative luminance by WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_measure_itself() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_can_be_read(dark: bool) -> None:
    colours = palette(dark)
    weak = {pair: round(contrast(*(colours[name] for name in pair)), 2) for pair in PAIRS}
    assert {pair: n for pair, n in weak.items() if n < 4.5} == {}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_edges_of_controls_can_be_seen(dark: bool) -> None:
    colours = palette(dark)
    for edge, ground in product(("strong-line", "accent"), GROUNDS):
        assert contrast(colours[edge], colours[ground]) >= 3, (edge, ground)


def test_states_are_never_by_colour_alone() -> None:
    from wardkeep.console.render import SHAPES, state

    assert len(set(SHAPES.values())) == len(SHAPES) == 4
    for word in ("pass", "fail", "unknown"):
        assert word in state(word).split("</svg>")[1]


def test_vendored_files_are_what_they_are_said_to_be() -> None:
    told = dict(re.findall(r"\| `([^`]+)` \|.*?`([0-9a-f]{64})` \|", (STATIC / "VENDORED.md").read_text()))
    assert told.keys() == {"htmx.min.js"}
    for name, digest in told.items():
        assert sha256((STATIC / name).read_bytes()).hexdigest() == digest
    assert (STATIC / "htmx.LICENSE.txt").exists()


def test_nothing_is_fetched_from_elsewhere() -> None:
    templates = STATIC.parent / "templates"
    for path in [*templates.iterdir(), STATIC / "console.css", STATIC / "console.js"]:
        text = path.read_text()
        assert not re.search(r"""(src|href)=["']?(https?:)?//|url\(|@import|fetch\(["']http""", text), (
            path.name
        )
        assert not re.search(r"<[a-z][^>]*\s(style|on[a-z]+)=", text), path.name


def test_backticks_become_code_and_nothing_else_does() -> None:
    assert ticked("Run `plan <x>`.") == "Run <code>plan &lt;x&gt;</code>."
    assert ticked("an ` alone <b>") == "an ` alone &lt;b&gt;"


def test_times_are_relative() -> None:
    from datetime import UTC, datetime, timedelta

    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    for seconds, said in (
        (5, "just now"),
        (60, "1 minute ago"),
        (7200, "2 hours ago"),
        (86400 * 45, "1 month ago"),
    ):
        assert relative(now - timedelta(seconds=seconds), now) == said
    assert relative(now + timedelta(days=30, seconds=-9), now) == "in 1 month"
    assert relative(now + timedelta(days=15, seconds=-9), now) == "in 15 days"


def test_a_strip_has_one_bar_for_equal_days_and_says_its_numbers() -> None:
    from datetime import date

    drawn = strip(
        (("2026-11-20", "fail"), ("2026-11-21", "pass"), ("2026-11-22", "pass")), date(2026, 11, 22)
    )
    assert drawn.count("<rect") == 3
    assert "2 days pass, 1 days fail; 87 days not looked at" in drawn.replace("1 day fail", "1 days fail")
