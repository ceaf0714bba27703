"""Of a declared entry: on which hosts it is in force, and when it was last used.

Three answers each, never two: a host that did not say leaves it *unknown*, which is neither "not in force" nor "never used".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from wardkeep.allowlists import Defect, Entry
from wardkeep.allowlists.usage import Record, Uses, came_by_either
from wardkeep.core.facts import Unknown
from wardkeep.engine.allowlist_diverted import Diverted
from wardkeep.facts.nftables import Nftables

USED, UNUSED, UNKNOWN, NONE = "used", "unused", "unknown", "none"
NO_HOST: Final = "no host's policy names its list"
NO_TABLE: Final = "our own table, which notes who came, is not there"
OLDER: Final = "our own table there is of an older Wardkeep, which did not note everybody"
NOBODY_YET: Final = "nobody is noted there, and since when it notes is not known"


@dataclass(frozen=True)
class LastUse:
    """`state`: used (at `at`, on `host`), unused (by nobody since `since`), unknown (`why`), none (a denial opens nothing).

    `at` is None of a use at a time that nobody recorded. Of a *used* entry `why` says of which hosts nothing is known besides.
    """

    state: str
    at: datetime | None = None
    host: str = ""
    since: datetime | None = None
    why: str = ""


@dataclass(frozen=True)
class Standing:
    """Hosts on which the entry is `in_force`; on which it is not, and on which that is `unclear`, each with why."""

    in_force: tuple[str, ...] = ()
    not_in_force: Mapping[str, str] = field(default_factory=dict)
    unclear: Mapping[str, str] = field(default_factory=dict)
    used: LastUse = field(default_factory=lambda: LastUse(UNKNOWN, why=NO_HOST))

    @property
    def state(self) -> str:
        """`not` if a host (or every, for want of one) keeps it out, `unknown` if one does not say, else `in force`."""
        if self.not_in_force or not (self.in_force or self.unclear):
            return "not"
        return "unknown" if self.unclear else "in force"


@dataclass(frozen=True)
class Noted:
    """What one host's own table noted of who came; `why` says why that is not known."""

    host: str
    uses: Uses
    since: datetime | None
    why: str
    diverted: Diverted | None = None


def noted(host: str, rules: Nftables | Unknown, record: Record, diverted: Diverted | Unknown) -> Noted:
    """The host's record, or why there is none."""
    why = ""
    if isinstance(rules, Unknown):
        why = rules.reason
    elif not rules.has_table("inet", "wardkeep"):
        why = NO_TABLE
    elif record.since is None:
        why = OLDER if record.uses else NOBODY_YET
    elif isinstance(diverted, Unknown):
        why = f"whether its rules send packets on is not known ({diverted.reason})"
    known = None if isinstance(diverted, Unknown) else diverted
    return Noted(host, Uses(record.uses), record.since, why, known)


def sent_on(ports: str) -> str:
    return f"{ports} is sent on to another destination before our own table can note who came"


def last_use(entry: Entry, records: Sequence[Noted]) -> LastUse:
    """The latest over these hosts. *Unused* only if every one of them kept a record, since the day of the shortest."""
    if not records:
        return LastUse(UNKNOWN, why=NO_HOST)
    found = [(at, one.host) for one in records if (at := one.uses.last(entry)) is not None]
    latest = max((at for at, _ in found), default=-1)
    whys = {one.host: one.why for one in records if one.why}
    for one in records:
        if one.diverted and not one.why and (ports := one.diverted.part_of(entry)):
            whys[one.host] = sent_on(ports)
    for one in records:
        perhaps = one.uses.perhaps(entry)
        if perhaps is not None and perhaps > latest:
            whys[one.host] = f"{came_by_either(perhaps)}, which an older table of ours did not tell apart"
    blind = "; ".join(f"{host}: {why}" for host, why in whys.items())
    if found:
        at, host = max(found)
        return LastUse(USED, datetime.fromtimestamp(at, UTC) if at else None, host, None, blind)
    if blind:
        return LastUse(UNKNOWN, why=blind)
    return LastUse(UNUSED, since=max(one.since for one in records if one.since is not None))


def standing(entry: Entry, told: Mapping[str, Sequence[Defect] | Unknown], used: LastUse) -> Standing:
    """From what each host makes of the entry's list: its defects of kind `not_effective`, or why it is not known."""
    inside: list[str] = []
    closed: dict[str, str] = {}
    unclear: dict[str, str] = {}
    for host, made in told.items():
        if isinstance(made, Unknown):
            unclear[host] = made.reason
            continue
        about = [d for d in made if d.kind == "not_effective" and d.entry.key == entry.key]
        if not about:
            inside.append(host)
        for defect in about:
            (unclear if defect.unknown else closed)[host] = defect.seen
    return Standing(tuple(inside), closed, unclear, used)
