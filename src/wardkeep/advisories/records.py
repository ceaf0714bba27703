"""What feeds say, in one form: claims about packages, and facts about flaws."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

SHORT = 160  # characters; thousands of summaries stand in the database


class Says(IntEnum):
    """What one row of a feed says of versions in its span. The numbers are stored."""

    FIXED = 0  # affected below `fixed`, and the fix is in the archive
    FIX_NOT_RELEASED = 1  # the source names a fixing version that its archive does not have
    OPEN = 2  # affected, no fix
    IGNORED = 3  # affected; the vendor calls it minor, postpones or ignores it
    NOT_AFFECTED = 4
    UNDETERMINED = 5
    END_OF_LIFE = 6  # affected as far as anybody knows; the vendor does not look any more


@dataclass(frozen=True, slots=True)
class Claim:
    """One row: this flaw and this package of this ecosystem. `introduced` "" is from the first version on.

    `fixed` is the first version without the flaw, `last` the last one with it; both "" when there is none. `note` quotes the
    source. `advisory` is the vendor's own number (DSA-…, GHSA-…), `day` an ISO date when it was published.
    """

    ecosystem: str
    package: str
    flaw: str
    says: Says
    introduced: str = ""
    fixed: str = ""
    last: str = ""
    note: str = ""
    advisory: str = ""
    day: str = ""


@dataclass(frozen=True, slots=True)
class Rating:
    """How severe a flaw is, and who says so. `score` is CVSS's 0 to 10, or below 0 when only a word is given."""

    source: str
    label: str
    score: float = -1.0


def in_short(text: str) -> str:
    """A summary of at most 160 characters; what was cut ends with a word and `…`."""
    whole = " ".join(text[: 8 * SHORT].split())  # descriptions may be pages long
    if len(whole) <= SHORT:
        return whole
    cut = whole[:SHORT]
    return f"{cut.rpartition(' ')[0] or cut[:-1]}…"


@dataclass(slots=True)
class Flaw:
    """What is known of one flaw over all feeds. Hundreds of thousands are held at once: what is empty is shared."""

    id: str
    aliases: frozenset[str] = frozenset()
    summary: str = ""
    published: str = ""
    ratings: tuple[Rating, ...] = ()
    kev: str = ""  # the day CISA listed it as exploited
    kev_note: str = ""
    epss: float = -1.0
    ssvc: str = ""  # "exploitation=active automatable=yes impact=total"

    def merge(self, other: Flaw) -> None:
        """Take over what the other knows more. The earliest day of publishing wins."""
        self.aliases |= other.aliases - {self.id}
        self.summary = self.summary or other.summary
        days = [day for day in (self.published, other.published) if day]
        self.published = min(days, default="")
        self.ratings += tuple(one for one in other.ratings if one not in self.ratings)
        self.kev, self.kev_note = self.kev or other.kev, self.kev_note or other.kev_note
        self.epss = max(self.epss, other.epss)
        self.ssvc = self.ssvc or other.ssvc


@dataclass(frozen=True, slots=True)
class Stamp:
    """The day a feed says it was made, and how much it says it holds (0 when it does not say)."""

    day: str
    count: int = 0


Record = Claim | Flaw | Stamp
