"""What has to happen again and again, and when it last did, as the platform knows it. Answered by the engine.

The engine answers this question (subject `platform`) with one JSON object, times in UTC as ISO 8601, null for never:
`{"duties": [{"kind", "control", "cadence_seconds", "last_done", "next_due", "late_on"}]}`; `kind` is observe, drill or review.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import PLATFORM, Answer, Question
from wardkeep.core.findings import Seen, fails, holds, unsure

KINDS = ("observe", "drill", "review")


@dataclass(frozen=True, slots=True)
class Duty:
    kind: str
    control: str
    cadence: timedelta
    last_done: datetime | None


@dataclass(frozen=True, slots=True)
class PlatformSchedules:
    ask: ClassVar[Question] = Question("platform-schedules", "", subject=PLATFORM)
    duties: tuple[Duty, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        try:
            duties = tuple(_duty(told) for told in json.loads(answer.text())["duties"])
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            raise NotUnderstood("the engine's answer has another shape", where=answer.question) from None
        return cls(duties)

    def find(self, kind: str, control: str) -> Duty | None:
        return next((d for d in self.duties if (d.kind, d.control) == (kind, control)), None)


def reviewed_in_time(schedules: PlatformSchedules, control: str, what: str, todo: str, now: datetime) -> Seen:
    """Whether the review by a person that a row has is on record within its time. `what` names it: "audit"."""
    duty = schedules.find("review", control)
    if duty is None:
        return unsure("review", f"the platform keeps no schedule for this {what}", todo)
    if duty.last_done is None:
        return fails("review", f"no {what} is on record", todo)
    seen = f"last {what} on record {duty.last_done:%Y-%m-%d}, due every {duty.cadence.days} days"
    return holds(now - duty.last_done <= duty.cadence, "review", seen, todo)


def _duty(told: dict[str, object]) -> Duty:
    kind, control, done = told["kind"], told["control"], told["last_done"]
    seconds = told["cadence_seconds"]
    if kind not in KINDS or not isinstance(control, str) or not isinstance(seconds, int) or seconds <= 0:
        raise ValueError(f"no duty: {told}")
    last = None
    if done is not None:
        last = datetime.fromisoformat(str(done))
        if last.utcoffset() is None:
            raise ValueError("a time without a zone")
        last = last.astimezone(UTC)
    return Duty(str(kind), control, timedelta(seconds=seconds), last)
