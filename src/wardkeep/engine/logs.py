"""Structured logs: one JSON object a line on stderr, without secrets."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TextIO
from urllib.parse import unquote, urlsplit

from wardkeep.engine.config import Config

MASK = "***"
# What looks like a secret wherever it comes from: the password in an address, a token after its name, a private key.
SHAPES = (
    re.compile(r"(?<=://)[^/@\s]+(?=@)"),
    re.compile(r"(?i)(?<=[?&]token=)[^\s&\"']+"),
    re.compile(r"(?i)(?<=\bbearer )[A-Za-z0-9._~+/=-]+"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)"),
)


class JsonLines(logging.Formatter):
    """`{"at", "level", "logger", "message"}`, and `"error"` with the exception's type: never its text, which may quote data."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self.secrets: list[str] = []
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Leave these out too, from now on."""
        known = {*self.secrets, *(secret for secret in secrets if len(secret) > 3)}
        # The longest first, so that a secret inside another leaves nothing behind.
        self.secrets = sorted(known, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "at": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.clean(record.getMessage()),
        }
        if record.exc_info and record.exc_info[0]:
            told["error"] = record.exc_info[0].__name__
        return json.dumps(told, ensure_ascii=False)

    def clean(self, text: str) -> str:
        """The text without any secret we know of and anything that has the shape of one."""
        for secret in self.secrets:
            text = text.replace(secret, MASK)
        for shape in SHAPES:
            text = shape.sub(MASK, text)
        return text


def secrets_of(config: Config) -> set[str]:
    """The whole addresses that hold secrets, and each secret part of them, as written and decoded."""
    found: set[str] = set()
    for address in (config.settings.database_url, *config.settings.alerts_urls):
        if "://" not in address:
            continue
        found.add(address)
        parts = urlsplit(address)
        # Chat services put a token where others put a host; a name with dots is a host.
        places = [part for part in re.split("[@:]", parts.netloc) if "." not in part and part != "localhost"]
        places += [*parts.path.split("/"), *(pair.partition("=")[2] for pair in parts.query.split("&"))]
        for part in places:
            if len(part) >= 8:
                found |= {part, unquote(part)}
    return found


def start_logging(config: Config, stream: TextIO = sys.stderr, level: int = logging.INFO) -> None:
    """Send everything that is logged to `stream`, as JSON lines. Other programs' chatter below warning is left out."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines(secrets_of(config)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("wardkeep").setLevel(level)


def learn_secrets(config: Config) -> None:
    """What is a secret in a configuration that was read after logging began is left out of the log like the others."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, JsonLines):
            handler.formatter.learn(secrets_of(config))
