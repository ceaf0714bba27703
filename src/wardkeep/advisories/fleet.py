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

    hosts: dict[str, list[Place]] = field(default_factory=dict)
    having: dict[tuple[str, str], dict[str, list[str]]] = field(default_factory=dict)

    @classmethod
    def of(cls, inventories: Mapping[str, Iterable[Component]]) -> Fleet:
        made = cls()
        for host, components in inventories.items():
            made.add(host, ((c.ecosystem, c.name, c.version) for c in components))
        return made

    def add(self, host: str, places: Iterable[Place]) -> None:
        self.hosts[host] = kept = list(places)
        for ecosystem, name, version in kept:
            self.having.setdefault((ecosystem, name), {}).setdefault(version, []).append(host)

    def match(self, db: Database) -> dict[str, list[Hit]]:
        """For each host its package versions that some row's span holds."""
        hits: dict[Place, Hit] = {}
        for (ecosystem, name), versions in self.having.items():
            rows = db.package(ecosystem, name)
            if rows is None:
                continue
            for version in versions:
                place = (ecosystem, name, version)
                try:
                    numbers = rows.affected(version)
                    if numbers:
                        hits[place] = Hit(place, rows, numbers)
                except NotAVersion:
                    hits[place] = Hit(place, rows, range(len(rows.flaws)), refused=True)
        get = hits.get
        return {host: [hit for place in places if (hit := get(place))] for host, places in self.hosts.items()}

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
