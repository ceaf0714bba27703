"""An entry of an allowlist, and the lists as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from wardkeep.allowlists.networks import Network
from wardkeep.allowlists.services import Span, write_service

ALLOW, DENY = "allow", "deny"
PUBLIC, INTERNAL = "public", "internal"
DEFAULT_LIST = "default"


@dataclass(frozen=True, slots=True)
class Entry:
    """Who may reach (`action` allow) or must not reach (deny) which service, and why.

    `expires` is the last day on which the entry holds (UTC). `line` is where it begins in `file`, from 1; 0 if it is not from
    a file. Texts that nobody wrote are "", days that nobody wrote are None.
    """

    network: Network
    spans: tuple[Span, ...]
    action: str = ALLOW
    list: str = DEFAULT_LIST
    owner: str = ""
    reason: str = ""
    ticket: str = ""
    created: date | None = None
    expires: date | None = None
    reviewed: date | None = None
    reviewer: str = ""
    text: str = ""  # the network as it was written
    file: str = ""
    line: int = 0

    @property
    def service(self) -> str:
        return write_service(self.spans)

    @property
    def key(self) -> str:
        """What the entry says, the same over time whatever becomes of its dates: `admins: 192.0.2.0/24 → 22/tcp`."""
        deny = "deny " if self.action == DENY else ""
        return f"{self.list}: {deny}{self.network} → {self.service}"

    @property
    def id(self) -> str:
        """Ten hex digits made of the key. Two entries that say the same have the same one."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:10]

    def expired(self, today: date) -> bool:
        return self.expires is not None and self.expires < today

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Named:
    """What a list is for. `scope` is `public` (parties on the internet) or `internal` (networks of one's own)."""

    scope: str = PUBLIC
    says: str = ""


@dataclass(frozen=True, slots=True)
class Allowlist:
    """All entries, in the order of their lines, and what is said of each list by name.

    `bare` says that the file's form has no place for owners and dates: a plain list of networks.
    """

    entries: tuple[Entry, ...]
    lists: Mapping[str, Named] = field(default_factory=dict)
    bare: bool = False

    def scope(self, entry: Entry) -> str:
        known = self.lists.get(entry.list)
        return known.scope if known else PUBLIC

    def in_force(self, today: date) -> tuple[Entry, ...]:
        """The entries that hold on this day: what a compiled policy may open."""
        return tuple(entry for entry in self.entries if not entry.expired(today))
