"""What the database cannot say of an inventory: a feed it needs that is absent or stale."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from wardkeep.advisories.components import Inventory
from wardkeep.advisories.database import Database, FeedState
from wardkeep.advisories.ecosystems import family, is_vendor

RENEW = "Run `wardkeep vulns update`."
# Of 490 source packages of a Debian 12 server 184 had an advisory of their own once (DSA and DLA lists to 2025), and the tracker
# speaks of more. Data that know under a tenth of what is installed were cut before they first came here.
KNOWN = 0.1
MANY, ASKED = 50, 200  # packages from which on that is judged, and so many of them by which


def unasked(db: Database, inventory: Inventory, now: datetime) -> list[str]:
    """Why an answer about this inventory is not whole, one sentence each with what to do; empty when it is whole."""
    installed: dict[str, set[str]] = {}
    for one in inventory.components:
        installed.setdefault(one.ecosystem, set()).add(one.name)
    return not_covered(db, installed, now)


def not_covered(db: Database, installed: Mapping[str, Collection[str]], now: datetime) -> list[str]:
    """The same of the packages installed, by ecosystem; of none at all, nothing can be said."""
    known = db.ecosystems()
    states = {one.name: one for one in db.feeds(now)}
    wanted = sorted(installed)
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
        if is_vendor(ecosystem) and (cut := _cut_line(db, ecosystem, installed[ecosystem])):
            told.append(cut)
    return told


def _cut_line(db: Database, ecosystem: str, names: Collection[str]) -> str:
    """What is wrong where the data speak of too few of these packages to be whole; "" else."""
    if len(names) < MANY:
        return ""
    asked = sorted(names)[:: max(1, len(names) // ASKED)]
    having = sum(db.package(ecosystem, name) is not None for name in asked)
    if having >= KNOWN * len(asked):
        return ""
    return (
        f"the data of {ecosystem} speak of {having} of {len(asked)} installed packages asked for, and whole ones of about a half:"
        f" they were cut. {RENEW}"
    )


def stale_line(feed: FeedState, now: datetime) -> str:
    age = f"{(now - feed.taken).days} days old" if feed.taken else "of no known day"
    return f"{feed.title} is stale: its data are {age}. {RENEW}"
