"""The numbers that rules are held to, in two profiles, and how often each row is observed and drilled.

Source of the numbers: 45 CFR 164 (the Security Rule in force) names almost none, so profile `hipaa` carries
the product's defaults; `hipaa-proposed-2025` carries those of the proposed rule of January 2025 (90 FR 898),
which is not law. Spans named by the calendar are its longest ones: a month is 31 days, a year 366.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from datetime import timedelta
from typing import Any

from wardkeep.core.errors import BadInput

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

# The most days that so many months in a row can have: "monthly" is kept by a drill on 31 July and on 31 August.
LONGEST_MONTHS = (0, 31, 62, 92, 123, 153, 184, 215, 245, 276, 306, 337)
UNITS = {"s": timedelta(seconds=1), "min": timedelta(minutes=1), "h": HOUR, "d": DAY, "w": 7 * DAY}


def months(count: int) -> timedelta:
    """The longest span of `count` calendar months, leap days included: 1 → 31 d, 12 → 366 d, 72 → 2192 d."""
    years, rest = divmod(count, 12)
    return timedelta(days=365 * years + -(-years // 4) + LONGEST_MONTHS[rest])


WORDS = {"daily": DAY, "weekly": 7 * DAY, "monthly": months(1), "quarterly": months(3), "yearly": months(12)}
NAMED = {months(1): "1 month", months(3): "3 months", months(6): "6 months", months(12): "12 months"} | {
    months(72): "6 years"
}


def _doc(doc: str, unit: str) -> Mapping[str, str]:
    return {"doc": doc, "unit": unit}


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Every number a rule may be held to. Durations are `timedelta`; each field's metadata has `doc` and `unit`."""

    patch_critical: timedelta = field(
        metadata=_doc("a fix for a critical flaw is installed within", "duration")
    )
    patch_high: timedelta = field(metadata=_doc("a fix for a high flaw is installed within", "duration"))
    vulnerability_scan: timedelta = field(
        metadata=_doc("hosts and images are scanned for flaws every", "duration")
    )
    vulnerability_review: timedelta = field(
        metadata=_doc("what was published about the fleet is reviewed by a person every", "duration")
    )
    penetration_test: timedelta = field(metadata=_doc("a penetration test is attested every", "duration"))
    backup_age: timedelta = field(metadata=_doc("the newest backup is at most this old", "duration"))
    restore_drill: timedelta = field(metadata=_doc("a backup is restored as a drill every", "duration"))
    restore_critical: timedelta = field(metadata=_doc("critical systems are restored within", "duration"))
    failover_drill: timedelta = field(metadata=_doc("a failover is drilled every", "duration"))
    intrusion_drill: timedelta = field(
        metadata=_doc("an attack is injected to try the sensor every", "duration")
    )
    firewall_audit: timedelta = field(
        metadata=_doc("firewall rules and whitelists are audited every", "duration")
    )
    access_review: timedelta = field(metadata=_doc("who has access is reviewed every", "duration"))
    access_end: timedelta = field(metadata=_doc("a person who leaves has no access after", "duration"))
    key_rotation: timedelta = field(metadata=_doc("an encryption key is replaced every", "duration"))
    admin_mfa: bool = field(metadata=_doc("every administrative path needs a second factor", "yes/no"))
    encryption: bool = field(metadata=_doc("data is encrypted at rest and in transit", "yes/no"))
    tls_at_least: str = field(metadata=_doc("the oldest TLS version accepted", "TLS version"))
    inventory_review: timedelta = field(
        metadata=_doc("asset inventory and network map are reviewed every", "duration")
    )
    compliance_audit: timedelta = field(metadata=_doc("every standard is audited every", "duration"))
    records_kept: timedelta = field(
        metadata=_doc("records of actions, activities and assessments are kept", "duration")
    )

    def override(self, changes: Mapping[str, object], *, where: str = "") -> Numbers:
        """These numbers with some replaced. Values: `24 h`, `monthly`, true/false, `1.3`, or already typed.

        Raises BadInput naming the nearest valid name for a wrong key, or the accepted form of the value.
        """
        known = {f.name: f for f in fields(self)}
        for name in changes:
            if name not in known:
                raise BadInput(f"no number is called `{name}`", where=where, todo=did_you_mean(name, known))
        read: dict[str, Any] = {name: _read(known[name], value, where) for name, value in changes.items()}
        return replace(self, **read)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest valid name as a sentence, or all of them when none is near."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"Did you mean `{near[0]}`?" if near else "Valid: " + ", ".join(names) + "."


def read_duration(text: str) -> timedelta:
    """`24 h`, `15 d`, `2 w`, `6 months`, `daily` … as a timedelta above zero. Raises BadInput otherwise."""
    words = text.strip().lower()
    if words in WORDS:
        return WORDS[words]
    match = re.fullmatch(r"(\d{1,5}) ?(s|min|h|d|w|months?|years?)", words)
    if not match or int(match[1]) == 0:
        raise BadInput(
            f"`{text}` is no duration", todo="Write for example `24 h`, `15 d`, `6 months` or `monthly`."
        )
    count, unit = int(match[1]), match[2]
    if unit in UNITS:
        return count * UNITS[unit]
    return months(count * (12 if unit.startswith("year") else 1))


def show_duration(span: timedelta) -> str:
    """A duration as a person says it: `24 h`, `15 d`, `6 months`, `6 years`. `read_duration` reads it back."""
    if span in NAMED:
        return NAMED[span]
    seconds = int(span.total_seconds())
    for name, unit, least in (("d", 86400, 4), ("h", 3600, 1), ("min", 60, 1)):
        if seconds % unit == 0 and seconds >= least * unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"


def _read(known: Field[Any], value: object, where: str) -> object:
    unit = known.metadata["unit"]
    try:
        if unit == "duration":
            return (
                value if isinstance(value, timedelta) and value > timedelta() else read_duration(str(value))
            )
        if unit == "yes/no" and isinstance(value, bool):
            return value
        if unit == "TLS version" and str(value) in ("1.2", "1.3"):
            return str(value)
    except BadInput as e:
        raise BadInput(f"{known.name}: {e.what}", where=where, todo=e.todo) from None
    form = "`true` or `false`" if unit == "yes/no" else '"1.2" or "1.3"'
    raise BadInput(f"{known.name}: `{value}` does not fit", where=where, todo=f"Write {form}.")


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often a row is due. `drill` is None where no drill of ours applies (the customer's own rows)."""

    observe: timedelta
    drill: timedelta | None


@dataclass(frozen=True, slots=True)
class Profile:
    """A named set of numbers. `label` is shown wherever the profile's name is shown."""

    name: str
    label: str
    is_law: bool
    numbers: Numbers

    @property
    def title(self) -> str:
        """Name and label together, so that no page can show one without the other."""
        return f"{self.name} ({self.label})"

    def override(self, changes: Mapping[str, object], *, where: str = "") -> Profile:
        return replace(self, numbers=self.numbers.override(changes, where=where))


HIPAA = Profile(
    "hipaa",
    "the Security Rule in force, with Wardkeep's default numbers",
    True,
    Numbers(
        patch_critical=15 * DAY,
        patch_high=30 * DAY,
        vulnerability_scan=DAY,
        vulnerability_review=DAY,
        penetration_test=months(12),
        backup_age=24 * HOUR,
        restore_drill=months(1),
        restore_critical=72 * HOUR,
        failover_drill=months(3),
        intrusion_drill=7 * DAY,
        firewall_audit=months(1),
        access_review=90 * DAY,
        access_end=HOUR,
        key_rotation=months(12),
        admin_mfa=True,
        encryption=True,
        tls_at_least="1.2",
        inventory_review=months(12),
        compliance_audit=months(12),
        records_kept=months(72),
    ),
)

PROPOSED_2025 = Profile(
    "hipaa-proposed-2025",
    "proposed rule of January 2025 (90 FR 898), not law",
    False,
    replace(
        HIPAA.numbers,
        vulnerability_scan=months(6),
        backup_age=48 * HOUR,
        failover_drill=months(12),
        intrusion_drill=months(12),
        firewall_audit=months(12),
        access_review=months(12),
    ),
)

PROFILES: Mapping[str, Profile] = {p.name: p for p in (HIPAA, PROPOSED_2025)}


def profile(name: str, *, where: str = "") -> Profile:
    """The profile of that name. Raises BadInput naming the nearest one."""
    if name not in PROFILES:
        raise BadInput(f"no profile is called `{name}`", where=where, todo=did_you_mean(name, PROFILES))
    return PROFILES[name]


def cadence(row: str, numbers: Numbers) -> Cadence:
    """How often the row is observed and drilled: daily and quarterly, unless a number says otherwise.

    A look is never rarer than daily: it is cheap, and a sabotaged control should go red within a day. The
    numbers that name a longer span (a scan every six months) are what the rules themselves are held to.
    """
    drills: Mapping[str, timedelta | None] = {
        "backups": numbers.restore_drill,
        "database_engine": numbers.restore_drill,  # its drill is a restore as well
        "replication": numbers.failover_drill,
        "redundancy": numbers.failover_drill,
        "intrusion_prevention": numbers.intrusion_drill,
        "intrusion_analysis": numbers.intrusion_drill,
        "alerting": numbers.intrusion_drill,  # an alert nobody has seen arrive for a week is hope
        "firewall": numbers.firewall_audit,
        "firewall_audit": numbers.firewall_audit,
        "system_access": numbers.access_review,
        "keys": numbers.key_rotation,
        "app_authentication": None,  # the customer's own rows: attested, not exercised by us
        "app_access": None,
        "client_side_encryption": None,
        "code_review": None,
    }
    observe = min(DAY, numbers.backup_age) if row == "backups" else DAY
    return Cadence(observe, drills.get(row, months(3)))
