"""The allowlist as it is declared now, and where its last review stands. Answered by the engine.

The engine answers this question (subject `platform`) with one JSON object: `{"file", "text", "providers": [{"provider",
"networks"}], "campaign": null or {"name", "state", "begun", "completed", "entries", "left"}}`. `text` is the whole file, "" when
there is none; `completed` is a time in UTC as ISO 8601, or "".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from wardkeep.allowlists import Allowlist, read_network, read_toml
from wardkeep.allowlists.providers import Ranges
from wardkeep.core.errors import BadInput, NotUnderstood
from wardkeep.core.facts import PLATFORM, Answer, Question


@dataclass(frozen=True, slots=True)
class Review:
    """The last campaign: `state` is open, complete or closed incomplete; `left` counts the entries nobody decided."""

    name: str
    state: str
    begun: datetime
    completed: datetime | None
    entries: int
    left: int


@dataclass(frozen=True, slots=True)
class PlatformAllowlist:
    ask: ClassVar[Question] = Question("platform-allowlist", "", subject=PLATFORM)
    file: str
    allowlist: Allowlist
    providers: tuple[Ranges, ...]
    campaign: Review | None

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        try:
            told = json.loads(answer.text())
            providers = tuple(
                Ranges(str(one["provider"]), tuple(read_network(text) for text in one["networks"]))
                for one in told["providers"]
            )
            campaign = None if told["campaign"] is None else _review(told["campaign"])
            file, text = told["file"], told["text"]
            if not isinstance(file, str) or not isinstance(text, str):
                raise TypeError
        except (ValueError, TypeError, KeyError, AttributeError, BadInput):
            raise NotUnderstood("the engine's answer has another shape", where=answer.question) from None
        try:
            return cls(file, read_toml(text, file), providers, campaign)
        except BadInput as e:
            raise NotUnderstood(e.line(), where=answer.question) from None


def _review(told: dict[str, Any]) -> Review:
    counts = int(told["entries"]), int(told["left"])
    completed = _time(told["completed"]) if told["completed"] else None
    return Review(str(told["name"]), str(told["state"]), _time(told["begun"]), completed, *counts)


def _time(text: str) -> datetime:
    made = datetime.fromisoformat(text)
    if made.utcoffset() is None:
        raise ValueError("a time without a zone")
    return made.astimezone(UTC)
