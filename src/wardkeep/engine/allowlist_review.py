"""Review campaigns of the allowlist: begun, signed entry by entry, closed; each act an entry of the ledger.

The ledger alone tells what a campaign is: there is no table to fall out of step with it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import func, select

from wardkeep.allowlists import Allowlist, Entry
from wardkeep.allowlists.campaign import DECISIONS, EXTEND, KEEP, OPEN, REMOVE, Campaign, quarter, retold
from wardkeep.allowlists.editing import edited, find
from wardkeep.allowlists.minutes import minutes
from wardkeep.allowlists.reading import read_toml
from wardkeep.allowlists.views import entry_view
from wardkeep.core.errors import BadInput
from wardkeep.engine.allowlists import KIND, ROW, editing, one_line
from wardkeep.engine.declared import declared
from wardkeep.engine.platform import Platform
from wardkeep.store.schema import entries as known_entries

MOST_AT_ONCE = 1_000  # ids in one entry of the ledger


def campaigns(platform: Platform) -> list[Campaign]:
    """All of them, oldest first."""

    def views(act: Mapping[str, Any]) -> list[dict[str, Any]]:
        blob = next(blob for blob in act["blobs"] if blob["name"] == "entries")
        found: list[dict[str, Any]] = json.loads(platform.ledger.get_blob(blob["digest"]))
        return found

    return retold(_acts(platform), views)


def campaign_named(platform: Platform, name: str = "") -> Campaign:
    """The campaign of this name, or the last one. Raises BadInput when there is none."""
    found = [one for one in campaigns(platform) if not name or one.name == name]
    if not found:
        what = f"no campaign is called `{name}`" if name else "no campaign was begun yet"
        raise BadInput(what, todo="Begin one: `wardkeep allowlist review start`.")
    return found[-1]


def start_campaign(platform: Platform, by: str, name: str = "", today: date | None = None) -> Campaign:
    """Begin a campaign over the entries as they are now. Raises BadInput while another one is open, or the name is taken."""
    today = today or datetime.now(UTC).date()
    called = one_line("campaign", name)[:60] or quarter(today)
    known = campaigns(platform)
    if known and known[-1].state == OPEN:
        raise BadInput(
            f"the campaign {known[-1].name} is open, {_entries(len(known[-1].left))} left",
            todo="Sign them, or close it: `wardkeep allowlist review close`.",
        )
    if any(one.name == called for one in known):
        raise BadInput(f"there was a campaign {called} already", todo="Give another name by --campaign.")
    # Entries that say the same are one subject of review; the audit tells them apart.
    views = list({entry.id: entry_view(entry, today) for entry in declared(platform.config).entries}.values())
    if not views:
        raise BadInput("the allowlist has no entry to review", todo="See `wardkeep allowlist list`.")
    data = json.dumps(views, sort_keys=True).encode()
    blob = {"name": "entries", "digest": platform.ledger.put_blob(data), "size": len(data)}
    body = {"act": "review-start", "campaign": called, "entries": len(views)}
    platform.record(KIND, by, body, subject={"control": ROW}, blobs=[blob])
    return campaign_named(platform, called)


def sign(
    platform: Platform,
    said: Sequence[str],
    decision: str,
    *,
    reviewer: str,
    by: str,
    says: str = "",
    until: date | None = None,
    name: str = "",
    today: date | None = None,
) -> Campaign:
    """A reviewer's word on entries (ids or networks) of the campaign; carried out in the file at once.

    Raises BadInput where an entry is not of the campaign, an extension has no day to come, or a removal or extension no reason.
    """
    today = today or datetime.now(UTC).date()
    who, why = one_line("reviewer", reviewer), one_line("says", says)
    if decision not in DECISIONS:
        raise BadInput(
            f"`{decision}` is no decision", where="--decision", todo="Write keep, extend or remove."
        )
    if not who:
        raise BadInput("a decision has a reviewer with a name", where="--reviewer")
    if decision != KEEP and not why:
        raise BadInput(f"why it is {DECISIONS[decision]} must be said", where="--says")
    if (until is not None) != (decision == EXTEND) or (until is not None and until < today):
        raise BadInput("an extension, and only that, has a new last day to come", where="--until")
    campaign = campaign_named(platform, name)
    if campaign.closed:
        raise BadInput(f"the campaign {campaign.name} was closed", todo="Begin another one.")
    if len(said) > MOST_AT_ONCE:
        raise BadInput(f"at most {MOST_AT_ONCE} entries are signed at once")
    chosen: list[str] = []

    def edit(text: str, file: str) -> str:
        known = read_toml(text, file)
        edits: dict[int, tuple[Entry, dict[str, str | date] | None]] = {}
        for one in said:
            if gone := _gone(known, campaign, one):
                if decision != REMOVE:
                    todo = "Sign it as removed, or write it into the file again."
                    raise BadInput(f"{_what(campaign.entries[gone])} is not in the file any more", todo=todo)
                chosen.append(gone)
                continue
            found = find(known, one)
            if found[0].id not in campaign.entries:
                what = f"{found[0].key} came after the campaign began"
                raise BadInput(what, todo="It is part of the next one.")
            if decision == KEEP and all(entry.expired(today) for entry in found):
                what = f"{found[0].key} has expired: keeping it changes nothing"
                raise BadInput(what, todo="Extend or remove it.")
            chosen.append(found[0].id)
            seen: dict[str, str | date] = {"reviewed": today, "reviewer": who}
            if until is not None:
                seen = {"expires": until, **seen}
            edits |= {
                entry.line or -n: (entry, None if decision == REMOVE else seen)
                for n, entry in enumerate(found)
            }
        return edited(text, list(edits.values()))

    def body() -> dict[str, Any]:
        told: dict[str, Any] = {"act": "review-sign", "campaign": campaign.name, "decision": decision}
        told |= {"entries": chosen, "reviewer": who, "says": why}
        return told | ({"until": until.isoformat()} if until else {})

    with editing(platform) as write:
        write(edit, by, body)
    return campaign_named(platform, campaign.name)


def _gone(known: Allowlist, campaign: Campaign, said: str) -> str:
    """The id of an entry of the campaign that somebody took out of the file since; "" for any other."""
    here = {entry.id for entry in known.entries}
    absent = [one for one in campaign.entries if one not in here]
    if said in absent:
        return said
    named = [one for one in absent if campaign.entries[one]["network"] == said]
    return named[0] if len(named) == 1 and not any(str(e.network) == said for e in known.entries) else ""


def _entries(count: int) -> str:
    return f"{count} {'entry is' if count == 1 else 'entries are'}"


def _what(view: Mapping[str, Any]) -> str:
    return f"{view['list']}: {view['network']} → {view['service']}"


def close_campaign(platform: Platform, by: str, *, says: str = "", name: str = "") -> Campaign:
    """End a campaign. What is left stays on record as left. Raises BadInput if it is closed, or left entries have no reason."""
    campaign = campaign_named(platform, name)
    why = one_line("says", says)
    if campaign.closed:
        raise BadInput(f"the campaign {campaign.name} was closed already", where=campaign.closed)
    if campaign.left and not why:
        raise BadInput(
            f"{_entries(len(campaign.left))} undecided: say why it ends all the same", where="--says"
        )
    body = {"act": "review-close", "campaign": campaign.name, "says": why, "left": len(campaign.left)}
    platform.record(KIND, by, body, subject={"control": ROW})
    return campaign_named(platform, campaign.name)


def minutes_of(platform: Platform, name: str = "") -> dict[str, Any]:
    """The minutes of a campaign as plain data, tied to the ledger as it is now."""
    checkpoint = platform.ledger.checkpoint()
    root = base64.b64encode(checkpoint.root).decode()
    return minutes(campaign_named(platform, name), checkpoint.origin, {"size": checkpoint.size, "root": root})


def _acts(platform: Platform) -> Iterator[Mapping[str, Any]]:
    """The ledger's entries about the allowlist: by the index as far as it goes, then by reading on."""
    e = known_entries.c
    with platform.store.read() as connection:
        last = connection.execute(select(func.max(e.idx))).scalar()
        found = connection.execute(select(e.idx).where(e.kind == KIND).order_by(e.idx)).scalars().all()
    for index in found:
        yield from platform.ledger.read(index, index + 1)
    for entry in platform.ledger.read(0 if last is None else last + 1):
        if entry["kind"] == KIND:
            yield entry
