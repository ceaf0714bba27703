"""The engine's answer to the question `image_flaws`: the packages of the images that run on a host, held against the local advisories."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from wardkeep.advisories.database import Database
from wardkeep.core.errors import WardkeepError
from wardkeep.core.facts import Answer, Snapshot, Unknown
from wardkeep.core.memo import Memo
from wardkeep.engine.flaw_review.cases import Words
from wardkeep.engine.image_packages import packages_of_image
from wardkeep.engine.known_flaws import asking, flaws_of, not_known, with_answers, words_for
from wardkeep.engine.platform import Platform
from wardkeep.facts.container_packages import ContainerPackages
from wardkeep.facts.image_contents import ImageContents
from wardkeep.facts.image_flaws import ImagesFlaws

ID = ImagesFlaws.ask.id
_told_before = Memo(16 << 20)


def with_image_flaws(platform: Platform, snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    """The same snapshots, where they were asked for it with the answer. Never raises for a missing database."""
    if not asking(snapshots, ID):
        return list(snapshots)
    words, spoken = words_for(platform, snapshots)

    def answer(db: Database, snapshot: Snapshot) -> Answer:
        return _answer(db, snapshot, words, spoken)

    return with_answers(platform, snapshots, ID, answer, before=_without_images)


def _without_images(snapshot: Snapshot) -> Answer | None:
    """What can be said without the advisories."""
    packages = snapshot.learn(ContainerPackages)
    if isinstance(packages, Unknown):
        return not_known(ID, packages.reason)
    return None if packages.images else Answer(ID, 0, b'{"images": []}')


def _answer(db: Database, snapshot: Snapshot, words: Words, spoken: bytes) -> Answer:
    packages = snapshot.learn(ContainerPackages)
    assert isinstance(packages, ContainerPackages)
    asked = (ContainerPackages.ask.id, ImageContents.ask.id)
    answers = [snapshot.answers[name] for name in asked if name in snapshot.answers]
    given = b"\0".join(one.stdout + one.problem.encode() for one in answers)
    key = (db.stamp, spoken, snapshot.at.date().isoformat(), hashlib.sha256(given).digest())
    try:
        told = _told_before.get(key, len(given) // 4, lambda: _told(db, packages, snapshot, words))
    except WardkeepError as e:
        return not_known(ID, e.without_place)
    assert isinstance(told, bytes)
    return Answer(ID, 0, told)


def _told(db: Database, packages: ContainerPackages, snapshot: Snapshot, words: Words) -> bytes:
    images = []
    for one in packages.images:
        made = packages_of_image(one, snapshot)
        known = None
        if not made.problem:
            known = flaws_of(db, made.inventory, snapshot.at, words)
            known["ecosystem"] = ", ".join(sorted({c.ecosystem for c in made.inventory.components}))
            known["unasked"] += made.gaps
        images.append(
            {
                "image": one.image,
                "tag": one.tag,
                "container": one.container,
                "ended": made.ended,
                "problem": made.problem,
                "known": known,
            }
        )
    return json.dumps({"images": images}, sort_keys=True).encode()
