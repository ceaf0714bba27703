"""Where alerts go: e-mail, webhooks and chat services through Apprise. An address is a secret; only its name is shown."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import apprise

from wardkeep.engine.config import Settings


@dataclass(frozen=True)
class Channel:
    """One way to somebody. `name` is the kind and number of the address (`mailto #1`), all that is ever shown of it."""

    name: str
    url: str = field(repr=False)


def channels(settings: Settings) -> list[Channel]:
    """The channels of the operator's file, numbered by kind in its order."""
    counts: dict[str, int] = {}
    made = []
    for url in settings.alerts_urls:
        scheme, colon, _ = url.partition("://")
        kind = scheme.lower() if colon and re.fullmatch(r"[A-Za-z0-9+.-]{1,30}", scheme) else "unreadable"
        counts[kind] = counts.get(kind, 0) + 1
        made.append(Channel(f"{kind} #{counts[kind]}", url))
    return made


def send(channel: Channel, title: str, body: str) -> str:
    """Hand one message over, waiting at most some seconds. Returns "" when it was taken, else why not (no address in it).

    Not checked: that a person reads it; a service that takes a message may still lose it.
    """
    with _overhearing() as heard:
        try:
            out = apprise.Apprise()
            if not out.add(channel.url):
                return "the address is none that Apprise understands"
            taken = out.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT)
        # A defect of one of a hundred services must not stop the others, nor pass for a delivery.
        except Exception as e:  # noqa: BLE001
            return f"the service's code failed ({type(e).__name__})"
    return "" if taken else heard.reason()


@contextmanager
def _overhearing() -> Iterator[_Listener]:
    """Log lines of Apprise and of the HTTP library hold parts of an address: they stay here, off every log."""
    heard = _Listener()
    loggers = [logging.getLogger(name) for name in ("apprise", "urllib3")]
    before = [(logger, logger.propagate, logger.level) for logger in loggers]
    for logger in loggers:
        logger.addHandler(heard)
        logger.propagate = False
    loggers[0].setLevel(logging.INFO)
    try:
        yield heard
    finally:
        for logger, propagates, level in before:
            logger.removeHandler(heard)
            logger.propagate = propagates
            logger.setLevel(level)


class _Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def reason(self) -> str:
        said = "\n".join(self.lines)
        if code := re.search(r"error=(\d{3})\b", said):
            return f"the service answered with status {code[1]}"
        if re.search(r"connection|connect|timed? ?out|socket|refused", said, re.IGNORECASE):
            return "the service could not be reached"
        return "the service did not take the message"
