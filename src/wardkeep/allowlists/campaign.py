"""A review campaign: every entry of the allowlist is kept, extended or removed by somebody with a name.

Pure: a campaign is told by its acts, in their order, as the ledger has them. Nothing is ever complete by itself: what
nobody decided stays on the list of what was left, in the minutes too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

KEEP, EXTEND, REMOVE = "keep", "extend", "remove"
DECISIONS = {KEEP: "kept", EXTEND: "extended", REMOVE: "removed"}
OPEN, COMPLETE, INCOMPLETE = "open", "complete", "closed incomplete"


def quarter(day: date) -> str:
    """`2026-Q4`: what a campaign is called if nobody names it."""
    return f"{day.year}-Q{(day.month + 2) // 3}"


@dataclass(frozen=True, slots=True)
class Decision:
    """One reviewer's word on one entry. `by` is who was at the terminal, `reviewer` who decided; `index` the ledger's entry."""

    entry: str  # its id
    decision: str
    reviewer: str
    by: str
    at: str  # UTC, ISO 8601
    says: str
    until: str
    index: int


@dataclass
class Campaign:
    """`entries` are those in the file when it began, as views, by id; `decisions` the last word on each."""

    name: str
    begun: str
    begun_by: str
    index: int
    entries: dict[str, Mapping[str, Any]]
    decisions: dict[str, Decision] = field(default_factory=dict)
    overruled: list[Decision] = field(default_factory=list)
    closed: str = ""
    closed_by: str = ""
    closing_says: str = ""

    @property
    def left(self) -> list[str]:
        """The ids that nobody has decided."""
        return [one for one in self.entries if one not in self.decisions]

    @property
    def state(self) -> str:
        if not self.left:
            return COMPLETE
        return INCOMPLETE if self.closed else OPEN

    @property
    def completed(self) -> str:
        """When the last entry was decided; "" while some are left."""
        return "" if self.left else max((d.at for d in self.decisions.values()), default=self.begun)

    def counts(self) -> dict[str, int]:
        told = {name: 0 for name in DECISIONS.values()}
        for decision in self.decisions.values():
            told[DECISIONS[decision.decision]] += 1
        return {**told, "left": len(self.left)}


def retold(acts: Iterable[Mapping[str, Any]], entries_of: Any) -> list[Campaign]:
    """The campaigns, oldest first, from ledger entries whose body has an `act`. `entries_of(act)` gives the views
    that a `review-start` kept in its blob. Acts of other kinds are passed over."""
    found: dict[str, Campaign] = {}
    for act in acts:
        body = act["body"]
        name = str(body.get("campaign", ""))
        what = body.get("act")
        if what == "review-start" and name not in found:
            views = {str(view["id"]): view for view in entries_of(act)}
            found[name] = Campaign(name, str(act["at"]), str(act["actor"]), int(act["index"]), views)
        elif what == "review-sign" and name in found:
            _sign(found[name], act)
        elif what == "remove":
            _taken_out(found.values(), act)
        elif what == "review-close" and name in found:
            one = found[name]
            one.closed, one.closed_by = str(act["at"]), str(act["actor"])
            one.closing_says = str(body.get("says", ""))
    return list(found.values())


def _sign(campaign: Campaign, act: Mapping[str, Any]) -> None:
    body = act["body"]
    for entry in body["entries"]:
        told = str(body["reviewer"]), str(body.get("says", "")), str(body.get("until", ""))
        _decide(campaign, str(entry), str(body["decision"]), act, *told)


def _taken_out(known: Iterable[Campaign], act: Mapping[str, Any]) -> None:
    """Who takes an entry out while a campaign is open, and says why, has decided it."""
    for campaign in known:
        if not campaign.closed and campaign.left:
            reviewer = str(act["actor"]).partition(":")[2] or str(act["actor"])
            entry, why = str(act["body"]["entry"]["id"]), str(act["body"].get("reason", ""))
            _decide(campaign, entry, REMOVE, act, reviewer, why, "")


def _decide(
    campaign: Campaign,
    entry: str,
    decision: str,
    act: Mapping[str, Any],
    reviewer: str,
    says: str,
    until: str,
) -> None:
    if entry not in campaign.entries:
        return
    if before := campaign.decisions.get(entry):
        campaign.overruled.append(before)
    by, at, index = str(act["actor"]), str(act["at"]), int(act["index"])
    campaign.decisions[entry] = Decision(entry, decision, reviewer, by, at, says, until, index)
