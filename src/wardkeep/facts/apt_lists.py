"""The package archives a host is set up to use, and how old its copies of their lists are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import APT_CACHE, END, QUOTE, Section, sections

FORMAT = "$(SITE)|$(RELEASE)|$(COMPONENT)|$(ARCHITECTURE)|$(TRUSTED)"
SCRIPT = f"""{QUOTE}command -v apt-get >/dev/null || exit 127
{APT_CACHE}targets() {{ apt-get $apt_cache indextargets "$@"; }}
out=$(targets --no-release-info --format '{FORMAT}' 'Created-By: Packages') || exit $?
printf '= configured\\n'
[ -z "$out" ] || printf '%s\\n' "$out" | quote
out=$(targets --format '{FORMAT}' 'Created-By: Packages') || exit $?
printf '= present\\n'
[ -z "$out" ] || printf '%s\\n' "$out" | quote
lists=
eval "$(apt-config shell lists Dir::State::lists/d)"
[ -d "$lists" ] || exit 3
for file in "$lists"*_InRelease "$lists"*_Release; do
  [ -f "$file" ] || continue
  printf '= release %s\\n' "${{file##*/}}"
  sed -n '/^\\(MD5Sum\\|SHA1\\|SHA256\\|SHA512\\):/q;/^[A-Z][A-Za-z-]*: /p' "$file" | quote
done
{END}"""


@dataclass(frozen=True, slots=True)
class Target:
    """One list of packages of one archive. `trusted` is apt's word that its signature was verified (or waived)."""

    site: str
    release: str
    component: str
    architecture: str
    trusted: bool

    @property
    def archive(self) -> tuple[str, str]:
        return (self.site, self.release)


@dataclass(frozen=True, slots=True)
class Release:
    """What an archive says of itself in its signed Release file. Times are UTC; `until` is None where it sets no end."""

    file: str
    origin: str
    label: str
    suite: str
    codename: str
    date: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class AptLists:
    """What is configured, what of it the host has a copy of, and when those copies were made by the archive."""

    ask: ClassVar[Question] = Question("apt_lists", SCRIPT, tool="apt-get", timeout=60, shares="apt")
    configured: tuple[Target, ...]
    present: tuple[Target, ...]
    releases: tuple[Release, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        """Sections `configured`, `present`, then one `release FILE` each. Not checked: the signatures, which apt did."""
        told = list(sections(answer))
        if [section.name for section in told[:2]] != ["configured", "present"]:
            raise NotUnderstood(
                "the sections do not begin with `configured`, `present`", where=answer.question
            )
        if any(section.name != "release" for section in told[2:]):
            raise NotUnderstood("a section that is no `release`", where=answer.question)
        configured, present = (tuple(_target(line, answer.question) for line in s.lines) for s in told[:2])
        return cls(configured, present, tuple(_release(s, answer.question) for s in told[2:]))

    @property
    def absent(self) -> tuple[tuple[str, str], ...]:
        """Archives (site, release) that are configured and of which not one list is there."""
        have = {t.archive for t in self.present}
        return tuple(sorted({t.archive for t in self.configured} - have))

    def labelled(self, labels: tuple[str, ...]) -> tuple[Release, ...]:
        return tuple(r for r in self.releases if r.label in labels)


def _target(line: str, question: str) -> Target:
    parts = line.split("|")
    if len(parts) != 5 or not all(parts):
        raise NotUnderstood(f"`{line[:80]}` is no index target", where=question)
    site, release, component, architecture, trusted = parts
    return Target(site, release, component, architecture, trusted == "yes")


def _release(told: Section, question: str) -> Release:
    said: dict[str, str] = {}
    for line in told.lines:
        key, _, value = line.partition(": ")
        if key in said:
            raise NotUnderstood(f"{told.about} says `{key}` twice", where=question)
        said[key] = value.strip()
    if "Date" not in said:
        raise NotUnderstood(f"{told.about} has no Date", where=question)
    until = _when(said["Valid-Until"], told.about, question) if "Valid-Until" in said else None
    get = said.get
    date = _when(said["Date"], told.about, question)
    names = (get("Origin", ""), get("Label", ""), get("Suite", ""), get("Codename", ""))
    return Release(told.about, *names, date, until)


def _when(text: str, file: str, question: str) -> datetime:
    try:
        # Release files write "UTC", which RFC 5322 does not know as a zone and the library leaves naive.
        return parsedate_to_datetime(text.replace(" UTC", " +0000")).astimezone(UTC)
    except ValueError:
        raise NotUnderstood(f"{file} has no readable date: `{text[:40]}`", where=question) from None
