"""What every part of the accounts stands on: the database, the ledger's pen, and a clock."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wardkeep.core.errors import Unavailable
from wardkeep.store.opening import Store

Record = Callable[[str, str, Mapping[str, Any]], object]
"""`record(kind, actor, body)` appends one entry to the ledger; `kind` is `sign-in`, `user` or `token`."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def digest(secret: str) -> str:
    """SHA-256 in hex. Enough for secrets that we drew ourselves with 128 bits or more; never for passwords."""
    return hashlib.sha256(secret.encode()).hexdigest()


def draw() -> str:
    """A new secret of 256 bits, as text that is safe in a cookie and a URL."""
    return secrets.token_urlsafe(32)


def same(one: str, other: str) -> bool:
    """Compare without telling by the time taken where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())


@dataclass(frozen=True)
class Seal:
    """AES-256-GCM under a key that is kept outside the database: who reads the database learns no TOTP secret."""

    key: bytes = field(repr=False)

    def close(self, plain: bytes, about: str) -> bytes:
        nonce = secrets.token_bytes(12)
        return nonce + AESGCM(self.key).encrypt(nonce, plain, about.encode())

    def open(self, sealed: bytes, about: str) -> bytes:
        """Raises Unavailable when the key is another one or the bytes were changed."""
        try:
            return AESGCM(self.key).decrypt(sealed[:12], sealed[12:], about.encode())
        except (InvalidTag, ValueError):
            raise Unavailable(
                "the stored second factor cannot be opened with this platform's key",
                todo="Restore the key with the state, or run `wardkeep user reset NAME`.",
            ) from None


@dataclass(frozen=True)
class Books:
    """`store` is the state's database, `record` writes to the ledger, `clock` gives UTC."""

    store: Store
    record: Record
    seal: Seal
    clock: Callable[[], datetime] = utc_now
