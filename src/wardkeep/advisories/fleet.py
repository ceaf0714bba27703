"""Many hosts at once: each distinct package version is held against its rows once, whatever the number of hosts that have it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from wardkeep.advisories.components import Component
from wardkeep.advisories.database import Database
from wardkeep.advisories.packages import PackageRows
from wardkeep.advisories.versions import NotAVersion

Place = tuple[str, str, str]  # ecosystem, package, version


@dataclass(frozen=True, slots=True)
class Hit:
    """A package version with the numbers of the rows whose span holds it. `refused`: its version cannot be compared."""

    place: Place
    rows: PackageRows
    numbers: Sequence[int]
    refused: bool = False

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(slots=True)
class Fleet:
    """Who has what: package → version → hosts. Kept by the platform, so that a new advisory finds its hosts by two look-ups."""

    hosts: dict[str, list[int]] = field(default_factory=dict)  # numbers of places
    places: dict[Place, int] = field(default_factory=dict)
    having: dict[tuple[str, str], dict[str, list[str]]] = field(default_factory=dict)

    @classmethod
    def of(cls, inventories: Mapping[str, Iterable[Component]]) -> Fleet:
        made = cls()
        for host, components in inventories.items():
            made.add(host, ((c.ecosystem, c.name, c.version) for c in components))
        return made

    def add(self, host: str, places: Iterable[Place]) -> None:
        """One host; it must not be there yet."""
        self.hosts[host] = kept = []
        for place in places:
            kept.append(self.places.setdefault(place, len(self.places)))
            self.having.setdefault(place[:2], {}).setdefault(place[2], []).append(host)

    def match(self, db: Database) -> dict[str, list[Hit]]:
        """For each host its package versions that some row says are affected, or may be."""
        hits: list[Hit | None] = [None] * len(self.places)
        for place, number in self.places.items():
            rows = db.package(place[0], place[1])
            if rows is None:
                continue
            try:
                numbers = rows.affected(place[2])
                if numbers:
                    hits[number] = Hit(place, rows, numbers)
            except NotAVersion:
                hits[number] = Hit(place, rows, range(rows.live, len(rows.flaws)), refused=True)
        return {
            host: [hit for number in numbers if (hit := hits[number]) is not None]
            for host, numbers in self.hosts.items()
        }

    def affected_by(self, db: Database, name: str) -> dict[str, list[Place]]:
        """The hosts a flaw or advisory (by any of its names) concerns, with the package versions that make it so."""
        made: dict[str, list[Place]] = {}
        for number in db.numbers(name):
            for ecosystem, package in db.packages_of(number):
                versions = self.having.get((ecosystem, package))
                rows = db.package(ecosystem, package) if versions else None
                if not versions or rows is None:
                    continue
                wanted = set(rows.rows_of(number))
                for version, hosts in versions.items():
                    try:
                        inside = not wanted.isdisjoint(rows.affected(version))
                    except NotAVersion:
                        inside = True
                    if inside:
                        for host in hosts:
                            made.setdefault(host, []).append((ecosystem, package, version))
        return made
