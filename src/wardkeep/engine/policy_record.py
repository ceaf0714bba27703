"""The policy on record: a change of what decides a verdict is an entry of the ledger, before the first assessment by it.

The entry's blob is the policy itself, whole, and each assessment names the policy that it was made by as a blob too: from a pack of
any range an auditor reads by which numbers and choices a row was judged, and when they changed from what to what.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select

from wardkeep.core.errors import WardkeepError
from wardkeep.engine.platform import Platform, timestamp
from wardkeep.store.bulk import upsert
from wardkeep.store.schema import settings

KIND = "policy"
TOLD = 100  # changes that an entry names one by one; its blob has them all
SHORT = 160  # characters of a value; a list of addresses may be long
_KEY = "policy"
Entry = dict[str, Any]


@dataclass(frozen=True)
class OnRecord:
    """The last policy that the ledger has: its entry's index and time. `current` when it is the one in force."""

    entry: int
    at: datetime
    digest: str
    current: bool


def policy_on_record(platform: Platform) -> OnRecord | None:
    """None before the first look."""
    with platform.store.read() as connection:
        told = _on_record(connection)
    if not told:
        return None
    current = told["digest"] == platform.config.digest()
    return OnRecord(int(told["entry"]), datetime.fromisoformat(told["at"]), str(told["digest"]), current)


def policy_blob(platform: Platform) -> dict[str, Any]:
    """The policy in force, put away among the ledger's blobs, as an entry names it."""
    document = platform.config.document()
    (name,) = platform.ledger.put_blobs([document])
    return {"name": "policy", "digest": name, "size": len(document)}


def policy_entry(platform: Platform, actor: str, blob: Mapping[str, Any]) -> Entry | None:
    """The entry that tells of the policy in force, whose blob this is; None when it is the one on record."""
    with platform.store.read() as connection:
        before = str(_on_record(connection).get("digest", ""))
    digest = str(blob["digest"])
    if digest == before:
        return None
    changed = list(_changes(_flat(_read(platform, before)), _flat(json.loads(platform.config.document()))))
    if not before:  # the first: what the operator set, the profile says the rest
        ours = platform.config.set_by_operator
        changed = [one for one in changed if one["key"] in ours]
    body = {
        "profile": platform.config.profile.name,
        "digest": digest,
        "before": before,
        "changed": changed[:TOLD],
        "changes": len(changed),
        "says": _says(platform.config.profile.name, before, changed),
    }
    return {"kind": KIND, "at": timestamp(), "actor": actor, "body": body, "blobs": [blob]}


def record_policy(platform: Platform, actor: str) -> int | None:
    """Put the policy in force on record if it is not; returns the ledger's index of the new entry."""
    entry = policy_entry(platform, actor, policy_blob(platform))
    if entry is None:
        return None
    (index,) = platform.ledger.append([entry])
    note_recorded(platform, entry, index)
    return index


def note_recorded(platform: Platform, entry: Mapping[str, Any], index: int) -> None:
    """Remember in the state that the ledger has this policy. Killed before, the next look records it once more."""
    with platform.store.begin() as connection:
        retell_policy(connection, {**entry, "index": index})


def retell_policy(connection: Connection, entry: Mapping[str, Any]) -> None:
    """Take an entry of the ledger into the state, unless a later one is there."""
    if int(entry["index"]) < int(_on_record(connection).get("entry", -1)):
        return
    value = {"digest": entry["body"]["digest"], "entry": entry["index"], "at": entry["at"]}
    row = {"key": _KEY, "value": value, "changed": datetime.fromisoformat(entry["at"])}
    upsert(connection, settings, [row], ("value", "changed"))


def forget_policy(connection: Connection) -> None:
    """Before the state is made again from the ledger."""
    connection.execute(delete(settings).where(settings.c.key == _KEY))


def _on_record(connection: Connection) -> dict[str, Any]:
    return connection.execute(select(settings.c.value).where(settings.c.key == _KEY)).scalar() or {}


def _read(platform: Platform, digest: str) -> Mapping[str, Any]:
    """The policy that was on record before; nothing when there was none, or its blob is not what it was."""
    if not digest:
        return {}
    try:
        found: Mapping[str, Any] = json.loads(platform.ledger.get_blob(digest))
    except WardkeepError:
        return {}
    return found


def _flat(told: Mapping[str, Any]) -> dict[str, Any]:
    """Key as the operator's file has it → value. Of a host's exception only what differs from its row."""
    rows = told.get("policies", {})
    flat = {"profile": told["profile"]} if "profile" in told else {}
    flat |= {f"numbers.{name}": value for name, value in told.get("numbers", {}).items()}
    for row, policy in rows.items():
        flat |= {f"policy.{row}.{name}": value for name, value in policy.items()}
    for where, policy in told.get("hosts", {}).items():
        host, _, row = where.rpartition("/")
        own = {name: value for name, value in policy.items() if rows.get(row, {}).get(name) != value}
        flat |= {f"host.{host}.policy.{row}.{name}": value for name, value in own.items()}
    for row, spans in told.get("cadences", {}).items():
        flat |= {f"cadence.{row}.{name}": value for name, value in spans.items()}
    return flat


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[dict[str, str | None]]:
    """What is another value than it was; None where a key is not there."""
    for key in dict.fromkeys((*before, *now)):
        if (key in before) != (key in now) or before.get(key) != now.get(key):
            yield {
                "key": key,
                "before": _short(before[key]) if key in before else None,
                "now": _short(now[key]) if key in now else None,
            }


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= SHORT else f"{text[:SHORT]}… ({len(text)} characters)"


def _says(profile: str, before: str, changed: list[dict[str, str | None]]) -> str:
    if not before:
        own = f"{len(changed)} values set by the operator" if changed else "nothing changed by the operator"
        return f"the profile {profile}, {own}"
    parts = [f"{one['key']}: {one['before'] or 'not set'} → {one['now'] or 'not set'}" for one in changed[:3]]
    more = [f"{len(changed) - 3} more"] if len(changed) > 3 else []
    return "; ".join([*parts, *more]) or "the same values, told in another way"
