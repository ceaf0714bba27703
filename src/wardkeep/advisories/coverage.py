"""What the database cannot say of an inventory: a feed it needs that is absent or stale."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from wardkeep.advisories.components import Inventory
from wardkeep.advisories.database import Database, FeedState
from wardkeep.advisories.ecosystems import family

RENEW = "Run `wardkeep vulns update`."


def unasked(db: Database, inventory: Inventory, now: datetime) -> list[str]:
    """Why an answer about this inventory is not whole, one sentence each with what to do; empty when it is whole."""
    return not_covered(db, {one.ecosystem for one in inventory.components}, now)


def not_covered(db: Database, ecosystems: Iterable[str], now: datetime) -> list[str]:
    """The same of the ecosystems that something is installed from; of none at all, nothing can be said."""
    known = db.ecosystems()
    states = {one.name: one for one in db.feeds(now)}
    wanted = sorted(set(ecosystems))
    told = [] if wanted else ["not one package in it can be asked for: nothing was looked at"]
    for ecosystem in wanted:
        name = family(ecosystem)
        if ecosystem not in known:
            told.append(f"no feed here speaks of {ecosystem or 'this release'}. {RENEW}")
            continue
        whole = [f"osv {name}", *(["debian-tracker"] if name == "Debian" else [])]
        present = [states[one] for one in whole if one in states]
        if not present:
            told.append(
                f"flaws without a DSA or DLA are not known: Debian's tracker data are not here. {RENEW}"
            )
            present = [states[one] for one in ("debian-advisories",) if one in states]
        if present and all(one.is_stale for one in present):
            told.append(
                stale_line(max(present, key=lambda one: one.taken.timestamp() if one.taken else 0.0), now)
            )
    return told


def stale_line(feed: FeedState, now: datetime) -> str:
    age = f"{(now - feed.taken).days} days old" if feed.taken else "of no known day"
    return f"{feed.title} is stale: its data are {age}. {RENEW}"
