"""The platform's answer to the question `platform-flaws`; see `wardkeep.facts.platform_flaws` for its shape."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from wardkeep.advisories.coverage import not_covered
from wardkeep.advisories.updating import held_back
from wardkeep.core.errors import Unavailable
from wardkeep.engine.flaw_review.cases import Case, read_cases
from wardkeep.engine.flaw_review.inventory import GONE, is_host, known_inventories, names_installed
from wardkeep.engine.flaw_review.renewing import renew
from wardkeep.engine.folder import ADVISORIES, open_advisories
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
        "held_back": held_back(platform.folder / ADVISORIES),
        "hosts": len(fleet),
        "images": sum(not is_host(name) and one.digest != GONE for name, one in looks.items()),
        "unseen": [name for name in fleet if name not in looks],
        "minor": made.minor,
        "cases": [_case(one) for one in cases],
    }


def data_now(
    platform: Platform, connection: Connection, now: datetime
) -> tuple[str, list[str], list[dict[str, Any]]]:
    """When the advisories were built, why they do not cover what is installed, and their feeds."""
    try:
        db = open_advisories(platform.folder)
    except Unavailable:
        return "", [], []
    with db:
        names = names_installed(connection)
        feeds = [
            {"title": one.title, "taken": one.taken and timestamp(one.taken), "stale": one.is_stale}
            for one in db.feeds(now)
        ]
        return db.meta["built"], not_covered(db, names, now) if names else [], feeds


def _case(one: Case) -> dict[str, Any]:
    names = ("flaw", "package", "state", "severity", "exploited", "risk", "hosts", "images", "decision")
    told = {name: getattr(one, name) for name in names}
    told |= {"since": one.since.isoformat(), "by": one.decided_by, "says": str(one.said.get("says", ""))}
    told["decided"] = one.decided.date().isoformat() if one.decided else ""
    return told | {"until": str(one.said.get("until", ""))[:10]}
