"""Kept scans: what an image archive, a bill of materials or a lock file holds, in the queue until it is forgotten.

What a scan holds does not change by itself, and is held against each day's advisories; a scan kept under the same name is its next
look. It is in the ledger, since no look at a host would fill it in again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from wardkeep.advisories.components import Inventory
from wardkeep.core.errors import BadInput
from wardkeep.engine.flaw_review import KIND, ROW
from wardkeep.engine.flaw_review.inventory import (
    SCAN,
    forget_host,
    is_scan,
    known_inventories,
    places_of,
    put_scan,
)
from wardkeep.engine.platform import Platform, timestamp

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")


def keep_scan(
    platform: Platform, name: str, found: Inventory, *, by: str, now: datetime | None = None
) -> int:
    """Keep what was found as the asset `scan:NAME`; returns the ledger's index. Raises BadInput for a name, or for nothing found."""
    if not NAME.fullmatch(name):
        raise BadInput(
            f"{name[:60]!r} is no name for a scan", todo="Use up to 200 letters, digits and ._:/@+-."
        )
    if not found.components:
        raise BadInput("no package was found, so there is nothing to keep", where=found.name)
    now = now or datetime.now(UTC)
    rows = sorted(places_of(found.components))
    data = json.dumps(rows).encode()
    blob = {"name": "packages", "digest": platform.ledger.put_blob(data), "size": len(data)}
    body: dict[str, Any] = {"act": "scan-kept", "scan": name, "at": timestamp(now), "packages": len(rows)}
    body |= {"images": list(found.images)} if found.images else {}
    with platform.store.begin() as connection:
        platform.store.lock(connection, "inventories")
        entry = platform.record(KIND, by, body, subject={"control": ROW}, blobs=[blob])
        put_scan(connection, name, now, rows)
    return entry


def forget_scan(platform: Platform, name: str, *, by: str) -> int:
    """Take a kept scan out of the queue. Raises BadInput when there is none of this name."""
    if name not in kept_scans(platform):
        raise BadInput("no scan is kept under this name", where=name, todo="See `wardkeep vulns kept`.")
    with platform.store.begin() as connection:
        platform.store.lock(connection, "inventories")
        body = {"act": "scan-forgotten", "scan": name}
        entry = platform.record(KIND, by, body, subject={"control": ROW})
        forget_host(connection, SCAN + name)
    return entry


def kept_scans(platform: Platform) -> dict[str, datetime]:
    """Name → when it was kept."""
    with platform.store.read() as connection:
        known = known_inventories(connection)
    return {asset.removeprefix(SCAN): one.at for asset, one in sorted(known.items()) if is_scan(asset)}


def retell_scan(platform: Platform, connection: Connection, entry: Mapping[str, Any]) -> None:
    """Bring the tables up to one entry of the kind `flaw`, where it is of a scan."""
    body = entry["body"]
    if body["act"] == "scan-kept":
        blob = next(one for one in entry["blobs"] if one["name"] == "packages")
        rows = json.loads(platform.ledger.get_blob(blob["digest"]))
        put_scan(connection, body["scan"], datetime.fromisoformat(body["at"]), rows)
    elif body["act"] == "scan-forgotten":
        forget_host(connection, SCAN + body["scan"])
