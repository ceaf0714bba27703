"""The inventory: which hosts there are, how they are reached, and the keys they are pinned to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update

from wardkeep.core.errors import BadInput
from wardkeep.core.facts import PLATFORM, Snapshot
from wardkeep.core.profiles import did_you_mean
from wardkeep.engine.findings import retire_host
from wardkeep.engine.flaw_review.inventory import forget_host
from wardkeep.engine.platform import Platform, timestamp
from wardkeep.fleet import Host
from wardkeep.store.schema import hosts

JUMP = "@jump "  # marks the pinned keys that belong to the jump host, as known_hosts marks certificate authorities
NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")


def list_hosts(platform: Platform) -> list[Host]:
    """Every host of the inventory, by name."""
    with platform.store.read() as connection:
        rows = connection.execute(select(hosts).order_by(hosts.c.name)).mappings().all()
    return [_host(row) for row in rows]


def find_host(platform: Platform, name: str) -> Host:
    """The host of that name. Raises BadInput naming the nearest one."""
    with platform.store.read() as connection:
        row = connection.execute(select(hosts).where(hosts.c.name == name)).mappings().first()
    if row is None:
        known = [host.name for host in list_hosts(platform)]
        raise BadInput(
            f"no host is called `{name}`",
            todo=did_you_mean(name, known) if known else "Add one: `wardkeep host add`.",
        )
    return _host(row)


def add_host(platform: Platform, host: Host, actor: str) -> None:
    """Take a host into the inventory. Its keys must have been shown to a person before. Raises BadInput if it exists."""
    if not NAME.fullmatch(host.name) or host.name == PLATFORM:
        raise BadInput(
            f"`{host.name}` cannot name a host",
            todo="Use lower-case letters, digits, dots and dashes; `platform` is taken.",
        )
    if any(known.name == host.name for known in list_hosts(platform)):
        raise BadInput(
            f"a host is called `{host.name}` already",
            todo=f"Remove it first: `wardkeep host remove {host.name}`.",
        )
    pinned = [*host.host_keys, *(JUMP + key for key in host.jump_keys)]
    body = {"act": "added", "url": host.url, "jump": host.jump, "host_keys": pinned}
    platform.record("host", actor, body, subject={"host": host.name})
    with platform.store.begin() as connection:
        connection.execute(
            insert(hosts).values(
                name=host.name,
                url=host.url,
                jump=host.jump,
                identity=host.identity,
                host_keys=pinned,
                labels=dict(host.labels),
                added=datetime.now(UTC),
            )
        )


def remove_host(platform: Platform, name: str, actor: str) -> None:
    """Take a host out of the inventory. What the ledger holds of it stays."""
    find_host(platform, name)
    at = datetime.now(UTC)
    body = {"act": "removed", "removed": timestamp(at)}
    platform.record("host", actor, body, subject={"host": name})
    with platform.store.begin() as connection:
        connection.execute(delete(hosts).where(hosts.c.name == name))
        forget_host(connection, name)
    retire_host(platform.store, name, at)


def note_looks(platform: Platform, snapshots: Sequence[Snapshot]) -> None:
    """Remember when each host was last asked, and whether it could be."""
    seen = [
        {"subject": s.subject, "when": s.at, "why": s.problem} for s in snapshots if s.subject != PLATFORM
    ]
    if not seen:
        return
    change = (
        update(hosts)
        .where(hosts.c.name == bindparam("subject"))
        .values(last_observed=bindparam("when"), last_problem=bindparam("why"))
    )
    with platform.store.begin(rebuildable=True) as connection:
        connection.execute(change, seen)


@dataclass(frozen=True)
class LastLook:
    """When a host was last asked (None: never), and why it could not be ("" when it answered)."""

    host: str
    at: datetime | None
    problem: str


def last_looks(platform: Platform) -> list[LastLook]:
    """For every host of the inventory, by name."""
    wanted = select(hosts.c.name, hosts.c.last_observed, hosts.c.last_problem).order_by(hosts.c.name)
    with platform.store.read() as connection:
        return [LastLook(*row) for row in connection.execute(wanted).all()]


def _host(row: Any) -> Host:
    return Host(
        name=row["name"],
        url=row["url"],
        host_keys=tuple(key for key in row["host_keys"] if not key.startswith(JUMP)),
        jump=row["jump"],
        jump_keys=tuple(key.removeprefix(JUMP) for key in row["host_keys"] if key.startswith(JUMP)),
        identity=row["identity"],
        labels=dict(row["labels"]),
    )
