"""The engine's answer to the question `known_flaws`: a host's packages, as just told, held against the local advisories."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from wardkeep.advisories.components import Inventory
from wardkeep.advisories.coverage import unasked
from wardkeep.advisories.database import Database
from wardkeep.advisories.matching import Matcher, State, foreign_notices
from wardkeep.advisories.updating import FILE
from wardkeep.core.errors import Unavailable, WardkeepError
from wardkeep.core.facts import Answer, Snapshot
from wardkeep.core.memo import Memo
from wardkeep.engine.flaw_review.cases import Words, reviewers_words
from wardkeep.engine.inventories import ASKED, inventory_of
from wardkeep.engine.platform import Platform
from wardkeep.facts.known_flaws import KnownFlaws

FOLDER = "advisories"
NO_WORDS = Words({}, {})
ID = KnownFlaws.ask.id
_told_before = Memo(32 << 20)


def with_known_flaws(platform: Platform, snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    """The same snapshots, where they were asked for it with the answer about known flaws. Never raises for a missing database."""
    if not any(ID in snapshot.answers and not snapshot.problem for snapshot in snapshots):
        return list(snapshots)
    path = platform.folder / FOLDER / FILE
    try:
        db: Database | WardkeepError = Database(path)
        stamp = path.stat().st_mtime_ns
    except WardkeepError as e:
        db, stamp = e, 0
    with platform.store.read() as connection:
        words = reviewers_words(connection, max(snapshot.at for snapshot in snapshots))
    made = []
    for snapshot in snapshots:
        if ID not in snapshot.answers or snapshot.problem:
            made.append(snapshot)
        else:
            made.append(
                replace(
                    snapshot,
                    answers={**snapshot.answers, ID: _answer(db, stamp, snapshot, words)},
                    _learned={},
                )
            )
    if isinstance(db, Database):
        db.close()
    return made


def _answer(db: Database | WardkeepError, stamp: int, snapshot: Snapshot, words: Words) -> Answer:
    if isinstance(db, WardkeepError):
        # Without the path: the answer is evidence, and says the same wherever the state lies.
        return Answer(ID, None, b"", whole=False, problem=f"{db.what.rstrip('.')}. {db.todo}")
    given = [snapshot.answers[kind.ask.id].stdout for kind in ASKED if kind.ask.id in snapshot.answers]
    day = snapshot.at.date().isoformat()
    key = (stamp, day, str(words), hashlib.sha256(b"\0".join(given)).digest())
    try:
        told = _told_before.get(key, sum(map(len, given)) // 16, lambda: _told(db, snapshot, words))
    except Unavailable as e:
        return Answer(ID, None, b"", whole=False, problem=e.what)
    assert isinstance(told, bytes)
    return Answer(ID, 0, told)


def _told(db: Database, snapshot: Snapshot, words: Words) -> bytes:
    inventory = inventory_of(snapshot, snapshot.at.date())
    return json.dumps(flaws_of(db, inventory, snapshot.at, words), sort_keys=True).encode()


def flaws_of(db: Database, inventory: Inventory, now: datetime, words: Words = NO_WORDS) -> dict[str, Any]:
    """The answer as a value; see `wardkeep.facts.known_flaws` for its shape."""
    every = [one for one in Matcher(db).matches(inventory.components) if one.state is not State.NOT_AFFECTED]
    found = [one for one in every if (one.id, one.component.name) not in words.stated]
    return {
        "ecosystem": inventory.components[0].ecosystem if inventory.components else "",
        "packages": len(inventory.components),
        "built": db.meta["built"],
        "unasked": unasked(db, inventory, now),
        "foreign": [
            {"package": one.subject, "why": one.why} for one in foreign_notices(inventory.components)
        ],
        "stated": [
            {"id": one.id, "package": one.component.name, "why": words.stated[one.id, one.component.name]}
            for one in sorted(every, key=lambda m: (m.component.name, m.id))
            if (one.id, one.component.name) in words.stated
        ],
        "flaws": [
            {
                "id": one.id,
                "package": one.component.name,
                "installed": one.component.version,
                "fixed": one.fixed,
                "state": one.state.value,
                "severity": one.severity,
                "severity_source": one.severity_source,
                "exploited": one.kev,
                "since": one.since.isoformat(),
                "advisory": one.advisory,
                "waived": words.waived.get((one.id, one.component.name), ""),
            }
            for one in sorted(found, key=lambda m: (m.component.name, m.id))
        ],
    }
