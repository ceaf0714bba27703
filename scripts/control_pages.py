"""Write what docs/controls/*.md say of rules, reasons and gaps from the code itself. Run by `make docs`.

A page is a person's text, then a line `<!-- from the code -->`, then what this script writes. A house test compares.
"""

from __future__ import annotations

import sys
from pathlib import Path

from wardkeep.controls import control
from wardkeep.controls.matrix import ROWS, Row
from wardkeep.core.changes import Cannot
from wardkeep.core.control import Control

PAGES = Path(__file__).parents[1] / "docs" / "controls"
MARK = "<!-- from the code: `make docs` renews everything below -->"
KIND = {"R": "required", "A": "addressable", "s": "standard", "": "outside the Security Rule"}


def told_by_the_code(row: Row, made: Control) -> str:
    """The part of a page that no person writes: rules, questions, gaps, citations."""
    lines = [MARK, "", "## Rules", ""]
    for rule in made.rules:
        lines.append(f"- **{rule.says}** `{rule.id}` · {rule.severity}")
        asks = sorted({f"`{kind.ask.id}`" for kind in rule.needs.values()})
        mend = f"cannot: {rule.remedy.why}" if isinstance(rule.remedy, Cannot) else "a plan is offered"
        lines.append(f"  <br>asks {', '.join(asks)}; remedy: {mend}")
        lines += [f"  <br>serves {c.paragraph}: {c.because}" for c in rule.serves]
    lines += [] if made.rules else ["None yet: the row is *unknown: not built*."]
    drill = (
        f"None: {made.drill.why}."
        if isinstance(made.drill, Cannot)
        else "Yes: `wardkeep drill " + row.id + "`."
    )
    lines += ["", "## Drill", "", drill]
    if made.missing:
        lines += ["", "## Not looked at yet", ""]
        lines += [f"- {text}" for text in made.missing]
        lines += [
            "",
            "Each of these is an unknown finding: the row cannot be *pass* while one is left.",
        ]
    lines += ["", "## Why this row", "", "| 45 CFR | kind | because |", "|---|---|---|"]
    lines += [f"| {c.paragraph} | {KIND[c.kind]} | {c.because} |" for c in row.citations]
    return "\n".join(lines) + "\n"


def renewed(row: Row, made: Control, text: str) -> str:
    """The page with its lower part renewed; a page that does not exist yet gets its heading and who carries it."""
    head = text.partition(MARK)[0].rstrip()
    if not head:
        carried = "the platform" if row.party == "platform" else "the customer"
        head = f"# {row.title}\n\nRow {row.number} of the matrix, `{row.id}`, carried by {carried}."
    return f"{head}\n\n{told_by_the_code(row, made)}"


def contents() -> str:
    """The page that lists all rows: what is built of each, and how much is not looked at yet."""
    lines = [
        "# The 25 rows",
        "",
        "What each row promises is its title, word for word. A row passes only if all its rules pass and nothing is left",
        "that is not looked at. `make docs` writes this page from the code.",
        "",
        "| # | row | party | rules | mended | drill | not looked at |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        made = control(row.id)
        mended = sum(not isinstance(rule.remedy, Cannot) for rule in made.rules)
        drill = "–" if isinstance(made.drill, Cannot) else "yes"
        counts = f"{len(made.rules) or '–'} | {mended or '–'} | {drill} | {len(made.missing) or '–'}"
        lines.append(f"| {row.number} | [{row.title}]({row.id}.md) | {row.party} | {counts} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    PAGES.mkdir(exist_ok=True)
    (PAGES / "README.md").write_text(contents())
    for row in ROWS:
        page = PAGES / f"{row.id}.md"
        old = page.read_text() if page.exists() else ""
        new = renewed(row, control(row.id), old)
        if new != old:
            page.write_text(new)
            sys.stdout.write(f"{page}\n")


if __name__ == "__main__":
    main()
