"""All that is claimed of one package, in columns: a version is placed once among the versions that matter, then numbers decide.

`p` is how many of the known version keys are at or below the version in question. A claim from version number i on holds when
i < p; one fixed by version number f holds when f ≥ p. With rows in the order of f, what may hold is one slice.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from wardkeep.advisories.ecosystems import scheme_of
from wardkeep.advisories.records import Says
from wardkeep.advisories.versions import NotAVersion, Scheme, scheme

FROM_START = 0  # introduced: number + 1 of the version; 0 is "from the first on"
NEVER = 2**32 - 1  # fixed: no end
UP_TO = "≤ "  # before a version that still has the flaw


class Row(NamedTuple):
    """One claim as stored. `flaw` and `feed` are numbers of the database."""

    flaw: int
    says: Says
    introduced: str
    fixed: str  # "≤ 1.2" when 1.2 is the last one with the flaw
    note: str
    advisory: str
    feed: int
    day: int  # days since 1970-01-01; 0 when the source gives none


class Stored(msgspec.Struct, array_like=True):
    versions: list[str]
    keys: list[bytes]  # empty where the scheme has none
    texts: list[str]
    flaws: bytes
    says: bytes
    introduced: bytes
    fixed: bytes
    notes: bytes
    advisories: bytes
    feeds: bytes
    days: bytes


ENCODE = msgspec.msgpack.Encoder().encode
DECODE = msgspec.msgpack.Decoder(Stored).decode


@dataclass(slots=True)
class PackageRows:
    """The claims of one package of one ecosystem, ready to be asked."""

    order: Scheme
    stored: Stored
    flaws: array[int]
    introduced: array[int]
    fixed: array[int]
    bounded: bool  # some claim begins later than the first version
    live: int  # before this number stand the rows that say "not affected"

    def affected(self, version: str, key: bytes | None = None) -> Sequence[int]:
        """The numbers of the rows that say the version is affected, or may be. Raises NotAVersion."""
        if self.order.key is None or (self.stored.versions and not self.stored.keys):
            return [i for i in range(self.live, len(self.flaws)) if self._holds(i, version)]
        p = bisect_right(self.stored.keys, self.key_of(version) if key is None else key)
        first = bisect_left(self.fixed, p, self.live)
        if not self.bounded:
            return range(first, len(self.flaws))
        introduced = self.introduced
        return [i for i in range(first, len(self.flaws)) if introduced[i] <= p]

    def key_of(self, version: str) -> bytes:
        assert self.order.key is not None
        return self.order.key(self.order.normal(version))

    def row(self, i: int) -> Row:
        stored = self.stored
        low, end = self.introduced[i], self.fixed[i]
        number = array("I")
        number.frombytes(stored.notes[4 * i : 4 * i + 4] + stored.advisories[4 * i : 4 * i + 4])
        days = array("H")
        days.frombytes(stored.days[2 * i : 2 * i + 2])
        return Row(
            self.flaws[i],
            Says(stored.says[i]),
            stored.versions[low - 1] if low else "",
            stored.versions[end] if end != NEVER else "",
            stored.texts[number[0]],
            stored.texts[number[1]],
            stored.feeds[i],
            days[0],
        )

    def rows(self) -> Iterator[Row]:
        return map(self.row, range(len(self.flaws)))

    def rows_of(self, flaw: int) -> list[int]:
        return [i for i, one in enumerate(self.flaws) if one == flaw]

    def _holds(self, i: int, version: str) -> bool:
        row = self.row(i)
        normal = self.order.normal
        if row.introduced and self.order.compare(normal(version), normal(row.introduced)) < 0:
            return False
        if not row.fixed:
            return True
        if row.fixed.startswith(UP_TO):
            return self.order.compare(normal(version), normal(row.fixed.removeprefix(UP_TO))) <= 0
        return self.order.compare(normal(version), normal(row.fixed)) < 0


def pack(ecosystem: str, rows: Iterable[Row]) -> bytes:
    """The columns of one package as bytes. A version that its scheme refuses makes its rows undetermined, never absent."""
    order = scheme(scheme_of(ecosystem))
    keys: dict[str, Any] = {}
    rows = [_readable(order, row, keys) for row in rows]
    versions = sorted(keys, key=keys.__getitem__)
    place = {version: i for i, version in enumerate(versions)}
    place[""] = NEVER
    # What is said not to be affected stands first, outside of every slice.
    rows.sort(key=lambda row: (row.says is not Says.NOT_AFFECTED, place[row.fixed]))
    texts: dict[str, int] = {}
    notes = [texts.setdefault(row.note, len(texts)) for row in rows]
    advisories = [texts.setdefault(row.advisory, len(texts)) for row in rows]
    stored = Stored(
        versions,
        [keys[version] for version in versions] if order.key is not None else [],
        list(texts),
        array("I", [row.flaw for row in rows]).tobytes(),
        bytes([row.says for row in rows]),
        array("I", [place[row.introduced] + 1 if row.introduced else FROM_START for row in rows]).tobytes(),
        array("I", [place[row.fixed] for row in rows]).tobytes(),
        array("I", notes).tobytes(),
        array("I", advisories).tobytes(),
        bytes([row.feed for row in rows]),
        array("H", [row.day for row in rows]).tobytes(),
    )
    return ENCODE(stored)


def unpack(ecosystem: str, data: bytes) -> PackageRows:
    stored = DECODE(data)
    flaws, introduced, fixed = array("I"), array("I"), array("I")
    flaws.frombytes(stored.flaws)
    introduced.frombytes(stored.introduced)
    fixed.frombytes(stored.fixed)
    live = stored.says.count(bytes((Says.NOT_AFFECTED,)))
    return PackageRows(scheme(scheme_of(ecosystem)), stored, flaws, introduced, fixed, any(introduced), live)


def _key(order: Scheme, version: str) -> Any:
    """Where a bound stands. The least key above a last flawed version is its own and one byte."""
    if order.key is None:
        return version
    if version.startswith(UP_TO):
        return order.key(order.normal(version.removeprefix(UP_TO))) + b"\0"
    return order.key(order.normal(version))


def _readable(order: Scheme, row: Row, keys: dict[str, Any]) -> Row:
    """The row, with the keys of its versions noted; undetermined when one of them is no version of its scheme."""
    try:
        for version in (row.introduced, row.fixed):
            if version and version not in keys:
                if order.key is None:
                    order.compare(version.removeprefix(UP_TO), "1")
                keys[version] = _key(order, version)
    except NotAVersion as e:
        return row._replace(
            says=Says.UNDETERMINED, introduced="", fixed="", note=f"{row.note} ({e.what})".strip()
        )
    return row
