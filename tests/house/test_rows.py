"""Every row of the matrix has its module, its page, its reasons; ids are unique; citations stay within the row."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from wardkeep.controls import all_controls, control
from wardkeep.controls.matrix import ROWS, Row
from wardkeep.core.changes import Cannot, cannot
from wardkeep.core.control import Control
from wardkeep.core.errors import BadInput
from wardkeep.core.facts import HOST, PLATFORM
from wardkeep.core.findings import Citation, Seen, Severity, passes
from wardkeep.core.profiles import Numbers

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from control_pages import PAGES, contents, renewed


def reads_as_sentence(text: str) -> bool:
    return len(text) > 15 and (text[0].isupper() or text[0] in "`'\"") and text[-1] in ".?"


def faults(made: Control, row: Row) -> list[str]:
    """What a control does against the house, in sentences."""
    wrong = []
    cited = {c.paragraph for c in row.citations}
    for rule in made.rules:
        if not reads_as_sentence(rule.says):
            wrong.append(f"{rule.id}: a rule is a sentence that is true on a healthy system: {rule.says!r}")
        if not rule.serves:
            wrong.append(f"{rule.id}: serves no paragraph")
        for citation in rule.serves:
            if citation.paragraph not in cited:
                wrong.append(f"{rule.id}: {citation.paragraph} is not cited by the row")
            if not citation.because.strip():
                wrong.append(f"{rule.id}: no because for {citation.paragraph}")
        if not rule.needs:
            wrong.append(f"{rule.id}: needs no fact, so it can only be an opinion")
        if isinstance(rule.remedy, Cannot) and len(rule.remedy.why) < 10:
            wrong.append(f"{rule.id}: no remedy and no reason")
    doubled = [name for name, n in Counter(rule.id for rule in made.rules).items() if n > 1]
    wrong += [f"{name}: two rules with one id" for name in doubled]
    if isinstance(made.drill, Cannot) and not made.drill.why:
        wrong.append(f"{made.id}: no drill and no reason")
    if isinstance(made.drill, Cannot) and made.drill.why == "not built" and not made.missing:
        wrong.append(f"{made.id}: no drill, and `missing` does not say so")
    if not made.rules and not made.missing:
        wrong.append(f"{made.id}: no rules, and `missing` does not say so")
    wrong += [
        f"{made.id}: missing is no sentence: {text!r}" for text in made.missing if not reads_as_sentence(text)
    ]
    return wrong


def test_the_matrix_has_25_rows_each_citation_with_a_reason_of_its_own() -> None:
    assert len(ROWS) == len({row.id for row in ROWS}) == len({row.title for row in ROWS}) == 25
    assert [row.number for row in ROWS] == list(range(1, 26))
    said = [c.because for row in ROWS for c in row.citations]
    assert len(said) == len(set(said)), "a reason used twice is a reason for neither"
    assert all(reads_as_sentence(text) for text in said)
    assert all(c.kind in ("R", "A", "s", "") for row in ROWS for c in row.citations)
    assert all(re.fullmatch(r"164\.\d{3}(\(\w+\))*", c.paragraph) for row in ROWS for c in row.citations)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_every_row_has_a_control_and_a_page_that_keep_the_house(row: Row) -> None:
    assert not faults(control(row.id), row)
    page = PAGES / f"{row.id}.md"
    text = page.read_text() if page.is_file() else ""
    assert text.startswith(f"# {row.title}\n"), f"the heading of {page.name} is the row's exact title"
    assert text == renewed(row, control(row.id), text), (
        f"{page.name} is older than the code: run `make docs` (or `PYTHONPATH=src python scripts/control_pages.py`)"
    )


def test_the_list_of_rows_is_as_new_as_the_code() -> None:
    assert (PAGES / "README.md").read_text() == contents(), "run `make docs`"


def test_no_page_is_about_nothing() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} - {"README"} == {row.id for row in ROWS}


def test_questions_with_one_id_are_one_question() -> None:
    asks = {(kind.ask.id, kind.ask) for made in all_controls() for kind in made.facts()}
    assert not [name for name, n in Counter(name for name, _ in asks).items() if n > 1]
    assert all(ask.subject in (HOST, PLATFORM) for _, ask in asks)
    assert all(re.fullmatch(r"[a-z0-9_.-]{2,40}", name) for name, _ in asks)


def test_every_choice_of_a_policy_says_what_it_is_and_follows_a_number_that_exists() -> None:
    numbers = {f.name for f in fields(Numbers)}
    for made in all_controls():
        for choice in fields(made.policy):
            where = f"{made.id}.{choice.name}"
            assert choice.metadata.get("doc"), f"{where}: say in its metadata what it is"
            assert choice.metadata.get("number", "patch_high") in numbers, f"{where}: no such number"
            assert choice.default is not MISSING or choice.default_factory is not MISSING, (
                f"{where}: no default"
            )


def test_a_wrong_name_gets_the_nearest_one() -> None:
    assert [made.id for made in all_controls()] == [row.id for row in ROWS]
    with pytest.raises(BadInput, match="Did you mean `backups`"):
        control("backup")


def test_the_law_sees_its_mutants() -> None:
    row = Row(1, "toy", "Toy", "platform", (Citation("164.312(b)", "s", "Toys are recorded."),))

    def told(made: Control) -> str:
        return "\n".join(faults(made, row))

    def opinion() -> Iterable[Seen]:
        yield passes("toy", "looks nice")

    bare = Control("toy")
    assert "no rules" in told(bare)
    assert "no drill" in told(bare)
    silent = Control("toy", missing=("Nothing is looked at yet.",), drill=cannot(""))
    assert told(silent) == "toy: no drill and no reason"
    wrong = Control("toy", missing=("later",))
    wrong.rule("root login", severity=Severity.LOW, serves={"164.308(a)(8)": ""})(opinion)  # type: ignore[arg-type]
    wrong.rules.append(wrong.rules[0])
    for words in (
        "is a sentence",
        "not cited",
        "no because",
        "needs no fact",
        "two rules",
        "missing is no sentence",
    ):
        assert words in told(wrong)
