"""Drills: a control proven by exercising it. Durable: what a step leaves on a host is undone, also after a kill.

Steps tried from here (logins, ports) change nothing on the host and are simply tried again after a kill. A step on the host first notes
there how to undo it; the undo runs whatever happened, and before the step is tried a second time.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from typing import Any, cast

from sqlalchemy import delete, insert

from wardkeep.core.changes import NOT_TRIED, Cannot, OnHost, PlantFlaw, StepResult, TryConnect, TryLogin
from wardkeep.core.control import Control
from wardkeep.core.errors import BadInput, WardkeepError
from wardkeep.core.facts import HOST
from wardkeep.core.findings import Verdict
from wardkeep.engine.apply.carry_out import Site
from wardkeep.engine.apply.hand import Done, Hand
from wardkeep.engine.apply.host_scripts import Place, fenced
from wardkeep.engine.apply.probing import Attempts
from wardkeep.engine.assess import Blind, drill_steps, questions
from wardkeep.engine.cycle import completed
from wardkeep.engine.durable import Json, Run
from wardkeep.engine.flaw_drill import Planted, judge, planted
from wardkeep.engine.hosts import find_host
from wardkeep.engine.platform import Platform
from wardkeep.engine.policy_record import record_policy
from wardkeep.fleet import Host
from wardkeep.fleet.attempts import attempt_all
from wardkeep.store.schema import drills

FromHere = TryLogin | TryConnect
KINDS: dict[str, type[TryLogin] | type[TryConnect] | type[OnHost]] = {
    "login": TryLogin,
    "connect": TryConnect,
    "on_host": OnHost,
    "planted": Planted,
}
_END = "drill-exit:"  # the line after the output of a step, with its exit status


@dataclass(frozen=True)
class Drilled:
    """The outcome of one control's drill on one host. `seconds` is how long it took as a whole."""

    control: str
    host: str
    verdict: str
    summary: str
    seconds: int
    steps: tuple[StepResult, ...]
    entry: int | None  # in the ledger; None when it could not even begin


@dataclass
class Drilling:
    """One execution of the workflow."""

    site: Site
    run: Run
    hand: Hand
    control: Control
    host: Host
    actor: str
    attempts: Attempts
    results: list[dict[str, Any]] = field(default_factory=list)

    def step(self, name: str, act: Callable[[], Json]) -> Json:
        return self.site.step(self.run, name, act)

    def carry_out(self) -> Json:
        begun = cast(
            list[int], self.step("begin", lambda: [int(time.time()), self.site.platform.ledger.size])
        )
        planned = cast(dict[str, Any], self.step("steps", self._steps))
        if planned["problem"]:
            return self._end(begun, str(planned["problem"]))
        steps = [KINDS[one.pop("kind")](**one) for one in planned["steps"]]
        numbered = enumerate(steps, start=1)
        for here, group in groupby(numbered, key=lambda pair: not isinstance(pair[1], OnHost)):
            members = list(group)
            if here:
                first = members[0][0]
                tries = [cast(FromHere, step) for _, step in members]
                tried = self.step(f"try {first}", partial(self._try, tries))
                self.results += cast(list[dict[str, Any]], tried)
            else:
                for number, step in members:
                    self._on_host(number, cast(OnHost, step))
        return self._end(begun, "")

    def _steps(self) -> Json:
        asked = self.hand.ask(questions([self.control], HOST))
        (snapshot,) = completed(self.site.platform, [asked], [self.control])
        record_policy(self.site.platform, self.actor)
        policy = self.site.platform.config.policy(self.control, self.host.name)
        found = drill_steps(self.control, snapshot, policy)
        if isinstance(found, Cannot | Blind):
            return {"problem": found.why if isinstance(found, Cannot) else str(found), "steps": []}
        names: dict[type, str] = {kind: name for name, kind in KINDS.items()}
        try:
            made = [
                planted(self.site.platform, step, snapshot) if isinstance(step, PlantFlaw) else step
                for step in found
            ]
        except WardkeepError as e:
            return {"problem": e.line(), "steps": []}
        return {"problem": "", "steps": [{"kind": names[type(step)], **asdict(step)} for step in made]}

    def _try(self, steps: Sequence[FromHere]) -> Json:
        self.hand.guard()

        async def collect() -> list[StepResult]:
            return [result async for result in self.attempts(steps, self.host)]

        return [plain_result(result) for result in self.hand.do(lambda _: collect())]

    def _on_host(self, number: int, step: OnHost) -> None:
        place = Place(self.run.id, number, self.hand.fence.token, self.site.folder)

        def act() -> Json:
            began = time.monotonic()
            done = self.hand.act(fenced(place, _exercise(step)), timeout=step.timeout + 130.0)
            verdict, seen = _judge(step, done)
            if isinstance(step, Planted) and verdict == Verdict.PASS.value:
                verdict, seen = judge(self.site.platform, step, done.output.rpartition(_END)[0])
            return [verdict, seen, round((time.monotonic() - began) * 1000)]

        def undo() -> Json:
            done = self.hand.reach(fenced(place, _UNDO), 60)
            return [done.well, "" if done.well else done.why]

        verdict, seen, ms = cast(tuple[str, str, int], self.step(f"try {number}", act))
        undone, why = True, ""
        if step.undo:
            undone, why = cast(tuple[bool, str], self.step(f"undo {number}", undo))
        if not undone:
            seen = f"{seen} What it left behind could not be undone: {why}"
        self.results.append(
            {
                "step": step.says,
                "proves": step.proves,
                "verdict": verdict,
                "seen": seen,
                "ms": ms,
                "undone": undone,
                "details": {},
            }
        )

    def _end(self, begun: list[int], problem: str) -> Json:
        verdict, summary = end_of(self.results, problem)

        def finish() -> Json:
            seconds = max(0, int(time.time()) - begun[0])
            body: dict[str, Any] = {
                "run": self.run.id,
                "verdict": verdict.value,
                "summary": summary,
                "seconds": seconds,
                "steps": self.results,
            }
            entry = self._note(body, begun[1])
            return {"control": self.control.id, "host": self.host.name, "entry": entry, **body}

        return self.step("end", finish)

    def _note(self, body: dict[str, Any], since: int) -> int:
        """Put the outcome on record, once: the process may have died right after the ledger had it."""
        platform, where = self.site.platform, (self.control.id, self.host.name)
        noted = [e["index"] for e in platform.ledger.read(since) if e["body"].get("run") == self.run.id]
        if noted:
            _keep(platform, *where, body, int(noted[0]))
            return int(noted[0])
        return note_drill(platform, *where, self.actor, body, self.hand.guard)


def end_of(results: Sequence[Mapping[str, Any]], problem: str) -> tuple[Verdict, str]:
    """What a drill's steps come to, and that in a few words. `problem` is why it could not begin."""
    verdicts = [one["verdict"] for one in results]
    left = sum(not one["undone"] for one in results)
    if "fail" in verdicts or left:
        verdict = Verdict.FAIL
    elif problem or not verdicts or "unknown" in verdicts:
        verdict = Verdict.UNKNOWN
    else:
        verdict = Verdict.PASS
    counts = ", ".join(f"{verdicts.count(v.value)} {v.value}" for v in Verdict if v.value in verdicts)
    summary = problem or counts or "the drill had no step to try"
    return verdict, summary + (f"; {left} not undone" if left else "")


def drill_workflow(site: Site, attempts: Attempts = attempt_all) -> Callable[..., Json]:
    """The workflow `drill(control, host, actor)`."""

    def drill(run: Run, control: str, host: str, actor: str) -> Json:
        known = {c.id: c for c in site.platform.controls}
        where = find_host(site.platform, host)
        with run.hold(f"host:{host}") as fence, Hand(where, run.worker, fence, site.connecting) as hand:
            return Drilling(site, run, hand, known[control], where, actor, attempts).carry_out()

    return drill


def note_drill(
    platform: Platform, control: str, host: str, actor: str, body: dict[str, Any], guard: Callable[[], None]
) -> int:
    """Put a drill's outcome into the ledger, then into the state as the last one of this row and host."""
    subject = {"host": host, "control": control}
    entry = platform.record("drill", actor, body, subject=subject, guard=guard)
    _keep(platform, control, host, body, entry)
    return entry


def _keep(platform: Platform, control: str, host: str, body: dict[str, Any], entry: int) -> None:
    row = {
        "control": control,
        "host": host,
        "at": datetime.now(UTC),
        "verdict": body["verdict"],
        "seconds": body["seconds"],
        "summary": body["summary"],
        "entry": entry,
    }
    with platform.store.begin() as connection:
        connection.execute(delete(drills).where(drills.c.control == control, drills.c.host == host))
        connection.execute(insert(drills).values(**row))


def with_drill(controls: Sequence[Control], named: bool) -> Iterator[Control]:
    """The controls that can be drilled. Raises BadInput when one was named that cannot, with its reason."""
    for control in controls:
        if not isinstance(control.drill, Cannot):
            yield control
        elif named:
            raise BadInput(f"`{control.id}` has no drill: {control.drill.why}", where="drill")


def drilled(outcome: dict[str, Any]) -> Drilled:
    """The workflow's outcome as the object it stands for."""
    steps = tuple(
        StepResult(s["step"], s["proves"], s["verdict"], s["seen"], s["ms"] / 1000, s["undone"], s["details"])
        for s in outcome["steps"]
    )
    return Drilled(
        outcome["control"],
        outcome["host"],
        outcome["verdict"],
        outcome["summary"],
        outcome["seconds"],
        steps,
        outcome["entry"],
    )


def plain_result(result: StepResult) -> dict[str, Any]:
    """A step's result as JSON data, its time in whole milliseconds."""
    made = asdict(result)
    made["ms"] = round(made.pop("seconds") * 1000)
    return made


_UNDO = """[ -e "$c/begun" ] || exit 0
[ -e "$c/undone" ] && exit 0
( umask 022; sh "$c/undo.sh" ) 9>&- || exit 1
: >"$c/undone" && sync "$c/undone"
"""


def _exercise(step: OnHost) -> str:
    """Run the step there after noting its undo; a step that was begun before is undone first."""
    undo = shlex.quote(step.undo or ":")
    return f"""mkdir -p "$c" || exit 74
if [ -e "$c/begun" ] && [ ! -e "$c/undone" ]; then sh "$c/undo.sh" >/dev/null 2>&1 9>&- || exit 74; fi
rm -f "$c/undone"
printf '%s\\n' {undo} >"$c/undo.sh" && sync "$c/undo.sh" && : >"$c/begun" && sync "$c/begun" || exit 74
( umask 022; timeout {step.timeout} sh -c {shlex.quote(step.script)} ) 9>&-
printf '\\n{_END}%s\\n' $?
"""


def _judge(step: OnHost, done: Done) -> tuple[str, str]:
    text, mark, status = done.output.rpartition(_END)
    if done.exit != 0 or not mark or not status.strip().isdigit():
        return (
            Verdict.UNKNOWN.value,
            f"could not be tried: {done.why if done.exit != 0 else 'it did not say how it ended'}",
        )
    ended, text = int(status), text.strip()
    said = " ".join((text or done.said).split())[-200:]
    if ended == 124 and step.expect_exit != 124:
        return Verdict.UNKNOWN.value, f"did not end within {step.timeout} s"
    if ended == NOT_TRIED and step.expect_exit != NOT_TRIED:
        return Verdict.UNKNOWN.value, f"could not be tried there{': ' if said else ''}{said}"
    if ended != step.expect_exit:
        return Verdict.FAIL.value, f"exit status {ended}, expected {step.expect_exit}: {said}"
    if step.expect_text and step.expect_text not in text:
        return Verdict.FAIL.value, f"`{step.expect_text}` was expected and not said: {said}"
    # Of a long output, the line that was waited for.
    proof = next((line for line in text.splitlines() if step.expect_text and step.expect_text in line), said)
    return Verdict.PASS.value, " ".join(proof.lstrip("|").split())[
        -200:
    ] or f"exit status {ended}, as expected"
