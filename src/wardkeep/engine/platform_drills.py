"""Drills of what the platform itself promises: no host is touched, nothing is left behind, so nothing has to be undone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from wardkeep.core.changes import Cannot, PlantAdvisory, SendTest, StepResult
from wardkeep.core.control import Control
from wardkeep.core.facts import PLATFORM
from wardkeep.core.findings import Verdict
from wardkeep.engine.alerts import Send, send_test
from wardkeep.engine.assess import Blind, drill_steps, questions, subject_of
from wardkeep.engine.channels import send
from wardkeep.engine.drills import Drilled, drilled, end_of, note_drill, plain_result
from wardkeep.engine.durable import Durable
from wardkeep.engine.flaw_review.drilling import try_advisory
from wardkeep.engine.platform import Platform
from wardkeep.engine.platform_facts import ask_platform
from wardkeep.engine.workers import drill_host
from wardkeep.fleet import Host


def is_about_platform(control: Control) -> bool:
    """Whether the control asks the platform alone: its drill then happens once, not on each host."""
    return subject_of(control) == {PLATFORM}


def drills_of(
    controls: Sequence[Control], hosts: Sequence[Host], *, platform: bool
) -> Iterator[tuple[Control, Host | None]]:
    """Every drill there is of these: each control on each host, or once on the platform itself (None) if that is wanted."""
    for control in controls:
        if platform and is_about_platform(control):
            yield control, None
    for host in hosts:
        yield from ((control, host) for control in controls if not is_about_platform(control))


def drill(platform: Platform, durable: Durable, control: Control, host: Host | None, actor: str) -> Drilled:
    """Exercise the control where it belongs and put the outcome on record. Raises WardkeepError when it cannot begin."""
    if host is None:
        return drill_platform(platform, control, actor)
    return drill_host(durable, control, host, actor)


def drill_platform(platform: Platform, control: Control, actor: str, *, send: Send = send) -> Drilled:
    """Exercise a control of the platform itself. Killed in the middle it is simply done again."""
    began, run = time.time(), f"d-platform-{time.time_ns():x}"
    steps = drill_steps(
        control,
        ask_platform(platform, questions([control], PLATFORM)),
        platform.config.policy(control, PLATFORM),
    )
    problem = steps.why if isinstance(steps, Cannot) else str(steps) if isinstance(steps, Blind) else ""
    results = []
    for step in [] if isinstance(steps, Cannot | Blind) else steps:
        at = time.monotonic()
        if isinstance(step, SendTest):
            why = send_test(platform, step.channel, actor, send=send)
            verdict, seen = (Verdict.FAIL, why) if why else (Verdict.PASS, "it was taken")
        elif isinstance(step, PlantAdvisory):
            verdict, seen = try_advisory(platform, step.expect)
        else:
            verdict, seen = Verdict.UNKNOWN, "this step needs a host; please report this as a defect"
        spent = time.monotonic() - at
        results.append(plain_result(StepResult(step.says, step.proves, verdict.value, seen, spent)))
    verdict, summary = end_of(results, problem)
    took = max(0, int(time.time() - began))
    body = {"run": run, "verdict": verdict.value, "summary": summary, "seconds": took, "steps": results}
    entry = note_drill(platform, control.id, PLATFORM, actor, body, lambda: None)
    return drilled({"control": control.id, "host": PLATFORM, "entry": entry, **body})
