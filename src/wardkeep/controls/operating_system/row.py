"""The row's policy and the control that the other modules of this folder fill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from wardkeep.core.control import Control


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What the operating system is held to."""

    long_term_support: bool = field(
        default=True,
        metadata={
            "doc": "support by the long-term team (Debian LTS) is enough; it covers fewer packages",
            "unit": "yes/no",
        },
    )
    accepted_failures: tuple[str, ...] = field(
        default=(), metadata={"doc": "units whose failing is known and harmless", "unit": "units"}
    )
    clock_offset: timedelta = field(
        default=timedelta(seconds=1),
        metadata={"doc": "the clock differs from its source by at most", "unit": "duration"},
    )
    clock_skew: timedelta = field(
        default=timedelta(minutes=1),
        metadata={"doc": "the clock differs from Wardkeep's by at most", "unit": "duration"},
    )
    updates_within: timedelta = field(
        default=timedelta(days=3),
        metadata={"doc": "automatic updates last ran at most this long ago", "unit": "duration"},
    )
    kernel_settings: Mapping[str, str] = field(
        default_factory=dict,
        metadata={
            "doc": 'kernel settings wanted otherwise than by default; "any" leaves one out',
            "unit": "values",
        },
    )


control = Control("operating_system", policy=Policy)
