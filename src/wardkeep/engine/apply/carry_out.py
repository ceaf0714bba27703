"""Carrying out a plan as a durable workflow: begin, look, each change prepared, made and confirmed, look again, end.

Every step is recorded when done; a process that dies in the middle is followed by another that goes on behind a higher
token. What fails is taken back in reverse. Nothing that a host does raises here: it is in the outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from wardkeep.core.control import Control
from wardkeep.core.facts import HOST
from wardkeep.engine.apply import host_scripts as scripts
from wardkeep.engine.apply.hand import Connect, Done, Hand
from wardkeep.engine.apply.host_scripts import FOLDER, Place
from wardkeep.engine.apply.probing import Attempts, probe, wrong_of
from wardkeep.engine.apply.records import Stored, begin, end, find_plan
from wardkeep.engine.assess import questions
from wardkeep.engine.cycle import completed, record_completed
from wardkeep.engine.durable import Json, Run
from wardkeep.engine.hosts import find_host
from wardkeep.engine.plans.document import ActChange, AnyChange, FileChange, Plan, UpgradeChange
from wardkeep.engine.plans.gather import make_plan, rules_of
from wardkeep.engine.platform import Platform, timestamp
from wardkeep.fleet import connect as fleet_connect
from wardkeep.fleet.attempts import attempt_all

HOST_CHANGED = "the host changed since the plan, plan again"
UPGRADE_TIMEOUT = 1800.0  # seconds for one transaction of apt
Trace = Callable[[str], None]


@dataclass
class Site:
    """What the workflow needs besides its own arguments; the tests give other connectors and folders."""

    platform: Platform
    connecting: Connect = fleet_connect
    folder: str = FOLDER
    confirm: int = scripts.CONFIRM
    attempts: Attempts = attempt_all
    trace: Trace = lambda _: None  # told of each step before, during (done, not recorded) and after

    def step(self, run: Run, name: str, act: Callable[[], Json]) -> Json:
        """A step of the workflow `run`, traced."""

        def traced() -> Json:
            result = act()
            self.trace(f"{name}: during")
            return result

        self.trace(f"{name}: before")
        result = run.step(name, traced)
        self.trace(f"{name}: after")
        return result


@dataclass
class Applying:
    """One execution of the workflow."""

    site: Site
    run: Run
    hand: Hand
    stored: Stored
    id: str
    actor: str
    undoes: str = ""
    done: list[dict[str, Json]] = field(default_factory=list)

    @property
    def plan(self) -> Plan:
        return self.stored.plan

    def step(self, name: str, act: Callable[[], Json]) -> Json:
        return self.site.step(self.run, name, act)

    def place(self, number: int) -> Place:
        token = self.hand.fence.token
        return Place(self.undoes or self.id, number, token, self.site.folder, self.site.confirm)

    def carry_out(self) -> Json:
        self.step("begin", self._begin)
        before = cast(dict[str, Json], self.step("look", lambda: self._look(compare=True)))
        if before["problem"]:
            return self._end("refused", str(before["problem"]), before, before)
        failed = ""
        for number, change in enumerate(self.plan.changes, start=1):
            failed = self._make(number, change)
            if failed:
                break
        if failed:
            undone = self._take_back(range(len(self.done), 0, -1), later=False)
            after = cast(dict[str, Json], self.step("look again", lambda: self._look(compare=False)))
            state = "undone" if undone else "failed"
            return self._end(state, failed, before, after)
        after = cast(dict[str, Json], self.step("look again", lambda: self._look(compare=False)))
        return self._end("applied", self._summary(after), before, after)

    def take_back(self) -> Json:
        """Undo what an earlier apply did, the last change first."""
        self.step("begin", self._begin)
        before = cast(dict[str, Json], self.step("look", lambda: self._look(compare=False)))
        undone = self._take_back(range(len(self.plan.changes), 0, -1), later=True)
        after = cast(dict[str, Json], self.step("look again", lambda: self._look(compare=False)))
        said = "; ".join(str(one["said"]) for one in self.done if one["said"])
        return self._end("undone" if undone else "failed", said or "taken back", before, after)

    def _begin(self) -> Json:
        begin(self.site.platform, self.id, self.stored, self.actor, self.undoes, self.hand.guard)
        return None

    def _make(self, number: int, change: AnyChange) -> str:
        """Make one change; "" if that went well, else what went wrong."""
        place, outcome, probed = self.place(number), "made", cast(list[Json], [])
        content = change.content.encode() if isinstance(change, FileChange) else b""
        done = self._act(f"prepare {number}", scripts.prepare(place, change), stdin=content)
        if done.well:
            timeout = UPGRADE_TIMEOUT if isinstance(change, UpgradeChange) else 200.0
            done = self._act(f"make {number}", scripts.make(place, change), timeout=timeout)
            if done.exit is None:
                done = self._find_out(number, place, change)
            probed, wrong = self._probe(number, change) if done.well else ([], "")
            if wrong:
                done = Done(scripts.PROBE_FAILED, wrong)
            if done.well and change.confirmed:
                # Over a new connection: the old one may live on where no new one could be made.
                within = self.site.confirm / 2
                done = self._act(f"confirm {number}", scripts.confirm(place, change), reach=within)
                outcome = "confirmed"
        self.done.append(
            {
                "number": number,
                "says": change.says,
                "outcome": outcome if done.well else "failed",
                "said": "" if done.well else done.why,
                **({"probes": probed} if probed else {}),
            }
        )
        return "" if done.well else f"{change.says}: {done.why}"

    def _probe(self, number: int, change: AnyChange) -> tuple[list[Json], str]:
        """Try from here what the new rules foretell: each probe as JSON data, and what went wrong ("" for nothing)."""
        if not isinstance(change, ActChange) or not change.probes:
            return [], ""

        def act() -> Json:
            self.hand.guard()
            return self.hand.do(lambda _: probe(change.probes, self.hand.host, self.site.attempts))

        probed = cast(list[Json], self.step(f"probe {number}", act))
        return probed, wrong_of(cast(list[dict[str, str]], probed))

    def _find_out(self, number: int, place: Place, change: AnyChange) -> Done:
        """The connection broke while the change was made: look, until the host must have gone back by itself."""
        within = self.site.confirm + 30.0
        seen = self._act(f"find out {number}", scripts.look(place), reach=within)
        state = seen.output.strip()
        if state == "made":
            return Done(0, "")
        if state == "undone":
            return Done(scripts.TAKEN_BACK, "")
        if state == "prepared":
            # It may be running still, or have died: making it again is safe, and waits for the host's lock.
            timeout = UPGRADE_TIMEOUT if isinstance(change, UpgradeChange) else 200.0
            return self._act(f"make {number} again", scripts.make(place, change), timeout=timeout)
        return seen if seen.exit is None else Done(scripts.ACT_FAILED, "nothing of it is there")

    def _take_back(self, numbers: Sequence[int], *, later: bool) -> bool:
        well = True
        for number in numbers:
            change = self.plan.changes[number - 1]
            script = scripts.take_back(self.place(number), change, later=later)
            timeout = UPGRADE_TIMEOUT if isinstance(change, UpgradeChange) else 200.0
            done = self._act(f"undo {number}", script, timeout=timeout, reach=self.site.confirm + 30.0)
            well = well and done.well
            said = "" if done.well else done.why
            if done.well and not scripts.has_undo(change):
                said = "there was nothing to take back"
            self.done.append(
                {
                    "number": number,
                    "says": f"Take back: {change.says}",
                    "outcome": "undone" if done.well else "failed",
                    "said": said,
                }
            )
        return well

    def _act(
        self, name: str, script: str, *, stdin: bytes = b"", timeout: float = 200.0, reach: float = 0.0
    ) -> Done:
        def act() -> Json:
            done = (
                self.hand.reach(script, reach)
                if reach
                else self.hand.act(script, stdin=stdin, timeout=timeout)
            )
            return [done.exit, done.said, done.output[:2000]]

        exit, said, output = cast(tuple[int | None, str, str], self.step(name, act))
        if exit == scripts.FENCED:
            # The host knows of a newer worker than the database showed us a moment ago.
            self.hand.guard()
        return Done(exit, said, output)

    def _controls(self) -> list[Control]:
        return [c for c in self.site.platform.controls if c.id in self.plan.controls]

    def _look(self, *, compare: bool) -> Json:
        """Observe, assess and record. With `compare`: is the host still the one that the plan was made for?"""
        platform, controls = self.site.platform, self._controls()
        self.hand.renew()
        (snapshot,) = completed(platform, [self.hand.ask(questions(controls, HOST))], controls)
        checked, _ = record_completed(platform, self.actor, [snapshot], controls, self.hand.guard)
        rules = rules_of(self.plan)
        verdicts: dict[str, Json] = {rule: {} for rule in rules}
        for finding in checked[0].findings:
            wanted = rules.get(finding.rule)
            if wanted is not None and (not wanted or finding.subject in (*wanted, "host")):
                cast(dict[str, Json], verdicts[finding.rule])[finding.subject] = finding.verdict.value
        problem = ""
        if compare:
            problem = snapshot.problem
            if not problem and platform.config.digest() != self.plan.policy:
                problem = "the policy changed since the plan, plan again"
            if not problem:
                now = self.hand.do(
                    lambda connector: make_plan(connector, controls, snapshot, platform.config, timestamp())
                )
                problem = "" if now.acts == self.plan.acts else HOST_CHANGED
        return {"entry": checked[0].entry, "problem": problem, "verdicts": verdicts}

    def _summary(self, after: dict[str, Json]) -> str:
        count = len(self.plan.changes)
        verdicts = cast(dict[str, dict[str, str]], after["verdicts"])
        # A subject that is no longer spoken of (an account that is gone, say) no longer fails either.
        still = [rule for rule, seen in verdicts.items() if any(v != "pass" for v in seen.values())]
        text = f"{count} change{'s' * (count != 1)} made"
        return text + (f"; not passing yet: {', '.join(sorted(still))}" if still else "")

    def _end(self, state: str, summary: str, before: dict[str, Json], after: dict[str, Json]) -> Json:
        body: dict[str, Any] = {
            "summary": summary,
            "changes": self.done,
            "before": {"entry": before["entry"], "verdicts": before["verdicts"]},
            "after": {"entry": after["entry"], "verdicts": after["verdicts"]},
            "undoes": self.undoes,
        }

        def finish() -> Json:
            end(self.site.platform, self.id, self.stored, self.actor, state, body, self.hand.guard)
            return None

        self.step("end", finish)
        return {"id": self.id, "plan": self.stored.id, "host": self.plan.host, "state": state, **body}


def apply_workflow(site: Site) -> Callable[..., Json]:
    """The workflow `apply(plan, actor)`; its id is the apply's."""

    def apply(run: Run, plan: str, actor: str) -> Json:
        return _execute(site, run, plan, actor, "", Applying.carry_out)

    return apply


def undo_workflow(site: Site) -> Callable[..., Json]:
    """The workflow `undo(plan, actor, apply)`: takes back what that apply did."""

    def undo(run: Run, plan: str, actor: str, apply: str) -> Json:
        return _execute(site, run, plan, actor, apply, Applying.take_back)

    return undo


def _execute(
    site: Site, run: Run, plan: str, actor: str, undoes: str, how: Callable[[Applying], Json]
) -> Json:
    stored = find_plan(site.platform, plan)
    host = find_host(site.platform, stored.plan.host)
    with (
        run.hold(f"host:{host.name}") as fence,
        Hand(host, run.worker, fence, site.connecting) as hand,
    ):
        return how(Applying(site, run, hand, stored, run.id, actor, undoes))
