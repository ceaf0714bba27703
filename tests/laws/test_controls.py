"""The laws over all 25 controls, in worlds made of recorded answers."""

from __future__ import annotations

import os
import random

import law_book as laws
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from law_worlds import AT, kinds, of_subject, policy, recordings, snapshot, snapshots

from wardkeep.controls import all_controls
from wardkeep.core.control import Control
from wardkeep.core.facts import PLATFORM, Answer, Snapshot

WITH_RULES = [c for c in all_controls() if c.rules]
each_control = pytest.mark.parametrize("control", WITH_RULES, ids=lambda c: c.id)
SEARCH = int(os.environ.get("WARDKEEP_SEARCH", "1"))  # times as many worlds
some = settings(max_examples=12 * SEARCH, suppress_health_check=list(HealthCheck), database=None)


@each_control
@some
@given(data=st.data(), seed=st.integers(0, 2**16))
def test_speaks_of_every_rule_in_any_order_and_mends_exactly_what_fails(
    control: Control, data: st.DataObject, seed: int
) -> None:
    world = data.draw(snapshots(control))
    laws.speaks_of_every_rule(control, world, policy(control))
    laws.is_deterministic_and_order_blind(control, world, policy(control), random.Random(seed))
    laws.remedy_answers_exactly_what_failed(control, world, policy(control))
    laws.a_drill_proves_rules_of_its_own(control, world, policy(control))


@each_control
@some
@given(data=st.data())
def test_no_fact_no_pass(control: Control, data: st.DataObject) -> None:
    world = data.draw(snapshots(control))
    for kind in of_subject(control, world.subject):
        laws.no_fact_no_pass(control, world, policy(control), kind)


@pytest.mark.parametrize("control", all_controls(), ids=lambda c: c.id)
def test_a_row_with_gaps_cannot_pass(control: Control) -> None:
    laws.a_row_with_gaps_cannot_pass(control)


@pytest.mark.parametrize("name", sorted(kinds()))
def test_every_question_has_a_recorded_answer(name: str) -> None:
    assert recordings()[name], f"record one: tests/facts/answers/{name}-<state>.txt"


@pytest.mark.parametrize(
    ("name", "number"), [(n, i) for n, known in sorted(recordings().items()) for i in range(len(known))]
)
def test_every_cut_of_a_recording_is_noticed(name: str, number: int) -> None:
    kind = kinds()[name]
    laws.every_cut_is_noticed(kind, Answer(name, min(kind.ask.ok), recordings()[name][number][1]))


GARBAGE = [
    b"",
    b"\n",
    b"\x00" * 40,
    b"\xff\xfe\x00garbage",
    b"sh: 1: tool: not found\n",
    b"bash: cannot create temp file for here-document: No space left on device\n",
    b"<html><body>502 Bad Gateway</body></html>\n",
    b"null\n",
    b"[]\n",
    b"{}\n",
    b"\xe2\x80\x8b = end\n",
]


def about(name: str) -> list[tuple[Control, object]]:
    return [(c, policy(c)) for c in WITH_RULES if kinds()[name] in c.facts()]


@pytest.mark.parametrize("name", sorted(kinds()))
def test_no_spoiled_answer_passes(name: str) -> None:
    kind = kinds()[name]
    subject = PLATFORM if kind.ask.subject == PLATFORM else "host-1"
    good = next((text for _, text in recordings()[name]), b"")
    spoiled = [
        *(Answer(name, code, good, b"no") for code in (1, 2, 126, 127, 137, 255) if code not in kind.ask.ok),
        Answer(name, None, good, whole=False, problem="took longer than 20 s"),
        Answer(name, min(kind.ask.ok), good, whole=False, problem="the connection broke"),
        *(Answer(name, min(kind.ask.ok), text) for text in GARBAGE),
        *(Answer(name, min(kind.ask.ok), mangled) for mangled in (good[::-1], good[1:], b"x" + good) if good),
    ]
    for answer in spoiled:
        laws.nothing_is_learnt(Snapshot(subject, AT, {name: answer}), kind, about(name))
    laws.nothing_is_learnt(Snapshot(subject, AT, {}), kind, about(name))
    laws.nothing_is_learnt(Snapshot(subject, AT, {}, problem="the host is down"), kind, about(name))


@pytest.mark.parametrize("name", sorted(kinds()))
@some
@given(noise=st.binary(max_size=300))
def test_noise_is_never_a_fact(name: str, noise: bytes) -> None:
    kind = kinds()[name]
    subject = PLATFORM if kind.ask.subject == PLATFORM else "host-1"
    world = snapshot({name: Answer(name, min(kind.ask.ok), noise)}, subject)
    laws.nothing_is_learnt(world, kind, about(name))
