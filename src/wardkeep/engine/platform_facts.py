"""The connector to the platform itself: questions with subject `platform` are answered here, as JSON, like any host's.

    platform-alerts     {"channels": [{"name", "least_severity", "last_try", "last_ok", "problem"}], "undelivered": N}
    platform-schedules  {"duties": [{"kind", "control", "cadence_seconds", "last_done", "next_due", "late_on": [host, …]}]}
    platform-ledger     {"origin", "size", "last_at", "root"}
    platform-flaws      {"problem", "built", "feeds", "hosts", "unseen", "cases": [{"flaw", "package", "decision", …}], …}
    platform-allowlist  {"file", "text", "providers": [{"provider", "networks"}], "campaign": null or {"name", "state", …}}

Times are UTC in ISO 8601, null for never.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select

from wardkeep.core.errors import WardkeepError
from wardkeep.core.facts import PLATFORM, Answer, Question, Snapshot
from wardkeep.engine.allowlist_review import campaigns
from wardkeep.engine.channels import channels
from wardkeep.engine.declared import allowlist_path, declared_text, provider_ranges
from wardkeep.engine.flaw_review.told import tell_flaws
from wardkeep.engine.platform import Platform, timestamp
from wardkeep.engine.schedules import duties
from wardkeep.store.schema import deliveries


def ask_platform(platform: Platform, asked: Sequence[Question], now: datetime | None = None) -> Snapshot:
    """All answers of the platform about itself. A question nobody can answer is answered by no whole answer."""
    now = now or datetime.now(UTC)
    return Snapshot(PLATFORM, now, {question.id: _answer(platform, question, now) for question in asked})


def _answer(platform: Platform, question: Question, now: datetime) -> Answer:
    tell = ANSWERS.get(question.id)
    if tell is None:
        return Answer(question.id, None, b"", whole=False, problem="the platform does not know this question")
    try:
        told = tell(platform, now)
    except WardkeepError as e:
        return Answer(question.id, 1, b"", e.line().encode())
    return Answer(question.id, 0, json.dumps(told, sort_keys=True).encode())


def channel_states(platform: Platform, now: datetime) -> frozenset[tuple[str, str]]:
    """Each channel for alerts and how its last delivery went: `untried`, `took` or `failed`."""
    return frozenset(
        (way["name"], "failed" if way["problem"] else "took" if way["last_ok"] else "untried")
        for way in _alerts(platform, now)["channels"]
    )


def _alerts(platform: Platform, now: datetime) -> dict[str, Any]:
    d = deliveries.c
    found = []
    with platform.store.read() as connection:
        for way in channels(platform.config.settings):
            tried = (
                select(d.tried, d.problem)
                .where(d.channel == way.name, d.tried.is_not(None))
                .order_by(d.tried.desc(), d.created.desc())
                .limit(1)
            )
            last = connection.execute(tried).one_or_none()
            ok = connection.execute(
                select(func.max(d.delivered, type_=d.delivered.type)).where(d.channel == way.name)
            ).scalar()
            found.append(
                {
                    "name": way.name,
                    "least_severity": platform.config.settings.alerts_least_severity,
                    "last_try": _time(last.tried if last else None),
                    "last_ok": _time(ok),
                    "problem": last.problem if last else "",
                }
            )
        undelivered = connection.execute(
            select(func.count()).select_from(deliveries).where(d.delivered.is_(None), d.attempts > 0)
        ).scalar_one()
    return {"channels": found, "undelivered": undelivered}


def _schedules(platform: Platform, now: datetime) -> dict[str, Any]:
    return {
        "duties": [
            {
                "kind": duty.kind,
                "control": duty.control,
                "cadence_seconds": int(duty.cadence.total_seconds()),
                "last_done": _time(duty.last_done),
                "next_due": _time(duty.next_due),
                "late_on": [late.host for late in duty.waiting],
            }
            for duty in duties(platform, now)
        ]
    }


def _ledger(platform: Platform, now: datetime) -> dict[str, Any]:
    checkpoint = platform.ledger.checkpoint()
    last = next(platform.ledger.read(checkpoint.size - 1), None) if checkpoint.size else None
    return {
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "last_at": last["at"] if last else None,
        "root": base64.b64encode(checkpoint.root).decode(),
    }


def _allowlist(platform: Platform, now: datetime) -> dict[str, Any]:
    known = campaigns(platform)
    last = known[-1] if known else None
    return {
        "file": allowlist_path(platform.config).name,
        "text": declared_text(platform.config),
        "providers": [
            {"provider": one.provider, "networks": [str(network) for network in one.networks]}
            for one in provider_ranges(platform.config)
        ],
        "campaign": last
        and {
            "name": last.name,
            "state": last.state,
            "begun": last.begun,
            "completed": last.completed,
            "entries": len(last.entries),
            "left": len(last.left),
        },
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else timestamp(at)


ANSWERS: Mapping[str, Callable[[Platform, datetime], dict[str, Any]]] = {
    "platform-alerts": _alerts,
    "platform-schedules": _schedules,
    "platform-ledger": _ledger,
    "platform-allowlist": _allowlist,
    "platform-flaws": tell_flaws,
}
