"""The engine's answer to the question `known_flaws`: a host's packages, as just told, held against the local advisories."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from wardkeep.advisories.components import Inventory
from wardkeep.advisories.coverage import unasked
from wardkeep.advisories.database import Database
from wardkeep.advisories.matching import Matcher, State, foreign_notices
from wardkeep.core.errors import Unavailable
from wardkeep.core.facts import Answer, Snapshot
from wardkeep.core.memo import Memo
from wardkeep.engine.flaw_review.cases import Words, reviewers_words
from wardkeep.engine.folder import open_advisories
from wardkeep.engine.inventories import ASKED, inventory_of
from wardkeep.engine.platform import Platform
from wardkeep.facts.known_flaws import KnownFlaws

NO_WORDS = Words({}, {})
ID = KnownFlaws.ask.id
_told_before = Memo(32 << 20)


def with_known_flaws(platform: Platform, snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    """The same snapshots, where they were asked for it with the answer about known flaws. Never raises for a missing database."""
    if not asking(snapshots, ID):
        return list(snapshots)
    words, spoken = words_for(platform, snapshots)

    def answer(db: Database, snapshot: Snapshot) -> Answer:
        given = [snapshot.answers[kind.ask.id].stdout for kind in ASKED if kind.ask.id in snapshot.answers]
        day = snapshot.at.date().isoformat()
        key = (db.stamp, day, spoken, hashlib.sha256(b"\0".join(given)).digest())
        try:
            told = _told_before.get(key, sum(map(len, given)) // 16, lambda: _told(db, snapshot, words))
        except Unavailable as e:
            return not_known(ID, e.what)
        assert isinstance(told, bytes)
        return Answer(ID, 0, told)

    return with_answers(platform, snapshots, ID, answer)


def words_for(platform: Platform, snapshots: Sequence[Snapshot]) -> tuple[Words, bytes]:
    """What reviewers said, as of the newest of the looks; and its digest."""
    with platform.store.read() as connection:
        words = reviewers_words(connection, max(snapshot.at for snapshot in snapshots))
    return words, hashlib.sha256(repr(words).encode()).digest()


def with_answers(
    platform: Platform,
    snapshots: Sequence[Snapshot],
    asked: str,
    answer: Callable[[Database, Snapshot], Answer],
    before: Callable[[Snapshot], Answer | None] = lambda _: None,
) -> list[Snapshot]:
    """The same snapshots, where they were asked for it with what the advisories say, which are opened once for all of them.

    `before` answers what needs no advisories.
    """
    given = asking(snapshots, asked)
    told = {n: said for n, one in given.items() if (said := before(one)) is not None}
    left = {n: one for n, one in given.items() if n not in told}
    if left:
        try:
            db = open_advisories(platform.folder)
        except Unavailable as e:
            told |= dict.fromkeys(left, not_known(asked, e.without_place))
        else:
            with db:
                told |= {n: answer(db, one) for n, one in left.items()}
    return [
        replace(one, answers={**one.answers, asked: told[n]}, _learned={}) if n in told else one
        for n, one in enumerate(snapshots)
    ]


def not_known(asked: str, why: str) -> Answer:
    return Answer(asked, None, b"", whole=False, problem=why)


def asking(snapshots: Sequence[Snapshot], asked: str) -> dict[int, Snapshot]:
    """Those of them that were asked for it and could be, by their place."""
    return {n: one for n, one in enumerate(snapshots) if asked in one.answers and not one.problem}


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
