"""The control that docs/adding-a-control.md has a reader write is written here from the page itself, and held to the laws."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import law_book as laws
import pytest

from wardkeep.controls import system_monitoring
from wardkeep.core.control import Control, NoPolicy
from wardkeep.core.facts import Answer, Snapshot
from wardkeep.core.findings import Verdict
from wardkeep.engine.assess import assess

GUIDE = Path(__file__).parents[2] / "docs" / "adding-a-control.md"


@pytest.fixture
def toy() -> Iterator[tuple[Any, Control]]:
    """The fact and the control that the page's three blocks of Python make."""
    fact, rule, remedy = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.S)
    module = types.ModuleType("wardkeep.facts.toy_banner")
    sys.modules[module.__name__] = module
    exec(compile(fact, "toy_banner.py", "exec"), module.__dict__)
    row = types.ModuleType("wardkeep.controls.toy_row")
    sys.modules[row.__name__] = row
    row.__dict__.update(vars(system_monitoring))
    control = Control("system_monitoring", missing=("All else.",))
    row.__dict__.update(control=control, __name__=row.__name__)
    exec(compile(rule + remedy, "toy_row.py", "exec"), row.__dict__)
    yield module.__dict__["ToyBanner"], control
    del sys.modules[module.__name__], sys.modules[row.__name__]


def snapshot(stdout: bytes) -> Snapshot:
    return Snapshot(
        "host-1", datetime(2026, 1, 1, tzinfo=UTC), {"toy_banner": Answer("toy_banner", 0, stdout)}
    )


def test_the_guide_makes_a_control_that_keeps_the_laws(toy: tuple[Any, Control]) -> None:
    kind, control = toy
    told = subprocess.run(["/bin/sh", "-c", kind.ask.script], capture_output=True, check=True).stdout
    for text, verdict in (
        (told, None),
        (b"= banner\n|What you do here is recorded.\n= end\n", Verdict.PASS),
        (b"= banner\n= end\n", Verdict.FAIL),
    ):
        given = snapshot(text)
        (finding,) = assess(control, given, NoPolicy())
        assert verdict in (None, finding.verdict)
        laws.speaks_of_every_rule(control, given, NoPolicy())
        laws.is_deterministic_and_order_blind(control, given, NoPolicy(), random.Random(1))
        laws.remedy_answers_exactly_what_failed(control, given, NoPolicy())
        laws.no_fact_no_pass(control, given, NoPolicy(), kind)
        laws.every_cut_is_noticed(kind, given.answers["toy_banner"])
    laws.nothing_is_learnt(snapshot(b""), kind, [(control, NoPolicy())])
