"""From failing findings and their remedies to a plan: settings gathered per file, upgrades into one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from wardkeep.core.changes import Act, Blocked, Cannot, Change, Setting, Upgrade
from wardkeep.core.control import Control
from wardkeep.core.facts import Snapshot
from wardkeep.core.findings import Verdict
from wardkeep.engine.assess import Blind, assess, remedies
from wardkeep.engine.plans.asking import Present, Simulated, ask_files, simulate_upgrade
from wardkeep.engine.plans.document import (
    ActChange,
    AnyChange,
    FileChange,
    NoRemedy,
    Plan,
    UpgradeChange,
    Withheld,
    digest,
)
from wardkeep.engine.plans.kept_file import diff, read_kept
from wardkeep.fleet import Connector

# Files that programs refuse to read when others may: everything else is for all to read.
MODES = {"/etc/sudoers.d/": "440"}


class Policies(Protocol):
    """What a plan needs of the configuration."""

    def policy(self, control: Control, host: str = "") -> Any: ...
    def digest(self) -> str: ...


@dataclass
class Gathered:
    """The remedies of one host, sorted by what they are; nothing has been asked of the host yet."""

    order: list[tuple[str, str]] = field(
        default_factory=list
    )  # ("file", path) | ("act", script) | ("upgrade", "")
    settings: dict[str, list[Setting]] = field(default_factory=dict)
    acts: dict[str, list[Act]] = field(default_factory=dict)
    upgrades: list[Upgrade] = field(default_factory=list)
    withheld: list[Withheld] = field(default_factory=list)
    cannot: list[NoRemedy] = field(default_factory=list)
    unknown: list[NoRemedy] = field(default_factory=list)

    def add(self, change: Change) -> None:
        match change:
            case Setting():
                self._place("file", change.path)
                self.settings.setdefault(change.path, []).append(change)
            case Act():
                self._place("act", change.script)
                self.acts.setdefault(change.script, []).append(change)
            case Upgrade():
                self._place("upgrade", "")
                self.upgrades.append(change)
            case Blocked():
                self.withheld.append(
                    Withheld(
                        says=change.says,
                        reason=change.reason,
                        todo=change.todo,
                        rule=change.why,
                        subject=change.subject,
                    )
                )

    def _place(self, kind: str, name: str) -> None:
        if (kind, name) not in self.order:
            self.order.append((kind, name))


def gather(controls: Sequence[Control], snapshot: Snapshot, policies: Policies) -> Gathered:
    """Every remedy of what fails in the snapshot; what has none, and what could not be looked at, with the reasons."""
    found = Gathered()
    for control in controls:
        policy = policies.policy(control, snapshot.subject)
        for rule, failing, answer in remedies(control, snapshot, policy):
            subjects = tuple(seen.subject for seen in failing)
            if isinstance(answer, Cannot | Blind):
                reason = answer.why if isinstance(answer, Cannot) else str(answer)
                found.cannot.append(NoRemedy(rule=rule.id, says=rule.says, reason=reason, subjects=subjects))
                continue
            for change in answer:
                found.add(change)
        for finding in assess(control, snapshot, policy):
            if finding.verdict is Verdict.UNKNOWN:
                found.unknown.append(
                    NoRemedy(
                        rule=finding.rule, says=finding.says, reason=finding.seen, subjects=(finding.subject,)
                    )
                )
    return found


async def make_plan(
    connector: Connector, controls: Sequence[Control], snapshot: Snapshot, policies: Policies, created: str
) -> Plan:
    """The plan for one host from what was just observed there. Asks the host for its files and for apt's opinion.

    Raises Unavailable when the host cannot be asked any more.
    """
    found = gather(controls, snapshot, policies)
    present = await ask_files(connector, sorted(found.settings))
    changes: list[AnyChange] = []
    for kind, name in found.order:
        if kind == "file":
            if made := _file(name, found.settings[name], present[name], found.withheld):
                changes.append(made)
        elif kind == "act":
            changes.append(_act(found.acts[name]))
        else:
            packages = _packages(found.upgrades, found.withheld)
            if packages:
                simulated = await simulate_upgrade(connector, packages)
                changes += _upgrade(packages, found.upgrades, simulated, found.withheld)
    return Plan(
        host=snapshot.subject,
        created=created,
        controls=tuple(control.id for control in controls),
        policy=policies.digest(),
        changes=tuple(changes),
        withheld=tuple(found.withheld),
        cannot=tuple(found.cannot),
        unknown=tuple(found.unknown),
    )


def _file(
    path: str, settings: Sequence[Setting], present: Present, withheld: list[Withheld]
) -> FileChange | None:
    lines: dict[str, Setting] = {}
    for setting in settings:
        known = lines.setdefault(setting.key, setting)
        if known.line != setting.line:
            withheld.append(
                Withheld(
                    says=f"Set {setting.line} in {path}",
                    reason=f"{known.why} wants `{known.line}` there",
                    todo="Change the policy of one of the two rules.",
                    rule=setting.why,
                    subject=setting.subject,
                )
            )
    kept = read_kept(present.text or "")
    after = kept.with_settings((s.key, s.why, s.line) for s in lines.values()).text()
    if after == present.text:
        # The line stands there and the rule fails all the same: writing it again would mend nothing.
        withheld.extend(
            Withheld(
                says=f"Set {s.line} in {path}",
                reason="the line is there already, and the rule fails all the same",
                todo="Look for what overrides it, or put the file into force by hand.",
                rule=s.why,
                subject=s.subject,
            )
            for s in lines.values()
        )
        return None
    mode = next((mode for folder, mode in MODES.items() if path.startswith(folder)), "644")
    return FileChange(
        path=path,
        before="" if present.text is None else digest(present.text),
        after=digest(after),
        content=after,
        diff=diff(path, present.text, after),
        mode=mode if present.text is None else present.mode,
        check=_once(s.check for s in settings),
        activate=_once(s.activate for s in settings),
        rules=_once(s.why for s in settings),
        subjects=_once(s.subject for s in settings),
    )


def _act(acts: Sequence[Act]) -> ActChange:
    first = acts[0]
    return ActChange(
        says=first.says,
        script=first.script,
        undo=first.undo,
        cuts_access=any(act.cuts_access for act in acts),
        probes=tuple(dict.fromkeys(probe for act in acts for probe in act.probes)),
        packets=first.packets,
        trial=first.trial,
        rules=_once(act.why for act in acts),
        subjects=_once(act.subject for act in acts),
    )


def _packages(upgrades: Sequence[Upgrade], withheld: list[Withheld]) -> tuple[tuple[str, str, str], ...]:
    wanted: dict[str, tuple[str, str, str]] = {}
    for upgrade in upgrades:
        for package in upgrade.packages:
            known = wanted.setdefault(package[0], package)
            if known[2] != package[2]:
                withheld.append(
                    Withheld(
                        says=f"Upgrade {package[0]} to {package[2]}",
                        reason=f"another rule wants {known[2]}",
                        todo="Apply this plan, then plan again.",
                        rule=upgrade.why,
                        subject=upgrade.subject,
                    )
                )
    return tuple(wanted[name] for name in sorted(wanted))


def _upgrade(
    packages: tuple[tuple[str, str, str], ...],
    upgrades: Sequence[Upgrade],
    simulated: Simulated,
    withheld: list[Withheld],
) -> list[AnyChange]:
    rules, subjects = _once(u.why for u in upgrades), _once(u.subject for u in upgrades)
    reason, todo = "", ""
    if simulated.problem:
        reason, todo = (
            f"apt would not: {simulated.problem}",
            "Mend the package state by hand, then plan again.",
        )
    elif simulated.removes:
        reason = f"apt would remove {', '.join(simulated.removes)}"
        todo = "Wardkeep removes no package: decide by hand, then plan again."
    if reason:
        says = f"Upgrade {', '.join(name for name, _, _ in packages)}"
        withheld.extend(
            Withheld(says=says, reason=reason, todo=todo, rule=rule, subject=subjects[0] if subjects else "")
            for rule in rules
        )
        return []
    named = {name for name, _, _ in packages}
    return [
        UpgradeChange(
            packages=packages,
            also=tuple(move for move in simulated.moves if move[0] not in named),
            restarts=_once(unit for u in upgrades for unit in u.restarts),
            rules=rules,
            subjects=subjects,
        )
    ]


def _once(values: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))


def rules_of(plan: Plan) -> Mapping[str, tuple[str, ...]]:
    """Rule → the subjects its changes mean to mend; none for all that it speaks of."""
    found: dict[str, tuple[str, ...]] = {}
    for change in plan.changes:
        for rule in change.rules:
            found[rule] = tuple(dict.fromkeys((*found.get(rule, ()), *change.subjects)))
    return found
