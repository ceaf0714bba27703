"""Codes from an authenticator app (RFC 6238), an optional password, and recovery codes."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field
from datetime import timedelta

import pyotp
import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from wardkeep.core.errors import BadInput
from wardkeep.engine.accounts.books import Books, digest, same
from wardkeep.engine.accounts.users import User
from wardkeep.store.schema import recovery_codes, users

STEP = 30  # seconds a code is shown
SHORTEST_PASSWORD = 12
RECOVERY_CODES = 10


@dataclass
class Factors:
    """What a person knows or holds, other than a passkey. `hasher` is argon2id with the library's own strength."""

    books: Books
    hasher: PasswordHasher = field(default_factory=PasswordHasher)
    _decoy: str = ""

    # --- the authenticator app
    def new_secret(self) -> str:
        """160 bits in base32, as RFC 4226 asks."""
        return pyotp.random_base32()

    def provisioning_uri(self, user: str, secret: str) -> str:
        """What the QR code says: `otpauth://totp/Wardkeep:alice?...`."""
        return pyotp.TOTP(secret).provisioning_uri(name=user, issuer_name="Wardkeep")

    def matches(self, secret: str, code: str) -> int | None:
        """The time step whose code this is (now, or one step either side for slow clocks and fingers), or None."""
        clean = "".join(code.split())
        if len(clean) != 6 or not clean.isascii() or not clean.isdigit():
            return None
        now, totp, found = self.books.clock(), pyotp.TOTP(secret), None
        for drift in (-1, 0, 1):  # always all three: the time taken must not tell which one matched
            at = now + timedelta(seconds=drift * STEP)
            if same(totp.at(at), clean):
                found = int(at.timestamp()) // STEP
        return found

    def set_totp(self, user: User, secret: str) -> None:
        sealed = self.books.seal.close(secret.encode(), about_totp(user.name))
        values = {"totp_sealed": sealed, "totp_last_step": 0}
        with self.books.store.begin() as db:
            db.execute(sa.update(users).where(users.c.name == user.name).values(values))
        self.books.record("user", user.actor, {"act": "authenticator app set up", "user": user.name})

    def check_totp(self, user: User, code: str) -> bool:
        """True for a right code that was not used before: each code is good once."""
        with self.books.store.read() as db:
            query = sa.select(users.c.totp_sealed).where(users.c.name == user.name)
            sealed = db.execute(query).scalar_one_or_none()
        if sealed is None:
            return False
        step = self.matches(self.books.seal.open(sealed, about_totp(user.name)).decode(), code)
        if step is None:
            return False
        # The database decides who was first: two requests with the same code cannot both move the step on.
        newer = sa.and_(users.c.name == user.name, users.c.totp_last_step < step)
        with self.books.store.begin() as db:
            return bool(db.execute(sa.update(users).where(newer).values(totp_last_step=step)).rowcount)

    # --- the password
    def set_password(self, user: User, password: str) -> None:
        if len(password) < SHORTEST_PASSWORD or len(password) > 256:
            raise BadInput(
                f"a password has {SHORTEST_PASSWORD} to 256 characters", todo="Three or four words do well."
            )
        if password.lower() in {user.name, user.display.lower()} or len(set(password)) < 5:
            raise BadInput(
                "that password would be guessed at once", todo="Three or four unrelated words do well."
            )
        hashed = self.hasher.hash(password)
        with self.books.store.begin() as db:
            db.execute(sa.update(users).where(users.c.name == user.name).values(password_hash=hashed))
        self.books.record("user", user.actor, {"act": "password set", "user": user.name})

    def check_password(self, user: User | None, password: str) -> bool:
        """Constant work whether or not the user exists or has a password, so that time does not tell names apart."""
        stored = None
        if user is not None and not user.disabled:
            with self.books.store.read() as db:
                query = sa.select(users.c.password_hash).where(users.c.name == user.name)
                stored = db.execute(query).scalar_one_or_none()
        if not self._decoy:
            self._decoy = self.hasher.hash(secrets.token_urlsafe(16))
        try:
            self.hasher.verify(stored or self._decoy, password[:256])
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    # --- recovery codes
    def new_recovery_codes(self, user: User) -> list[str]:
        """Ten fresh codes of 50 bits, shown once. Earlier ones stop working."""
        codes = [_grouped(secrets.token_bytes(7)) for _ in range(RECOVERY_CODES)]
        rows = [{"digest": _recovery_digest(user.name, code), "user": user.name} for code in codes]
        with self.books.store.begin() as db:
            db.execute(sa.delete(recovery_codes).where(recovery_codes.c.user == user.name))
            db.execute(sa.insert(recovery_codes), rows)
        self.books.record("user", user.actor, {"act": "recovery codes made", "user": user.name})
        return codes

    def use_recovery_code(self, user: User, code: str) -> bool:
        """Use one up. Of two at the same moment exactly one succeeds."""
        mine = sa.and_(
            recovery_codes.c.digest == _recovery_digest(user.name, code),
            recovery_codes.c.user == user.name,
            recovery_codes.c.used.is_(None),
        )
        with self.books.store.begin() as db:
            spend = sa.update(recovery_codes).where(mine).values(used=self.books.clock())
            return bool(db.execute(spend).rowcount)

    def recovery_codes_left(self, user: User) -> int:
        mine = sa.and_(recovery_codes.c.user == user.name, recovery_codes.c.used.is_(None))
        with self.books.store.read() as db:
            return int(db.execute(sa.select(sa.func.count()).where(mine)).scalar_one())


def about_totp(name: str) -> str:
    return f"totp:{name}"


def _grouped(raw: bytes) -> str:
    text = base64.b32encode(raw).decode()[:10].lower()
    return f"{text[:5]}-{text[5:]}"


def _recovery_digest(name: str, code: str) -> str:
    clean = "".join(c for c in code.lower() if c.isalnum())[:32]
    return digest(f"{name}:{clean}")
