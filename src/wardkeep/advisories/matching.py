"""Holding an inventory against the database: for each package and flaw a state, and the reason in words.

For a vendor's packages only the vendor's own claims decide. Nothing is guessed from product names (CPE).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from wardkeep.advisories.build import EPOCH, StoredFlaw
from wardkeep.advisories.components import Component, Notice
from wardkeep.advisories.database import Database
from wardkeep.advisories.ecosystems import VENDORS, family, is_vendor, scheme_of
from wardkeep.advisories.packages import UP_TO, PackageRows, Row
from wardkeep.advisories.records import Says
from wardkeep.advisories.risk import Risk, risk_of
from wardkeep.advisories.severity import LABELS
from wardkeep.advisories.versions import NotAVersion
from wardkeep.core.profiles import DAY, Numbers


class State(StrEnum):
    """What a flaw is to an installed package."""

    FIX_AVAILABLE = "fix_available"  # affected, and the vendor has released the fix
    NO_FIX = "no_fix"  # affected, no released fix
    IGNORED = "ignored"  # affected; the vendor calls it minor, postpones or ignores it
    NOT_AFFECTED = "not_affected"
    UNKNOWN = "unknown"


STATES = {
    Says.FIXED: State.FIX_AVAILABLE,
    Says.FIX_NOT_RELEASED: State.NO_FIX,
    Says.OPEN: State.NO_FIX,
    Says.END_OF_LIFE: State.NO_FIX,
    Says.IGNORED: State.IGNORED,
    Says.NOT_AFFECTED: State.NOT_AFFECTED,
    Says.UNDETERMINED: State.UNKNOWN,
}
OTHER_VENDORS = ("DSA-", "DLA-", "USN-", "ALSA-", "RLSA-", "RHSA-")
# The most pressing claim stands for a package and flaw that several rows speak of.
WORST = (State.FIX_AVAILABLE, State.NO_FIX, State.UNKNOWN, State.IGNORED, State.NOT_AFFECTED)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Within what time a released fix is installed, by severity; a severity nobody gave is held to the second."""

    critical: timedelta = 15 * DAY
    high: timedelta = 30 * DAY

    @classmethod
    def of(cls, numbers: Numbers) -> Deadlines:
        return cls(numbers.patch_critical, numbers.patch_high)


@dataclass(frozen=True, slots=True)
class Match:
    """One package and one flaw."""

    id: str
    aliases: tuple[str, ...]
    component: Component
    state: State
    fixed: str
    severity: str  # critical, high, medium, low, unknown
    severity_source: str
    score: float | None
    kev: str  # the day CISA listed it, or ""
    epss: float | None
    ssvc: str
    risk: Risk
    since: date  # when the fix was published, else when this platform first had the flaw
    due: date | None
    published: str
    summary: str
    advisory: str
    why: str


@dataclass(frozen=True, slots=True)
class Matcher:
    """A database with the numbers it is held to."""

    db: Database
    deadlines: Deadlines = Deadlines()

    def matches(self, components: Iterable[Component], *, dismissed: bool = False) -> Iterator[Match]:
        """Every flaw that concerns the components; with `dismissed` also those that do not, with the reason."""
        for component in components:
            rows = self.db.package(component.ecosystem, component.name)
            if rows is not None:
                yield from self.of_package(component, rows, dismissed=dismissed)

    def of_package(
        self, component: Component, rows: PackageRows, *, dismissed: bool = False
    ) -> Iterator[Match]:
        inside, refused = _inside(component, rows)
        held: dict[int, list[tuple[State, Row, str]]] = {}
        for i in range(len(rows.flaws)) if dismissed else inside:
            row = rows.row(i)
            state, why = self._judge(component, row, i in inside, refused)
            if state is not State.NOT_AFFECTED or dismissed:
                held.setdefault(row.flaw, []).append((state, row, why))
        for flaw, found in held.items():
            state, row, why = min(found, key=lambda one: WORST.index(one[0]))
            yield self._match(component, flaw, state, row, why)

    def why(self, component: Component, flaw: int) -> list[tuple[State, Row, str]]:
        """Every row that speaks of the flaw for this package, each with its state and the comparison made."""
        rows = self.db.package(component.ecosystem, component.name)
        if rows is None:
            return []
        inside, refused = _inside(component, rows)
        told = []
        for i in rows.rows_of(flaw):
            row = rows.row(i)
            told.append((*self._judge(component, row, i in inside, refused), row))
        return [(state, row, why) for state, why, row in told]

    def _judge(self, component: Component, row: Row, inside: bool, refused: str) -> tuple[State, str]:
        feed = self.db.feed_names.get(row.feed, "?")
        source = f"{feed}{f' ({row.advisory})' if row.advisory and row.advisory not in row.note else ''}"
        said = f"{source}: {row.note}" if row.note else source
        if refused:
            return State.UNKNOWN, f"{said}; the installed version cannot be compared: {refused}"
        kind = f"{scheme_of(component.ecosystem)} order"
        version = component.version
        if inside and component.foreign and is_vendor(component.ecosystem):
            return State.UNKNOWN, (
                f"{said}; but {component.name} {version} is not from {family(component.ecosystem)}'s archive"
                f" ({component.foreign}), so these data do not decide"
            )
        if row.says is Says.NOT_AFFECTED:
            return (
                State.NOT_AFFECTED,
                f"{said}; {family(component.ecosystem)} says this release is not affected",
            )
        if not inside:
            if row.introduced and self._below(component, row):
                return (
                    State.NOT_AFFECTED,
                    f"{said}; {version} is below {row.introduced}, where it begins ({kind})",
                )
            bound = row.fixed.removeprefix(UP_TO)
            verb = (
                "is above the last version with it,"
                if row.fixed.startswith(UP_TO)
                else "is at or above the limit of what was looked at,"
                if row.says is Says.OPEN
                else "is at or above its fix"
            )
            return State.NOT_AFFECTED, f"{said}; {version} {verb} {bound} ({kind})"
        state = STATES[row.says]
        if row.fixed.startswith(UP_TO):
            text = f"{version} {row.fixed} ({kind}); no fixed version is named"
        elif row.fixed and row.says is Says.OPEN:
            text = (
                f"{version} < {row.fixed}, below which it was looked for ({kind}); no fixed version is named"
            )
        elif row.fixed:
            text = f"{version} < {row.fixed} ({kind})"
            if row.says is Says.FIX_NOT_RELEASED:
                text += "; that version is in no repository of this release yet"
        else:
            text = f"{version} installed, no fixed version"
        if row.introduced and not row.fixed.startswith(UP_TO):
            text = f"{row.introduced} ≤ {text}"
        if row.says is Says.END_OF_LIFE:
            text += "; the vendor's support has ended"
        return state, f"{said}; {text}"

    def _below(self, component: Component, row: Row) -> bool:
        rows = self.db.package(component.ecosystem, component.name)
        assert rows is not None
        order = rows.order
        return order.compare(order.normal(component.version), order.normal(row.introduced)) < 0

    def _match(self, component: Component, number: int, state: State, row: Row, why: str) -> Match:
        flaw = self.db.flaw(number)
        label, source, score = severity_of(flaw, component.ecosystem)
        risk = risk_of(
            label,
            score,
            kev=bool(flaw.kev),
            epss=flaw.epss,
            ssvc=flaw.ssvc,
            has_fix=state is State.FIX_AVAILABLE,
        )
        if flaw.kev:
            why += f"; known to be exploited since {flaw.kev} (CISA)"
        fixed = "" if row.fixed.startswith(UP_TO) or row.says is Says.OPEN else row.fixed
        return Match(
            flaw.id,
            self._aliases(number, row),
            component,
            state,
            fixed if state is not State.NOT_AFFECTED else "",
            label,
            source,
            score if score >= 0 else None,
            flaw.kev,
            flaw.epss if flaw.epss >= 0 else None,
            flaw.ssvc,
            risk,
            _since(flaw, row),
            self.due(state, label, flaw, row),
            flaw.published,
            flaw.summary,
            row.advisory,
            why,
        )

    def _aliases(self, number: int, row: Row) -> tuple[str, ...]:
        """Its other names: of the advisory that decided, and of databases; not the numbers of other vendors' advisories."""
        names = [name for name in self.db.aliases(number) if not name.startswith(OTHER_VENDORS)]
        own = [row.advisory] if row.advisory and not row.advisory.endswith(self.db.flaw(number).id) else []
        return tuple(dict.fromkeys([*own, *names]))

    def due(self, state: State, label: str, flaw: StoredFlaw, row: Row) -> date | None:
        """The day by which the released fix is to be installed: from the advisory's day, else from the day we first had it.

        None where there is no released fix, or the severity is medium or low and nobody is known to exploit it.
        """
        if state is not State.FIX_AVAILABLE:
            return None
        if label == "critical" or flaw.kev:
            span = self.deadlines.critical
        elif label in ("high", "unknown"):
            span = self.deadlines.high
        else:
            return None
        return _since(flaw, row) + span


def _since(flaw: StoredFlaw, row: Row) -> date:
    return EPOCH + timedelta(days=row.day) if row.day else date.fromisoformat(flaw.seen)


def _inside(component: Component, rows: PackageRows) -> tuple[set[int], str]:
    """The rows whose span holds the version; all of them, with the reason, when it cannot be compared.

    A rebuild of another archive that added an epoch would sort above every fix: it is compared without the epoch too.
    """
    try:
        inside = set(rows.affected(component.version))
        if component.foreign and ":" in component.version:
            inside.update(rows.affected(component.version.partition(":")[2]))
    except NotAVersion as e:
        return set(range(len(rows.flaws))), e.what
    return inside, ""


def severity_of(flaw: StoredFlaw, ecosystem: str) -> tuple[str, str, float]:
    """(label, whose, score or -1): the vendor's own word first, then GitHub's or PyPA's, then the highest of the
    CVE record's, then of another vendor's."""
    ratings = [one for one in flaw.ratings if one[1] in LABELS]
    vendor = [one for one in ratings if one[0] == family(ecosystem)]
    database = [one for one in ratings if one[0] in ("GitHub", "PyPA", "RustSec", "Go")]
    record = [one for one in ratings if one[0] not in VENDORS]
    for some in (vendor, database, record, ratings):
        if some:
            source, label, score = min(some, key=lambda one: (LABELS.index(one[1]), -one[2]))
            return label, source, score
    return "unknown", "nobody", -1.0


def foreign_notices(components: Iterable[Component]) -> Iterator[Notice]:
    """One for each package of another archive than the vendor's: the vendor's data say nothing of it."""
    for one in components:
        if one.foreign and is_vendor(one.ecosystem):
            why = f"{one.version} is not from {family(one.ecosystem)}'s archive: {one.foreign}"
            yield Notice("foreign_package", one.name, why)
