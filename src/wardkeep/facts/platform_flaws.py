"""The published flaws that concern the fleet, what was decided about each, and the feeds it all stands on. Answered by the engine.

The engine answers this question (subject `platform`) with one JSON object: `{"problem", "built", "unasked": [why, …],
"feeds": [{"title", "taken", "stale"}], "held_back": [why, …], "hosts": N, "images": N, "unseen": [host, …], "minor": N, "cases": [{"flaw", "package", "state",
"severity", "exploited", "since", "risk", "hosts", "images", "decision", "by", "decided", "until", "says"}]}`. `problem` says why there is
no queue, else ""; `held_back` why the last update left the old database in place; `since` is the ISO day a case's clock starts, `until` the last ISO day of a plan or waiver, or "".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import PLATFORM, Answer, Question

STATES = ("fix_available", "no_fix", "ignored", "unknown")
SEVERITIES = ("critical", "high", "medium", "low", "unknown")
DECISIONS = ("", "accepted", "planned", "waived", "not_affected")


@dataclass(frozen=True, slots=True)
class FlawCase:
    """One flaw in one package over the fleet. `hosts` counts the places that have it, of which `images` are images or kept scans."""

    flaw: str
    package: str
    state: str
    severity: str
    exploited: str
    since: date
    risk: int
    hosts: int
    decision: str
    by: str
    decided: str
    until: date | None
    says: str
    images: int = 0


@dataclass(frozen=True, slots=True)
class FlawFeed:
    title: str
    taken: datetime | None
    stale: bool


@dataclass(frozen=True, slots=True)
class PlatformFlaws:
    """`unseen` are the hosts whose packages no look ever told; `minor` counts flaws that the vendor calls minor."""

    ask: ClassVar[Question] = Question("platform-flaws", "", subject=PLATFORM)
    problem: str
    built: str
    unasked: tuple[str, ...]
    feeds: tuple[FlawFeed, ...]
    hosts: int
    unseen: tuple[str, ...]
    minor: int
    cases: tuple[FlawCase, ...]
    images: int = 0
    held_back: tuple[str, ...] = ()

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        try:
            told = json.loads(answer.text())
            return cls(
                str(told["problem"]),
                str(told["built"]),
                tuple(map(str, told["unasked"])),
                tuple(_feed(one) for one in told["feeds"]),
                int(told["hosts"]),
                tuple(map(str, told["unseen"])),
                int(told["minor"]),
                tuple(_case(one) for one in told["cases"]),
                int(told.get("images", 0)),
                tuple(map(str, told.get("held_back", ()))),
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            raise NotUnderstood("the engine's answer has another shape", where=answer.question) from None


def _feed(told: dict[str, Any]) -> FlawFeed:
    taken = None
    if told["taken"]:
        taken = datetime.fromisoformat(told["taken"])
        if taken.utcoffset() is None:
            raise ValueError("a time without a zone")
        taken = taken.astimezone(UTC)
    if not isinstance(told["stale"], bool):
        raise TypeError
    return FlawFeed(str(told["title"]), taken, told["stale"])


def _case(told: dict[str, Any]) -> FlawCase:
    if (
        told["state"] not in STATES
        or told["severity"] not in SEVERITIES
        or told["decision"] not in DECISIONS
        or not told["flaw"]
        or not told["package"]
    ):
        raise ValueError("no case")
    return FlawCase(
        flaw=str(told["flaw"]),
        package=str(told["package"]),
        state=told["state"],
        severity=told["severity"],
        exploited=str(told["exploited"]),
        since=date.fromisoformat(told["since"]),
        risk=int(told["risk"]),
        hosts=int(told["hosts"]),
        decision=told["decision"],
        by=str(told["by"]),
        decided=str(told["decided"]),
        until=date.fromisoformat(told["until"]) if told["until"] else None,
        says=str(told["says"]),
        images=int(told.get("images", 0)),
    )
