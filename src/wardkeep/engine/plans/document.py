"""A plan as plain data: what would change on one host, shown before, carried out as it stands, named by its digest."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from wardkeep.core.changes import PacketFate, TryConnect
from wardkeep.core.errors import BadInput, NotUnderstood
from wardkeep.ledger import canonical, parse_canonical

VERSION = 1


class FileChange(msgspec.Struct, frozen=True, tag="file", tag_field="kind", kw_only=True):
    """A file that Wardkeep keeps, written as a whole. `before` and `after` are digests, `before` "" for no file."""

    path: str
    before: str
    after: str
    content: str
    diff: str
    mode: str = "644"
    check: tuple[str, ...] = ()
    activate: tuple[str, ...] = ()
    rules: tuple[str, ...]
    subjects: tuple[str, ...] = ()

    @property
    def says(self) -> str:
        return f"{'Change' if self.before else 'Write'} {self.path}"

    @property
    def confirmed(self) -> bool:
        """Is it taken back by the host itself unless confirmed over a new connection? Whatever is put into force is."""
        return bool(self.activate)


class UpgradeChange(msgspec.Struct, frozen=True, tag="upgrade", tag_field="kind", kw_only=True):
    """Packages moved to other versions, in one transaction. `also` is what apt would install or move beside them."""

    packages: tuple[tuple[str, str, str], ...]  # (name, from, to)
    also: tuple[tuple[str, str, str], ...] = ()
    restarts: tuple[str, ...] = ()
    rules: tuple[str, ...]
    subjects: tuple[str, ...] = ()

    @property
    def says(self) -> str:
        names = ", ".join(name for name, _, _ in self.packages[:3])
        more = f" and {len(self.packages) - 3} more" if len(self.packages) > 3 else ""
        return f"Upgrade {names}{more}"

    @property
    def confirmed(self) -> bool:
        return False


class ActChange(msgspec.Struct, frozen=True, tag="act", tag_field="kind", kw_only=True):
    """A command with its undo ("" when there is nothing to undo)."""

    says: str
    script: str
    undo: str
    cuts_access: bool = False
    probes: tuple[TryConnect, ...] = ()
    packets: tuple[PacketFate, ...] = ()
    trial: int = 0
    rules: tuple[str, ...]
    subjects: tuple[str, ...] = ()

    @property
    def confirmed(self) -> bool:
        return self.cuts_access


AnyChange = FileChange | UpgradeChange | ActChange


class Withheld(msgspec.Struct, frozen=True, kw_only=True):
    """A change that is not made because it would do harm now: why, and what must be true first."""

    says: str
    reason: str
    todo: str
    rule: str
    subject: str = ""


class NoRemedy(msgspec.Struct, frozen=True, kw_only=True):
    """A failing rule that no change of ours can mend, or that could not be looked at; and why."""

    rule: str
    says: str
    reason: str
    subjects: tuple[str, ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that would be done on one host, and everything that would not, with the reasons."""

    version: int = VERSION
    host: str
    created: str  # UTC
    controls: tuple[str, ...]  # the rows it was made for
    policy: str  # digest of the policy it holds the host to
    changes: tuple[AnyChange, ...]
    withheld: tuple[Withheld, ...] = ()
    cannot: tuple[NoRemedy, ...] = ()
    unknown: tuple[NoRemedy, ...] = ()

    def data(self) -> dict[str, Any]:
        """The plan as JSON data."""
        made: dict[str, Any] = msgspec.to_builtins(self)
        for change in made["changes"]:
            for later in ("probes", "packets", "trial"):
                if not change.get(later, True):
                    del change[later]  # a plan stored before there were any keeps its name
        return made

    def document(self) -> str:
        return canonical(self.data()).decode()

    @property
    def digest(self) -> str:
        return digest(self.document())

    @property
    def id(self) -> str:
        """Short name of exactly this plan: `p-` and 12 digits of its digest."""
        return "p-" + self.digest.removeprefix("sha256:")[:12]

    @property
    def acts(self) -> str:
        """Digest of what would be done and withheld, whenever it was planned: two equal ones mean the host is as it was."""
        told = self.data()
        return digest(canonical([told["changes"], told["withheld"]]).decode())


def read_plan(document: str) -> Plan:
    """The plan of that canonical JSON. Raises NotUnderstood for anything else: a plan is carried out as it was shown."""
    try:
        return msgspec.convert(parse_canonical(document.encode()), Plan)
    except (BadInput, msgspec.ValidationError) as e:
        raise NotUnderstood(f"this is not a plan ({e})", todo="Plan again: `wardkeep plan`.") from None


def digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
