"""Hold a snapshot against the controls: no fact, no pass, by construction."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wardkeep.core.changes import Cannot, Change, Step
from wardkeep.core.control import Control, Rule
from wardkeep.core.facts import HOST, PLATFORM, Fact, Question, Snapshot, Unknown
from wardkeep.core.findings import Finding, Seen, Severity, Verdict
from wardkeep.core.memo import Memo

WHOLE_SUBJECT = "host"
_judged = Memo(32 << 20)


@dataclass(frozen=True)
class Blind:
    """Facts a function needed and did not get."""

    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return "; ".join(self.reasons)


def questions(controls: Iterable[Control], subject: str) -> tuple[Question, ...]:
    """Every question the controls want put to this kind of subject, each once, in a stable order; no long looks."""
    return tuple(ask for ask in _asked(controls, subject) if not ask.keep)


def long_questions(controls: Iterable[Control]) -> tuple[Question, ...]:
    """The questions that are asked by long looks alone, in a stable order; see `Question.keep`."""
    return tuple(ask for ask in _asked(controls, HOST) if ask.keep)


def _asked(controls: Iterable[Control], subject: str) -> list[Question]:
    asks = {kind.ask.id: kind.ask for c in controls for kind in c.facts() if kind.ask.subject == subject}
    return [asks[name] for name in sorted(asks)]


def subject_of(control: Control) -> frozenset[str]:
    """The kinds of subject (`host`, `platform`) this control's facts are asked of."""
    return frozenset(kind.ask.subject for kind in control.facts())


def assess(control: Control, snapshot: Snapshot, policy: Any) -> list[Finding]:
    """Every rule of the control held against one snapshot.

    A rule whose facts are missing, whose check says nothing, or whose check breaks yields an *unknown* finding:
    the author of a control cannot forget the case. Rules about another kind of subject are not spoken of here.
    """
    host = snapshot.subject
    kind = PLATFORM if host == PLATFORM else HOST
    row = control.id
    found: list[Finding] = []
    for rule in control.rules:
        if not _asked_of(rule) <= {kind}:
            continue
        name, says, usual = rule.id, rule.says, rule.severity
        found += [
            Finding(row, name, says, host, s.subject, s.verdict, s.severity or usual, s.seen, s.todo, s.since)
            for s in see(rule, snapshot, policy)
        ]
    return found


@functools.cache
def _asked_of(rule: Rule) -> frozenset[str]:
    """The kinds of subject that the rule's facts are asked of."""
    return frozenset(fact.ask.subject for fact in rule.needs.values())


def see(rule: Rule, snapshot: Snapshot, policy: Any) -> list[Seen]:
    """What one rule's check says, or one unknown `Seen` with the reason why it could not be checked."""
    given = _arguments(rule.check, rule.needs, snapshot, policy)
    if isinstance(given, Blind):
        return [Seen(Verdict.UNKNOWN, WHOLE_SUBJECT, str(given), _look_again(snapshot))]
    try:
        seen = _seen_before(rule, given, snapshot)
    # A defect in a check must cost only its own rule, and must be seen; it is never allowed to look clean.
    except Exception as e:  # noqa: BLE001
        why = f"the check itself failed ({type(e).__name__}); please report this as a defect"
        return [Seen(Verdict.UNKNOWN, WHOLE_SUBJECT, why)]
    if not seen:
        return [
            Seen(Verdict.UNKNOWN, WHOLE_SUBJECT, "the check said nothing; please report this as a defect")
        ]
    return seen


def not_built(control: Control, host: str) -> Iterator[Finding]:
    """One unknown finding for each promise of the row that nothing looks at yet."""
    for number, promise in enumerate(control.missing, start=1):
        yield Finding(
            control.id,
            f"{control.id}.not_built",
            "Everything this row promises is looked at.",
            host,
            f"promise:{number}",
            Verdict.UNKNOWN,
            Severity.MEDIUM,
            f"not built: {promise}",
            "Keep your own proof for this part until Wardkeep looks at it.",
        )


def remedies(
    control: Control, snapshot: Snapshot, policy: Any
) -> Iterator[tuple[Rule, list[Seen], list[Change] | Cannot | Blind]]:
    """For each rule with failing subjects: the changes that mend it, or why there are none."""
    for rule in control.rules:
        failing = [seen for seen in see(rule, snapshot, policy) if seen.verdict is Verdict.FAIL]
        if not failing:
            continue
        if isinstance(rule.remedy, Cannot):
            yield rule, failing, rule.remedy
            continue
        given = _arguments(rule.remedy, rule.remedy_needs, snapshot, policy, failing)
        yield rule, failing, given if isinstance(given, Blind) else list(rule.remedy(**given))


def drill_steps(control: Control, snapshot: Snapshot, policy: Any) -> list[Step] | Cannot | Blind:
    """The steps that exercise the control on this host, or why there are none."""
    if isinstance(control.drill, Cannot):
        return control.drill
    given = _arguments(control.drill, control.drill_needs, snapshot, policy)
    return given if isinstance(given, Blind) else list(control.drill(**given))


def _arguments(
    function: Callable[..., object],
    needs: Mapping[str, type[Fact]],
    snapshot: Snapshot,
    policy: Any,
    failing: list[Seen] | None = None,
) -> dict[str, Any] | Blind:
    given: dict[str, Any] = {}
    unknown: dict[str, None] = {}
    for name, kind in needs.items():
        fact = snapshot.learn(kind)
        if isinstance(fact, Unknown):
            unknown[fact.reason] = None
        given[name] = fact
    if unknown:
        return Blind(tuple(unknown))
    wanted = _parameters(function)
    if "policy" in wanted:
        given["policy"] = policy
    if "failing" in wanted:
        given["failing"] = failing
    if "now" in wanted:
        given["now"] = snapshot.at
    if "skew" in wanted:
        given["skew"] = snapshot.skew()
    if "today" in wanted:
        given["today"] = snapshot.at.date()
    return given


@functools.cache
def _parameters(function: Callable[..., object]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def _seen_before(rule: Rule, given: Mapping[str, Any], snapshot: Snapshot) -> list[Seen]:
    """What the check says. Checks are pure: the very same facts under the same policy (hosts of one kind give many equal
    answers, which are read once) are judged once. A check that asks for the time is made anew each time,
    one that asks for the day once a day."""
    if "now" in given or "skew" in given:
        return list(rule.check(**given))

    def size() -> int:
        asked = [snapshot.answers.get(kind.ask.id) for kind in rule.needs.values()]
        return 1000 + sum(len(answer.stdout) for answer in asked if answer)

    # The values hold what was given, so that an address in a key cannot come to mean another object.
    key = [id(value) for name, value in given.items() if name != "today"]
    made = _judged.get(
        (rule.check, given.get("today"), *key), size, lambda: (given, list(rule.check(**given)))
    )
    return made[1]  # type: ignore[index,no-any-return]


def _look_again(snapshot: Snapshot) -> str:
    return f"Run `wardkeep check {snapshot.subject}` again once the cause is mended."
