"""The accounts of an open platform: its state, its ledger, and a sealing key in the folder's `keys`."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from wardkeep.core.errors import Unavailable
from wardkeep.engine.accounts import Accounts, Factors, open_accounts
from wardkeep.engine.accounts.books import Books, Seal, utc_now
from wardkeep.engine.accounts.factors import about_totp
from wardkeep.engine.folder import KEYS
from wardkeep.engine.in_force import serving
from wardkeep.engine.platform import Platform
from wardkeep.store.schema import users

FIRST_OPERATOR = "operator"  # the name of the first person; a name is no secret, and there is no password
SEAL = "seal"  # 32 random bytes; opens the TOTP secrets in the database


def accounts_of(
    platform: Platform,
    *,
    clock: Callable[[], datetime] = utc_now,
    factors: Callable[[Books], Factors] = Factors,
) -> Accounts:
    """Who may come in to this platform. Makes the sealing key at the first call. Raises Unavailable."""

    def record(kind: str, actor: str, body: Mapping[str, Any]) -> object:
        return platform.record(kind, actor, dict(body))

    books = Books(platform.store, record, Seal(_seal_key(platform.folder / KEYS / SEAL)), clock)
    return open_accounts(books, factors=factors(books))


def origin_of(platform: Platform, port: int = 0) -> str:
    """How browsers reach the console: as configured, else http on localhost (the name that passkeys work under).

    Where no `port` is given, that of the server which holds the folder now: `up --listen` may have chosen another one.
    """
    settings = platform.config.settings
    if settings.console_url:
        return settings.console_url.rstrip("/")
    server = None if port else serving(platform.folder)
    port = port or (server.port if server else 0) or int(settings.console_listen.rpartition(":")[2])
    return f"http://localhost:{port}"


def first_link(platform: Platform, accounts: Accounts, port: int = 0) -> str:
    """A one-time link for the operator who has not enrolled yet; "" once somebody has. Makes the first operator."""
    people = accounts.users.all()
    if any(user.enrolled and user.role == "operator" and not user.disabled for user in people):
        return ""
    waiting = next((user for user in people if user.role == "operator" and not user.disabled), None)
    name = waiting.name if waiting else accounts.users.add(FIRST_OPERATOR, "operator", by="engine").name
    return link_for(platform, accounts, name, port, by="engine")


def link_for(
    platform: Platform, accounts: Accounts, user: str, port: int = 0, *, by: str, origin: str = ""
) -> str:
    """A one-time sign-in link: single use, 15 minutes. `origin` when it is known better than from the configuration."""
    return f"{origin or origin_of(platform, port)}/sign-in/link?token={accounts.links.issue(user, by=by)}"


def second_factors(platform: Platform) -> int:
    """How many people's authenticator apps the sealing key opens; makes none. Raises Unavailable."""
    path = platform.folder / KEYS / SEAL
    with platform.store.read() as db:
        sealed = db.execute(
            select(users.c.name, users.c.totp_sealed).where(users.c.totp_sealed.is_not(None))
        ).all()
    if sealed and not path.exists():
        raise Unavailable("the sealing key is missing", where=str(path), todo="Restore it from a backup.")
    for name, secret in sealed:
        Seal(_seal_key(path)).open(secret, about_totp(name))
    return len(sealed)


def _seal_key(path: Path) -> bytes:
    """Read the key, or make it. Two that start at once end up with the same one."""
    try:
        if not path.exists():
            _make_key(path)
        key = path.read_bytes()
    except OSError as e:
        raise Unavailable(f"the sealing key cannot be read ({e.strerror})", where=str(path)) from None
    if len(key) != 32:
        raise Unavailable("the sealing key is damaged", where=str(path), todo="Restore it from a backup.")
    return key


def _make_key(path: Path) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another was first, and its key holds
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
