"""The engine's answer to the question `image_flaws`: the packages of the images that run on a host, held against the local advisories."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from wardkeep.advisories.components import Inventory, Notice
from wardkeep.advisories.database import Database
from wardkeep.advisories.ecosystems import of_release
from wardkeep.advisories.inventories.debian import of_apk, of_dpkg, parse_os_release, unread_dpkg
from wardkeep.core.errors import WardkeepError
from wardkeep.core.facts import Answer, Snapshot, Unknown
from wardkeep.core.memo import Memo
from wardkeep.engine.flaw_review.cases import Words
from wardkeep.engine.inventories import support_notices
from wardkeep.engine.known_flaws import asking, flaws_of, not_known, with_answers, words_for
from wardkeep.engine.platform import Platform
from wardkeep.facts.container_packages import ContainerPackages, ImagePackages
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
    given = snapshot.answers[ContainerPackages.ask.id].stdout
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
        made: dict[str, Any] = {"image": one.image, "tag": one.tag, "container": one.container}
        inventory, problem = inventory_of_image(one, snapshot)
        ended = [n for n in inventory.notices if n.kind == "unsupported_release" and not n.is_unknown]
        made["ended"] = "; ".join(f"{n.subject}: {n.why}" for n in ended)
        known = None if problem else flaws_of(db, inventory, snapshot.at, words)
        if known is not None:
            known["unasked"] += [f"{n.subject}: {n.why}" for n in inventory.notices if n.is_unknown]
        images.append({**made, "problem": problem, "known": known})
    return json.dumps({"images": images}, sort_keys=True).encode()


def inventory_of_image(one: ImagePackages, snapshot: Snapshot) -> tuple[Inventory, str]:
    """The packages of the system in an image, and why nothing can be said of it ("" where something can)."""
    made = Inventory(one.tag)
    if one.kind == "none":
        return made, "it has no package database that can be read from here (dpkg, apk)"
    try:
        made.release = parse_os_release(one.release, one.tag)
    except WardkeepError as e:
        return made, f"its os-release {e.what}"
    ecosystem = of_release(*made.release)
    if not ecosystem:
        return made, f"no vendor's data are known for its release `{' '.join(made.release).strip()}`"
    read = of_dpkg if one.kind == "dpkg" else of_apk
    made.components = read(one.database, ecosystem)
    if one.kind == "dpkg":
        made.notices += [Notice("not_readable", one.tag, why) for why in unread_dpkg(one.database)]
    if not made.components:
        return made, "its package database names not one installed package"
    made.notices += support_notices(made.release, " ".join(made.release), snapshot.at.date())
    return made, ""
