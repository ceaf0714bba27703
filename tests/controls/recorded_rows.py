"""Hold a row against recorded answers: `told("keys", "key-files-debian12-neglected")` → {"rule subject": "verdict: seen"}."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardkeep.controls import control
from wardkeep.core.facts import PLATFORM, Answer, Snapshot
from wardkeep.core.findings import Finding
from wardkeep.core.profiles import HIPAA
from wardkeep.engine.assess import assess
from wardkeep.engine.config import default_policy

ANSWERS = Path(__file__).parents[1] / "facts" / "answers"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)  # the day of the recordings, noon


def snapshot(row: str, *names: str, at: datetime = NOW, **texts: str) -> Snapshot:
    """The recorded answers of those files, and edited ones by question id (`key_files="= keys…"`)."""
    answers = {}
    ids = {kind.ask.id for kind in control(row).facts()}
    for name in names:
        asked = max((i for i in ids if name.startswith(i + "-")), key=len)
        answers[asked] = Answer(asked, 0, (ANSWERS / f"{name}.txt").read_bytes())
    for name, text in texts.items():
        asked = name.replace("platform_", "platform-")
        answers[asked] = Answer(asked, 0, text.encode())
    asks = [kind.ask.subject for kind in control(row).facts() if kind.ask.id in answers]
    return Snapshot(PLATFORM if PLATFORM in asks else "host-1", at, answers)


def held(row: str, given: Snapshot, **policy: Any) -> list[Finding]:
    made = control(row)
    return assess(made, given, replace(default_policy(made, HIPAA.numbers), **policy))


def told(
    row: str, *names: str, at: datetime = NOW, policy: dict[str, Any] | None = None, **texts: str
) -> dict[str, str]:
    """`rule subject` → `verdict: what was seen`, of one row."""
    found = held(row, snapshot(row, *names, at=at, **texts), **(policy or {}))
    return {f"{f.rule.partition('.')[2]} {f.subject}": f"{f.verdict}: {f.seen}" for f in found}


def verdicts(
    row: str, *names: str, at: datetime = NOW, policy: dict[str, Any] | None = None, **texts: str
) -> dict[str, str]:
    return {
        key: text.partition(":")[0] for key, text in told(row, *names, at=at, policy=policy, **texts).items()
    }


def text_of(name: str) -> str:
    return (ANSWERS / f"{name}.txt").read_text()
