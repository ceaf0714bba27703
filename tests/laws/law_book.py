"""The laws, each as a function that raises AssertionError when a control, a rule or a parser breaks it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from law_worlds import AT, cuts, of_subject, shuffle_snapshot

from wardkeep.core.changes import Blocked, Cannot, OnHost
from wardkeep.core.control import Control, Rule
from wardkeep.core.facts import PLATFORM, Answer, Fact, Snapshot, Unknown
from wardkeep.core.findings import Finding, Verdict
from wardkeep.engine.assess import Blind, assess, drill_steps, not_built, remedies

Judge = Callable[[Control, Snapshot, Any], list[Finding]]


def spoken_of(control: Control, snapshot: Snapshot) -> list[Rule]:
    """The rules that this subject can be held to."""
    wanted = PLATFORM if snapshot.subject == PLATFORM else "host"
    return [r for r in control.rules if all(k.ask.subject == wanted for k in r.needs.values())]


def speaks_of_every_rule(control: Control, snapshot: Snapshot, policy: Any) -> None:
    """Every rule has at least one finding, each finding says what was seen, and no subject is judged twice."""
    found = assess(control, snapshot, policy)
    assert {f.rule for f in found} == {r.id for r in spoken_of(control, snapshot)}
    for f in found:
        assert f.seen.strip(), f"{f.rule}: nothing seen"
        assert f.subject.strip(), f"{f.rule}: about nobody"
        assert "please report this as a defect" not in f.seen, f"{f.rule}: {f.seen}"
        assert f.verdict is not Verdict.FAIL or f.todo.strip(), (
            f"{f.rule}: fails on {f.subject} with nothing to do"
        )
    prints = [f.fingerprint for f in found]
    doubled = {(f.rule, f.subject) for f in found if prints.count(f.fingerprint) > 1}
    assert not doubled, f"two findings about one subject: {sorted(doubled)}"


def is_deterministic_and_order_blind(
    control: Control, snapshot: Snapshot, policy: Any, rnd: random.Random
) -> None:
    """The same facts give the same findings, whatever order the host listed things in."""
    found = assess(control, snapshot, policy)
    again = Snapshot(snapshot.subject, snapshot.at, dict(snapshot.answers))  # parsed anew
    assert assess(control, again, policy) == found
    mixed = assess(control, shuffle_snapshot(snapshot, control, rnd), policy)
    assert {key(f): f for f in mixed} == {key(f): f for f in found}


def key(finding: Finding) -> tuple[str, str]:
    return (finding.rule, finding.subject)


def remedy_answers_exactly_what_failed(control: Control, snapshot: Snapshot, policy: Any) -> None:
    """Each failing subject of a mendable rule has a change or a stated obstacle; no other subject has one."""
    failing = {key(f) for f in assess(control, snapshot, policy) if f.verdict is Verdict.FAIL}
    told = set()
    for rule, seen, answer in remedies(control, snapshot, policy):
        told |= {(rule.id, s.subject) for s in seen}
        if isinstance(answer, Cannot):
            assert answer.why.strip(), f"{rule.id}: no change and no reason"
            continue
        if isinstance(answer, Blind):
            assert str(answer)
            continue
        subjects = {s.subject for s in seen}
        answered = {change.subject for change in answer}
        assert answered <= subjects | {""}, (
            f"{rule.id}: a change for {answered - subjects}, which did not fail"
        )
        assert "" in answered or answered == subjects, f"{rule.id}: no change for {subjects - answered}"
        for change in answer:
            assert change.why == rule.id, f"{rule.id}: a change that says it is for {change.why}"
            assert not isinstance(change, Blocked) or (change.reason and change.todo)
    assert told == failing


def no_fact_no_pass(
    control: Control, snapshot: Snapshot, policy: Any, kind: type[Fact], judge: Judge = assess
) -> None:
    """Without one fact exactly the rules that need it are unknown; the others say what they said."""
    answers = {name: a for name, a in snapshot.answers.items() if name != kind.ask.id}
    blind = Snapshot(snapshot.subject, snapshot.at, answers)
    for other in of_subject(control, snapshot.subject):
        blind._learned[other] = snapshot.learn(other)
    blind._learned[kind] = Unknown(f"{kind.ask.id}: taken away")
    before, after = judge(control, snapshot, policy), judge(control, blind, policy)
    needing = {r.id for r in spoken_of(control, snapshot) if kind in r.needs.values()}
    for f in after:
        if f.rule in needing:
            assert f.verdict is Verdict.UNKNOWN, f"{f.rule}: {f.verdict} without {kind.ask.id}"
    assert [f for f in after if f.rule not in needing] == [f for f in before if f.rule not in needing]


def nothing_is_learnt(snapshot: Snapshot, kind: type[Fact], controls: Iterable[tuple[Control, Any]]) -> None:
    """A spoiled answer is no fact, and no rule that needs it passes."""
    fact = snapshot.learn(kind)
    assert isinstance(fact, Unknown), f"{kind.ask.id}: a spoiled answer was read as {fact!r:.200}"
    for control, policy in controls:
        needing = {r.id for r in control.rules if kind in r.needs.values()}
        passed = [
            f.rule
            for f in assess(control, snapshot, policy)
            if f.rule in needing and f.verdict is Verdict.PASS
        ]
        assert not passed, f"passes on a spoiled answer: {passed}"


def every_cut_is_noticed(kind: type[Fact], whole: Answer) -> None:
    """An answer cut anywhere gives the same fact as the whole one, or none: never a smaller truth."""
    fact = Snapshot("h", AT, {kind.ask.id: whole}).learn(kind)
    assert not isinstance(fact, Unknown), f"the recording itself is not understood: {fact.reason}"
    for text in cuts(whole.stdout):
        cut = Snapshot("h", AT, {kind.ask.id: replace(whole, stdout=text)}).learn(kind)
        assert isinstance(cut, Unknown) or cut == fact, (
            f"{kind.ask.id}: cut to {len(text)} bytes it says another thing"
        )


def a_drill_proves_rules_of_its_own(control: Control, snapshot: Snapshot, policy: Any) -> None:
    """Every step names a rule of this control and says what is tried; without its facts there is no step at all."""
    steps = drill_steps(control, snapshot, policy)
    if isinstance(steps, Cannot):
        assert steps.why.strip()
        return
    blind = any(isinstance(snapshot.learn(kind), Unknown) for kind in control.drill_needs.values())
    assert isinstance(steps, Blind) == blind, "a drill went on without a fact that it needs"
    for step in [] if isinstance(steps, Blind) else steps:
        assert step.proves in {rule.id for rule in control.rules}, (
            f"proves {step.proves}, no rule of {control.id}"
        )
        assert not isinstance(step, OnHost) or (step.says and step.script.strip()), "a step that says nothing"


def a_row_with_gaps_cannot_pass(control: Control) -> None:
    """Every promise not looked at is an unknown finding of its own."""
    gaps = list(not_built(control, "host-1"))
    assert len(gaps) == len(control.missing)
    assert len({f.fingerprint for f in gaps}) == len(gaps)
    assert all(f.verdict is Verdict.UNKNOWN for f in gaps)
