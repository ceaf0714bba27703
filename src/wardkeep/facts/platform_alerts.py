"""What the platform knows of its own alerts: where they go, and whether the last ones arrived. Answered by the engine.

The engine answers this question (subject `platform`) with one JSON object, times in UTC as ISO 8601:
`{"channels": [{"name", "last_try", "last_ok", "problem"}], "undelivered": N}`; a time is null for never.
`name` names the kind and number of a channel (`mailto #1`), never its address, which may hold a password.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import PLATFORM, Answer, Question


@dataclass(frozen=True, slots=True)
class Channel:
    """One way alerts take. `problem` is what the last failed delivery said; "" when the last one arrived."""

    name: str
    last_try: datetime | None
    last_ok: datetime | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class PlatformAlerts:
    ask: ClassVar[Question] = Question("platform-alerts", "", subject=PLATFORM)
    channels: tuple[Channel, ...]
    undelivered: int  # alerts that no channel has taken yet

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        try:
            told = json.loads(answer.text())
            channels = tuple(
                Channel(c["name"], _time(c["last_try"]), _time(c["last_ok"]), c["problem"])
                for c in told["channels"]
            )
            if any(not isinstance(part, str) for c in channels for part in (c.name, c.problem)):
                raise TypeError("a name that is no text")
            return cls(channels, int(told["undelivered"]))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise NotUnderstood("the engine's answer has another shape", where=answer.question) from None


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    when = datetime.fromisoformat(text)
    if when.utcoffset() is None:
        raise ValueError("a time without a zone")
    return when.astimezone(UTC)
