"""Passkeys (WebAuthn level 2): two factors in one, bound to this console's origin.

User verification is required, so that a stolen key without its PIN or finger opens nothing. A passkey works only
under a name, never under an IP address: on the loopback the console is opened as http://localhost.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

import sqlalchemy as sa

from wardkeep.core.errors import BadInput, Refused
from wardkeep.engine.accounts.books import Books, digest
from wardkeep.engine.accounts.users import User
from wardkeep.store.schema import passkeys

CHALLENGE_LIFE = timedelta(minutes=5)
MOST_CHALLENGES = 2000


@dataclass(frozen=True, slots=True)
class Passkey:
    """One enrolled passkey; `id` is the credential's id in base64url."""

    id: str
    name: str
    created: datetime
    last_used: datetime | None


@dataclass(frozen=True, slots=True)
class Party:
    """The relying party: `id` is the console's host name, `origin` scheme, name and port as the browser shows them."""

    id: str
    origin: str


class Passkeys:
    """Enrol and check passkeys. Challenges live in this process for five minutes and are good once."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self._challenges: OrderedDict[str, tuple[bytes, datetime]] = OrderedDict()
        self._lock = Lock()

    def of(self, user: User) -> list[Passkey]:
        query = sa.select(passkeys).where(passkeys.c.user == user.name).order_by(passkeys.c.created)
        with self.books.store.read() as db:
            return [Passkey(r.credential, r.name, r.created, r.last_used) for r in db.execute(query)]

    def enrol_options(self, user: User, party: Party, ticket: str) -> dict[str, Any]:
        """Options for `navigator.credentials.create`. `ticket` ties the challenge to the browser asking."""
        from webauthn import generate_registration_options, options_to_json
        from webauthn.helpers import base64url_to_bytes
        from webauthn.helpers.structs import (
            AuthenticatorSelectionCriteria,
            PublicKeyCredentialDescriptor,
            ResidentKeyRequirement,
            UserVerificationRequirement,
        )

        options = generate_registration_options(
            rp_id=party.id,
            rp_name="Wardkeep",
            user_id=bytes.fromhex(digest("user:" + user.name)),
            user_name=user.name,
            user_display_name=user.display or user.name,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[
                PublicKeyCredentialDescriptor(id=base64url_to_bytes(key.id)) for key in self.of(user)
            ],
        )
        self._put(ticket, options.challenge)
        return dict(json.loads(options_to_json(options)))

    def enrol(self, user: User, party: Party, ticket: str, credential: dict[str, Any], name: str) -> Passkey:
        """Keep the new passkey. Raises Refused with one sentence when the browser's answer does not hold."""
        from webauthn import verify_registration_response
        from webauthn.helpers import bytes_to_base64url
        from webauthn.helpers.exceptions import WebAuthnException

        try:
            seen = verify_registration_response(
                credential=credential,
                expected_challenge=self._take(ticket),
                expected_rp_id=party.id,
                expected_origin=party.origin,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, KeyError, TypeError):
            raise Refused(
                "the passkey's answer could not be verified", todo="Try again from this page."
            ) from None
        key = bytes_to_base64url(seen.credential_id)
        row = {
            "credential": key,
            "user": user.name,
            "name": name.strip()[:60] or "Passkey",
            "public_key": seen.credential_public_key,
            "sign_count": seen.sign_count,
            "transports": [],
            "created": self.books.clock(),
        }
        try:
            with self.books.store.begin() as db:
                db.execute(sa.insert(passkeys).values(row))
        except sa.exc.IntegrityError:
            raise Refused("this passkey is enrolled already", todo="Use another one.") from None
        self.books.record(
            "user", user.actor, {"act": "passkey enrolled", "user": user.name, "name": row["name"]}
        )
        return Passkey(key, str(row["name"]), self.books.clock(), None)

    def sign_in_options(self, party: Party, ticket: str) -> dict[str, Any]:
        """Options for `navigator.credentials.get`. Names no credentials: nothing is learnt about who has one."""
        from webauthn import generate_authentication_options, options_to_json
        from webauthn.helpers.structs import UserVerificationRequirement

        options = generate_authentication_options(
            rp_id=party.id, user_verification=UserVerificationRequirement.REQUIRED
        )
        self._put(ticket, options.challenge)
        return dict(json.loads(options_to_json(options)))

    def check(self, party: Party, ticket: str, credential: dict[str, Any]) -> str:
        """The name of the user whose passkey signed the challenge. Raises Refused."""
        from webauthn import verify_authentication_response
        from webauthn.helpers.exceptions import WebAuthnException

        no = Refused("that passkey is not known here", todo="Use another passkey, or a one-time link.")
        key = str(credential.get("id", ""))[:512]
        challenge = self._take(ticket)
        with self.books.store.read() as db:
            row = db.execute(sa.select(passkeys).where(passkeys.c.credential == key)).one_or_none()
        if row is None:
            raise no
        try:
            seen = verify_authentication_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=party.id,
                expected_origin=party.origin,
                credential_public_key=row.public_key,
                credential_current_sign_count=row.sign_count,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, KeyError, TypeError):
            raise no from None
        values = {"sign_count": seen.new_sign_count, "last_used": self.books.clock()}
        with self.books.store.begin() as db:
            db.execute(sa.update(passkeys).where(passkeys.c.credential == key).values(values))
        return str(row.user)

    def remove(self, user: User, key: str) -> None:
        """Forget one passkey. Refused when nothing else would be left to sign in with."""
        if user.passkeys == 1 and not user.has_totp:
            raise Refused("this is your only way to sign in", todo="Set up another passkey or an app first.")
        mine = sa.and_(passkeys.c.credential == key, passkeys.c.user == user.name)
        with self.books.store.begin() as db:
            if not db.execute(sa.delete(passkeys).where(mine)).rowcount:
                raise BadInput("there is no such passkey of yours", todo="Reload the page.")
        self.books.record("user", user.actor, {"act": "passkey removed", "user": user.name})

    def _put(self, ticket: str, challenge: bytes) -> None:
        with self._lock:
            self._challenges[digest(ticket)] = (challenge, self.books.clock() + CHALLENGE_LIFE)
            while len(self._challenges) > MOST_CHALLENGES:
                self._challenges.popitem(last=False)

    def _take(self, ticket: str) -> bytes:
        with self._lock:
            challenge, until = self._challenges.pop(digest(ticket), (b"", self.books.clock()))
        if not challenge or until < self.books.clock():
            raise Refused("this page waited too long for the passkey", todo="Try again.")
        return challenge
