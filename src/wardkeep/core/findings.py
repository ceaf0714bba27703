"""Verdicts, severities, citations and findings."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

import msgspec
from msgspec.structs import force_setattr


class Verdict(StrEnum):
    """What one look at one rule showed."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    UNKNOWN = "unknown"  # we could not look, or did not understand: never counts as a pass


class Severity(StrEnum):
    """How pressing a failing rule is; deadlines hang on it."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    @property
    def rank(self) -> int:
        """0 for the most pressing."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Citation:
    """A paragraph of 45 CFR and the sentence that says why keeping the rule (or row) serves it.

    `kind` is R (required), A (addressable) or s (a standard that must be met), as in the 2013 Omnibus text.
    """

    paragraph: str  # "164.312(a)(2)(i)"
    kind: str
    because: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What a rule's check says of one subject. Good news is said too: it is evidence.

    `subject` is stable over time (`user:alice`, `port:tcp/22`, `sshd`): findings are followed by it.
    `seen` quotes what was seen, `todo` is the next act when it fails. `severity` overrides the rule's.
    `since` is an ISO date when the fault began in the world (an advisory's date), where it is known.
    """

    verdict: Verdict
    subject: str
    seen: str
    todo: str = ""
    severity: Severity | None = None
    since: str = ""


def passes(subject: str, seen: str) -> Seen:
    return Seen(Verdict.PASS, subject, seen)


def fails(subject: str, seen: str, todo: str, *, severity: Severity | None = None, since: str = "") -> Seen:
    return Seen(Verdict.FAIL, subject, seen, todo, severity, since)


def unsure(subject: str, why: str, todo: str = "") -> Seen:
    """The fact is there but does not decide this subject."""
    return Seen(Verdict.UNKNOWN, subject, why, todo)


def holds(claim: bool, subject: str, seen: str, todo: str) -> Seen:
    """Pass if the claim is true, fail otherwise."""
    return passes(subject, seen) if claim else fails(subject, seen, todo)


# A struct, which is made and written as JSON in half of a data class's time: a cycle over a fleet makes them by the hundred
# thousand. No `gc`: texts form no rings.
class Finding(msgspec.Struct, frozen=True, gc=False):
    """A rule, a host (or `platform`), a subject there, and what was seen.

    `fingerprint` is stable over cycles: it names rule, host and subject, never what was seen. 16 hex digits; always made here.
    """

    control: str
    rule: str  # "system_access.no_root_login"
    says: str  # the rule's sentence, so that an auditor needs no source code
    host: str
    subject: str
    verdict: Verdict
    severity: Severity
    seen: str
    todo: str = ""
    since: str = ""
    fingerprint: str = ""

    def __post_init__(self) -> None:
        # Made once: a cycle asks each of its hundred thousand findings for it several times.
        made = hashlib.sha256(f"{self.rule}\x1f{self.host}\x1f{self.subject}".encode()).hexdigest()[:16]
        force_setattr(self, "fingerprint", made)
