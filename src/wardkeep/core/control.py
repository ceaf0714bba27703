"""The shape of a control: a row of the matrix with its rules, remedies and drill, as pure functions.

A check is a generator function whose *parameter annotations are the facts it needs*: nothing else says what to ask a host.
So a fact that could not be learnt blinds exactly the rules that need it, and the engine, not the author, writes
their unknown findings. A parameter named `policy` receives the control's policy; in a remedy, `failing` receives
the failing `Seen`s of its rule; `now` receives the snapshot's time (UTC),
`today` its day: a check that needs no more than the day is made once for equal facts, not for every host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from wardkeep.core.changes import Cannot, Change, Step, cannot
from wardkeep.core.facts import Fact
from wardkeep.core.findings import Citation, Seen, Severity

Check = Callable[..., Iterator[Seen]]
Remedy = Callable[..., Iterator[Change]]
Drill = Callable[..., Iterator[Step]]
NOT_FACTS = frozenset({"policy", "failing", "now", "today", "skew", "return"})


@dataclass(frozen=True)
class NoPolicy:
    """For a control that has nothing to configure."""


def needs(function: Callable[..., Any]) -> dict[str, type[Fact]]:
    """Parameter name → fact type, read from the annotations."""
    hints = get_type_hints(function)
    return {name: kind for name, kind in hints.items() if name not in NOT_FACTS}


@dataclass(eq=False)
class Rule:
    """One sentence that is true on a healthy system, how to check it, and how to make it true."""

    id: str
    says: str
    severity: Severity
    serves: tuple[Citation, ...]
    check: Check
    needs: Mapping[str, type[Fact]]
    remedy_needs: Mapping[str, type[Fact]] = field(default_factory=dict)
    remedy: Remedy | Cannot = field(default=Cannot("nobody has written how to mend this yet"))

    def mend(self, function: Remedy) -> Remedy:
        """Decorator: the changes that make the rule true, for the failing subjects only."""
        self.remedy, self.remedy_needs = function, needs(function)
        return function

    def cannot_mend(self, why: str) -> None:
        """State why no change of ours can make the rule true."""
        self.remedy = cannot(why)


@dataclass(eq=False)
class Control:
    """A row of the matrix. `missing` lists, one sentence each, what the row promises and nothing here looks at yet:
    each becomes an unknown finding, so that a half-built row can never look whole."""

    id: str
    policy: type[Any] = NoPolicy
    rules: list[Rule] = field(default_factory=list)
    missing: tuple[str, ...] = ()
    drill: Drill | Cannot = field(default=Cannot("not built"))
    drill_needs: Mapping[str, type[Fact]] = field(default_factory=dict)

    def rule(self, says: str, *, severity: Severity, serves: Mapping[str, str]) -> Callable[[Check], Rule]:
        """Decorator: add a rule. The function's name is the rule's; `serves` maps paragraph → because."""

        def add(check: Check) -> Rule:
            name = getattr(check, "__name__", "")
            cited = tuple(Citation(paragraph, "", because) for paragraph, because in serves.items())
            made = Rule(f"{self.id}.{name}", says, severity, cited, check, needs(check))
            self.rules.append(made)
            return made

        return add

    def drilled_by(self, function: Drill) -> Drill:
        """Decorator: the steps that prove the control by exercising it."""
        self.drill, self.drill_needs = function, needs(function)
        return function

    def cannot_drill(self, why: str) -> None:
        self.drill = cannot(why)

    def facts(self) -> set[type[Fact]]:
        """Every kind of fact that any verb of this control asks for."""
        kinds = {kind for rule in self.rules for kind in (*rule.needs.values(), *rule.remedy_needs.values())}
        return kinds | set(self.drill_needs.values())

    @property
    def verbs(self) -> tuple[str, ...]:
        """The verbs that exist, in the order observe, assess, remediate, drill."""
        present = []
        if self.rules:
            present += ["observe", "assess"]
        if any(not isinstance(rule.remedy, Cannot) for rule in self.rules):
            present.append("remediate")
        if not isinstance(self.drill, Cannot):
            present.append("drill")
        return tuple(present)
