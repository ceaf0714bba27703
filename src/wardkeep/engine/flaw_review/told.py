"""The platform's answer to the question `platform-flaws`; see `wardkeep.facts.platform_flaws` for its shape."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from wardkeep.advisories.components import Component, Inventory
from wardkeep.advisories.coverage import unasked
from wardkeep.advisories.database import Database
from wardkeep.advisories.updating import FILE
from wardkeep.core.errors import Unavailable
from wardkeep.engine.flaw_review.cases import Case, read_cases
from wardkeep.engine.flaw_review.inventory import every_place, known_inventories
from wardkeep.engine.flaw_review.queue import FOLDER
from wardkeep.engine.flaw_review.renewing import renew
from wardkeep.engine.platform import Platform, timestamp
from wardkeep.store.schema import hosts


def tell_flaws(platform: Platform, now: datetime) -> dict[str, Any]:
    """Brings the queue up to date first."""
    made = renew(platform, now)
    with platform.store.read() as connection:
        cases = read_cases(platform, connection)
        fleet = sorted(connection.execute(select(hosts.c.name)).scalars())
        looks = known_inventories(connection)
        built, problems, feeds = data_now(platform, connection, now)
    return {
        "problem": made.problem,
        "built": built,
        "unasked": problems,
        "feeds": feeds,
        "hosts": len(fleet),
        "unseen": [name for name in fleet if name not in looks],
        "minor": made.minor,
        "cases": [_case(one) for one in cases],
    }


def data_now(
    platform: Platform, connection: Connection, now: datetime
) -> tuple[str, list[str], list[dict[str, Any]]]:
    try:
        db = Database(platform.folder / FOLDER / FILE)
    except Unavailable:
        return "", [], []
    try:
        ecosystems = sorted({component.ecosystem for _, component in every_place(connection)})
        given = Inventory("", [Component(ecosystem, "", "") for ecosystem in ecosystems])
        feeds = [
            {"title": one.title, "taken": one.taken and timestamp(one.taken), "stale": one.is_stale}
            for one in db.feeds(now)
        ]
        return db.meta["built"], unasked(db, given, now) if ecosystems else [], feeds
    finally:
        db.close()


def _case(one: Case) -> dict[str, Any]:
    names = ("flaw", "package", "state", "severity", "exploited", "risk", "hosts", "decision")
    told = {name: getattr(one, name) for name in names}
    told |= {"since": one.since.isoformat(), "by": one.decided_by, "says": str(one.said.get("says", ""))}
    told["decided"] = one.decided.date().isoformat() if one.decided else ""
    return told | {"until": str(one.said.get("until", ""))[:10]}
