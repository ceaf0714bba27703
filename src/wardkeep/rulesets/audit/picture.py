"""The service matrix as an SVG picture that stands alone: shapes beside colours, readable in light and dark, in print too."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from wardkeep.rulesets.audit.matrix import CLOSED, DEPENDS, OPEN, Matrix

ROW, CELL, HEAD, GAP = 28, 44, 130, 48
LONGEST: Final = 46  # characters of a row's name; the column is as wide as the longest one needs, so that a phone shows the marks
STYLE: Final = (
    "text{font:14px system-ui,sans-serif;fill:#1f2328}.t{font-weight:600;font-size:16px}.n{fill:#57606a;font-size:12px}"
    ".o{fill:#0b6b3a}.d{fill:none;stroke:#8a5300;stroke-width:2}.h{fill:#8a5300}.c{fill:#8c959f}line{stroke:#d0d7de}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.n{fill:#9da7b1}.o{fill:#4ac26b}.d{stroke:#e3b341}.h{fill:#e3b341}"
    ".c{fill:#6e7681}line{stroke:#30363d}rect.b{fill:#0d1117}}"
)


def draw(matrices: Sequence[Matrix]) -> str:
    """One picture of all matrices, one below the other. Widths and heights are pixels."""
    body, width, top = drawn(matrices)
    title = "Who can reach whom on which service"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top}" width="{width}" height="{top}" role="img">'
        f"<title>{title}</title><style>{STYLE}</style>"
        f'<rect class="b" width="{width}" height="{top}" fill="#ffffff"/>' + body + "</svg>\n"
    )


def drawn(matrices: Sequence[Matrix]) -> tuple[str, int, int]:
    """What is inside the picture, without its style, and its width and height. What a rule set says is escaped."""
    body: list[str] = []
    top, width = 8, 300
    for one in matrices:
        made, height, wide = _one(one, top)
        body += made
        top, width = top + height + GAP, max(width, wide)
    return "".join(body), width, top


def _one(matrix: Matrix, top: int) -> tuple[list[str], int, int]:
    to = "to this host" if matrix.route == "input" else f"through it: {matrix.service}"
    out = [
        f'<text class="t" x="8" y="{top + 18}">{escape(f"{matrix.rule_set}, IPv{matrix.family}, {to}")}</text>'
    ]
    first = top + 32 + HEAD
    left = 24 + 8 * max((len(_cut(who, LONGEST)) for who in matrix.rows), default=0)
    for n, name in enumerate(matrix.columns):
        x, y = left + n * CELL + CELL // 2, first - 8
        out.append(
            f'<text transform="translate({x} {y}) rotate(-45)">{escape(_cut(name, 24))}<title>{escape(name)}</title></text>'
        )
    for m, (who, cells) in enumerate(zip(matrix.rows, matrix.cells, strict=True)):
        y = first + m * ROW
        out.append(f'<line x1="8" x2="{left + len(cells) * CELL}" y1="{y}" y2="{y}"/>')
        out.append(
            f'<text x="8" y="{y + 19}">{escape(_cut(who, LONGEST))}<title>{escape(who)}</title></text>'
        )
        out += [_cell(cell, left + n * CELL + CELL // 2, y + ROW // 2) for n, cell in enumerate(cells)]
    height = 32 + HEAD + len(matrix.rows) * ROW
    out.append(
        f'<text class="n" x="8" y="{top + height + 18}">filled: reached; half: it depends; dot: not reached</text>'
    )
    return out, height + 20, left + len(matrix.columns) * CELL + HEAD


def _cell(cell: int, x: int, y: int) -> str:
    if cell == OPEN:
        return f'<circle class="o" cx="{x}" cy="{y}" r="8"><title>reached</title></circle>'
    if cell == DEPENDS:
        half = f'<path class="h" d="M{x} {y - 8}a8 8 0 0 0 0 16z"/>'
        return f'<g><title>it depends</title><circle class="d" cx="{x}" cy="{y}" r="8"/>{half}</g>'
    assert cell == CLOSED
    return f'<circle class="c" cx="{x}" cy="{y}" r="2"><title>not reached</title></circle>'


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
