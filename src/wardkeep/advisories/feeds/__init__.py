"""The feeds this engine reads: one module each, one line here. The first that recognises a document reads it."""

from __future__ import annotations

from wardkeep.advisories.feeds import cve5, debian_lists, debian_tracker, epss, kev, osv
from wardkeep.advisories.feeds.plugin import Plugin

FEEDS: tuple[Plugin, ...] = (
    kev.FEED,
    epss.FEED,
    cve5.FEED,
    debian_lists.FEED,
    debian_tracker.FEED,
    osv.FEED,
)


def feed_of(name: str, data: bytes) -> Plugin | None:
    """The feed a document belongs to, by its content; None when none knows it."""
    return next((feed for feed in FEEDS if feed.recognises(name, data)), None)
