"""The row's policy and the control that the other modules of this folder fill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from wardkeep.core.control import Control


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What access to the hosts is held to. People are named here because no host knows whose an account is."""

    root_login_by_key: bool = field(
        default=False,
        metadata={"doc": "root may log in over SSH with a key (never with a password)", "unit": "yes/no"},
    )
    people: Mapping[str, str] = field(
        default_factory=dict,
        metadata={"doc": 'whose each account is: alice = "Alice Doe <alice@example.org>"', "unit": "names"},
    )
    machines: tuple[str, ...] = field(
        default=(),
        metadata={"doc": "accounts that programs log in with, such as Wardkeep's own", "unit": "accounts"},
    )
    administrators: tuple[str, ...] = field(
        default=(), metadata={"doc": "accounts that may become root", "unit": "accounts"}
    )
    temporary: tuple[str, ...] = field(
        default=(), metadata={"doc": "accounts of people who are here for a time only", "unit": "accounts"}
    )
    leavers: tuple[str, ...] = field(
        default=(), metadata={"doc": "accounts of people who have left", "unit": "accounts"}
    )
    keys: Mapping[str, str] = field(
        default_factory=dict,
        metadata={"doc": 'whose each key is, by fingerprint: "SHA256:…" = "alice"', "unit": "names"},
    )
    dormant_after: timedelta = field(
        default=timedelta(days=90),
        metadata={
            "doc": "an account nobody used for this long is dormant",
            "unit": "duration",
            "number": "access_review",
        },
    )
    rsa_bits: int = field(default=3072, metadata={"doc": "the shortest RSA key accepted", "unit": "bits"})
    idle_after: timedelta = field(
        default=timedelta(minutes=15), metadata={"doc": "an idle session ends after", "unit": "duration"}
    )
    tries: int = field(
        default=10, metadata={"doc": "wrong passwords until an account locks", "unit": "tries"}
    )
    second_factor: bool = field(
        default=True,
        metadata={
            "doc": "who can become root needs a second factor to log in",
            "unit": "yes/no",
            "number": "admin_mfa",
        },
    )
    bastions: tuple[str, ...] = field(
        default=(),
        metadata={
            "doc": "addresses of bastions where the second factor is asked instead",
            "unit": "addresses",
        },
    )

    def owner(self, account: str) -> str:
        """Whose the account is by policy, "" for nobody's."""
        return self.people.get(account, "") or ("a program" if account in self.machines else "")


control = Control("system_access", policy=Policy)
