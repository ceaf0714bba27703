"""The host profile: each HIPAA control of ComplianceAsCode, and each topic of the CIS benchmarks, mapped to our rules or a reason.

The data file holds names (of controls, of rules there and here) and our own sentences; which rules exist here is a matter of
the caller, so that this package stays usable alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

NAME = "hipaa-debian"
DEBIAN = ("12", "13")


@dataclass(frozen=True, slots=True)
class Topic:
    """What a group of rules elsewhere asks for. `covers` are patterns of rule names of ComplianceAsCode; `rules` are ours.

    `reason` says why there is no rule, or what of the group ours do not look at.
    """

    id: str
    says: str
    covers: tuple[str, ...]
    rules: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class ProfileControl:
    """A control of the profile: a paragraph of 45 CFR Part 164 and its topics. `rules_there` counts what was selected elsewhere."""

    id: str
    title: str
    rules_there: int
    topics: tuple[Topic, ...]

    @property
    def rules(self) -> tuple[str, ...]:
        """Our rules for this control, each once, in a stable order."""
        return tuple(sorted({rule for topic in self.topics for rule in topic.rules}))


@dataclass(frozen=True, slots=True)
class CisSection:
    """A section of the CIS benchmarks for Debian 12 and 13, by number; `levels` are those in which it asks for something."""

    number: str
    name: str
    levels: tuple[str, ...]
    rules: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class HostProfile:
    name: str
    says: str
    releases: tuple[str, ...]
    source: Mapping[str, Any]
    topics: tuple[Topic, ...]
    controls: tuple[ProfileControl, ...]
    cis: tuple[CisSection, ...]

    @property
    def rules(self) -> frozenset[str]:
        """Every rule of ours that the profile names."""
        named = [one.rules for one in self.topics] + [one.rules for one in self.cis]
        return frozenset(rule for rules in named for rule in rules)


def host_profile() -> HostProfile:
    """The profile that comes with Wardkeep."""
    held = json.loads((resources.files("wardkeep.scans") / f"{NAME}.json").read_text("utf-8"))
    topics = {
        id_: Topic(id_, one["says"], tuple(one["covers"]), tuple(one["rules"]), one["reason"])
        for id_, one in held["topics"].items()
    }
    controls = tuple(
        ProfileControl(id_, one["title"], one["rules_there"], tuple(topics[name] for name in one["topics"]))
        for id_, one in held["controls"].items()
    )
    cis = tuple(
        CisSection(number, one["name"], tuple(one["levels"]), tuple(one["rules"]), one["reason"])
        for number, one in held["cis"].items()
    )
    return HostProfile(
        held["name"],
        held["says"],
        tuple(held["releases"]),
        held["source"],
        tuple(topics.values()),
        controls,
        cis,
    )
