"""The values of settings that have a form of their own: addresses of the console, of alerts, of the database.

Each function raises BadInput with what is wrong and how it is written; the file and line are the caller's to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from wardkeep.core.errors import BadInput


def read_listen(text: str) -> tuple[str, int]:
    """Address (IPv6 without its brackets) and port of `127.0.0.1:8420` or `[::1]:8420`. Raises BadInput."""
    address, _, port = text.rpartition(":")
    if not address or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise BadInput(
            f"`{text[:80]}` is no address and port",
            where="--listen",
            todo='Write for example "127.0.0.1:8420".',
        )
    return address.removeprefix("[").removesuffix("]"), int(port)


def _read_origin(text: str) -> None:
    """How browsers reach the console. The sign-in link begins with it: plain http leaves no machine but this one."""
    todo = 'Write for example "https://console.example.org".'
    try:
        parts = urlsplit(text)
        named = re.fullmatch(r"[\w.:-]+", parts.hostname or "") and parts.port != 0
    except ValueError:  # brackets or a port that are none
        named = False
    bare = named and not (parts.path.strip("/") or parts.query or parts.fragment or parts.username)
    if text and not (bare and parts.scheme in ("https", "http")):
        raise BadInput(f"`{text[:80]}` is no address of a console", todo=todo)
    if text and parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise BadInput(f"`{text[:80]}` would send sign-in links and cookies unencrypted", todo=todo)


def _read_addresses(addresses: tuple[str, ...]) -> None:
    for number, text in enumerate(addresses, 1):  # an address is a secret: only its number is said
        scheme, colon, rest = text.partition("://")
        if not (colon and rest and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme)):
            raise BadInput(
                f"number {number} is no address", todo='Write for example "mailto://…" or "json://…".'
            )


def _read_database(text: str) -> None:
    if text and not text.startswith(("postgresql://", "postgres://", "postgresql+psycopg://", "sqlite:///")):
        raise BadInput(
            "is no database that Wardkeep knows",
            todo='Write "postgresql://user@host/name", or leave it out: SQLite in the state folder.',
        )


# section, key, and what refuses a wrong value of it with BadInput
CHECKED: tuple[tuple[str, str, Callable[[Any], object]], ...] = (
    ("console", "listen", read_listen),
    ("console", "url", _read_origin),
    ("alerts", "urls", _read_addresses),
    ("database", "url", _read_database),
)
