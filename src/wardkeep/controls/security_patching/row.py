"""The row itself, its policy, and the reasons its rules share."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from wardkeep.core.control import Control
from wardkeep.core.errors import BadInput
from wardkeep.core.findings import Severity

RISK = "164.308(a)(1)(ii)(B)"
MALWARE = "164.308(a)(5)(ii)(B)"


@dataclass(frozen=True)
class Policy:
    """How soon a fix is installed, and which archives fixes may come from."""

    critical_days: int = field(
        default=15,
        metadata={"doc": "a critical fix is installed within", "unit": "d", "number": "patch_critical"},
    )
    high_days: int = field(
        default=30, metadata={"doc": "a high fix is installed within", "unit": "d", "number": "patch_high"}
    )
    severity_when_unknown: str = field(
        default="critical",
        metadata={
            "doc": "severity of an update whose severity the host cannot tell (apt's lists never do): critical or high"
        },
    )
    list_days: int = field(
        default=7,
        metadata={"doc": "oldest list of security updates that is still believed", "unit": "d"},
    )
    security_labels: tuple[str, ...] = field(
        default=("Debian-Security",), metadata={"doc": "labels of the archives that carry security updates"}
    )
    origins: tuple[str, ...] = field(
        default=("Debian",), metadata={"doc": "origins (of Release files) that packages may come from"}
    )
    held: tuple[str, ...] = field(default=(), metadata={"doc": "packages that may be held at their version"})
    unsupported: tuple[str, ...] = field(
        default=(), metadata={"doc": "packages that may be installed though no archive offers them"}
    )

    def __post_init__(self) -> None:
        if self.severity_when_unknown not in self.days:
            raise BadInput(
                f"`{self.severity_when_unknown}` is no severity with a deadline here",
                where="security_patching.severity_when_unknown",
                todo="Write critical or high.",
            )

    @property
    def days(self) -> dict[str, int]:
        return {"critical": self.critical_days, "high": self.high_days}

    @property
    def assumed(self) -> Severity:
        """The severity of an update about which nothing else is known."""
        return Severity(self.severity_when_unknown)

    @property
    def deadline(self) -> timedelta:
        """How long an update of that severity may be pending."""
        return timedelta(days=self.days[self.severity_when_unknown])


control = Control("security_patching", policy=Policy)
