"""The day's digest over the channels of the alerts: once a day, as a message like any other."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, insert, select, update

from wardkeep.engine.channels import channels
from wardkeep.engine.flaw_review.digest import as_text, digest, headline
from wardkeep.engine.platform import Platform
from wardkeep.store.flaw_tables import inventories
from wardkeep.store.schema import deliveries, settings

KEY = "flaw_digest"
FROM_HOUR = 6  # UTC


def digest_if_due(platform: Platform, now: datetime | None = None) -> bool:
    """Queue today's digest for every channel, unless that was done. Says whether it was done now."""
    now = now or datetime.now(UTC)
    if not platform.config.settings.alerts_digest or now.hour < FROM_HOUR:
        return False
    if not channels(platform.config.settings):
        return False
    with platform.store.read() as connection:
        last = connection.execute(select(settings.c.value).where(settings.c.key == KEY)).scalar() or {}
        looked = connection.execute(select(func.count()).select_from(inventories)).scalar_one()
    if last.get("day") == now.date().isoformat() or not looked:
        return False
    return bool(send_digest(platform, now, once=True))


def send_digest(platform: Platform, now: datetime | None = None, *, once: bool = False) -> list[str]:
    """Queue the digest for every channel now; returns their names. `once`: not if another worker did so today."""
    now = now or datetime.now(UTC)
    told = digest(platform, now)
    title = f"Wardkeep: {headline(told)}"
    ways = channels(platform.config.settings)
    day = {"day": now.date().isoformat()}
    with platform.store.begin() as connection:
        platform.store.lock(connection, KEY)
        known = connection.execute(select(settings.c.value).where(settings.c.key == KEY)).scalar()
        if once and known == day:
            return []
        if ways:
            body: dict[str, Any] = {"act": "digest", "title": title, "channels": [way.name for way in ways]}
            platform.record("alert", "engine", body)
        for way in ways:
            row = {"id": secrets.token_hex(16), "channel": way.name, "title": title}
            text = as_text(told, brief=True)
            connection.execute(insert(deliveries).values(**row, body=text, created=now, next_try=now))
        if known is None:
            connection.execute(insert(settings).values(key=KEY, value=day, changed=now))
        else:
            connection.execute(update(settings).where(settings.c.key == KEY).values(value=day, changed=now))
    return [way.name for way in ways]
