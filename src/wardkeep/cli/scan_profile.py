"""How `wardkeep scan profile` looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wardkeep.core.errors import Unavailable
from wardkeep.scans.profile import HostProfile, host_profile

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Judged:
    """The profile, and what its rules say now (None where there is no platform)."""

    profile: HostProfile
    host: str
    verdicts: Mapping[str, str] | None

    def of(self, rules: Sequence[str]) -> str:
        """The worst verdict of the rules; a rule that was never held is unknown. "" without a platform or without rules."""
        from wardkeep.engine.profile_views import worst_of

        if self.verdicts is None or not rules:
            return ""
        return worst_of(self.verdicts.get(rule, "unknown") for rule in rules)


def judged(state: Path | None, host: str) -> Judged:
    """The verdicts of the platform in `state`. Raises BadInput for a host that is not known."""
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.hosts import find_host
    from wardkeep.engine.platform import open_platform
    from wardkeep.engine.profile_views import rule_verdicts

    made = host_profile()
    try:
        with open_platform(find_folder(state)) as platform:
            if host:
                find_host(platform, host)
            return Judged(made, host, rule_verdicts(platform, made.rules, host))
    except Unavailable:
        if state is not None or host:
            raise
        return Judged(made, host, None)


def as_json(told: Judged) -> dict[str, Any]:
    profile = told.profile
    topics = {
        one.id: {"says": one.says, "covers": one.covers, "rules": one.rules, "reason": one.reason}
        for one in profile.topics
    }
    return {
        "profile": profile.name, "says": profile.says, "releases": profile.releases, "source": profile.source,
        "host": told.host,
        "controls": [
            {
                "id": one.id, "title": one.title, "verdict": told.of(one.rules) or None, "topics": [t.id for t in one.topics],
                "rules": {rule: (told.verdicts or {}).get(rule) for rule in one.rules},
                "reasons": {t.id: t.reason for t in one.topics if t.reason},
            }
            for one in profile.controls
        ],
        "topics": topics,
        "cis": [
            {"section": s.number, "name": s.name, "levels": s.levels, "rules": s.rules, "reason": s.reason,
             "verdict": told.of(s.rules) or None}
            for s in profile.cis
        ],
    }  # fmt: skip


def show_profile(out: Console, told: Judged, cis: bool) -> None:
    from wardkeep.cli.terminal import state, table

    where = f" on {told.host}" if told.host else ""
    out.print(f"{told.profile.says}{where}.", style="bold")
    if told.verdicts is None:
        out.print("No platform is here, so that no verdict is shown.", style="dim")
    if cis:
        shown = table("section", "levels", "state", "rules or reason")
        for section in told.profile.cis:
            said = told.of(section.rules)
            rules = ", ".join(section.rules)
            shown.add_row(
                f"{section.number} {section.name}", " ".join(section.levels), state(said) if said else "-",
                f"{rules}{'. ' if rules and section.reason else ''}{section.reason}",
            )  # fmt: skip
        out.print(shown)
        return
    shown = table("45 CFR", "control", "state", "looked at by", "not looked at")
    for one in told.profile.controls:
        said = told.of(one.rules)
        bare = [topic.id for topic in one.topics if not topic.rules]
        rules = f"{len(one.rules)} rules" if one.rules else "none"
        shown.add_row(one.id, one.title, state(said) if said else "-", rules, ", ".join(bare))
    out.print(shown)
    out.print(
        "Reasons, and each control's rules: wardkeep scan profile --json, or docs/host-profile.md.",
        style="dim",
    )
