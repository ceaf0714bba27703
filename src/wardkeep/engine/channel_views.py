"""Where alerts go and whether they arrive, without any address. Read only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from wardkeep.engine.channels import channels
from wardkeep.engine.platform import Platform
from wardkeep.store.schema import deliveries


@dataclass(frozen=True)
class ChannelView:
    """A channel by name. `waiting` messages could not be handed over yet; `problem` is why the newest of them could not."""

    name: str
    last_delivered: datetime | None
    waiting: int
    problem: str


def deliveries_by_channel(platform: Platform) -> list[ChannelView]:
    """Every channel of the operator's file, in its order."""
    d, known = deliveries.c, channels(platform.config.settings)
    with platform.store.read() as read:
        last = {
            name: at
            for name, at in read.execute(
                select(d.channel, func.max(d.delivered, type_=d.delivered.type)).group_by(d.channel)
            )
        }
        open_ = read.execute(
            select(d.channel, d.problem).where(d.next_try.is_not(None), d.attempts > 0).order_by(d.created)
        ).all()
    waiting = {
        name: [row.problem for row in open_ if row.channel == name] for name in {row.channel for row in open_}
    }
    return [
        ChannelView(c.name, last.get(c.name), len(waiting.get(c.name, [])), (waiting.get(c.name) or [""])[-1])
        for c in known
    ]
