"""Which release of which distribution a host runs (os-release(5)), and until when somebody mends its flaws.

Source of the dates: Debian's package distro-info-data 0.58+deb12u7 (debian.csv, ubuntu.csv; of 2026), as published by
the Debian and Ubuntu release teams. `full` ends the security team's own support; `long` ends Debian LTS, which
another team carries and which covers fewer packages and architectures. Paid extensions (ELTS, ESM) are not counted.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, sections

SCRIPT = (
    QUOTE
    + r"""
for file in /etc/os-release /usr/lib/os-release; do
  [ -r "$file" ] && { printf '= release %s\n' "$file"; quote <"$file"; break; }
done
"""
    + END
)
SOURCE = "distro-info-data 0.58+deb12u7"


@dataclass(frozen=True, slots=True)
class Support:
    """The last day of the security team's support, and of the long-term team's where there is one."""

    name: str
    full: date
    long: date | None = None


SUPPORT: Mapping[tuple[str, str], Support] = {
    ("debian", "9"): Support("stretch", date(2020, 7, 18), date(2022, 6, 30)),
    ("debian", "10"): Support("buster", date(2022, 9, 10), date(2024, 6, 30)),
    ("debian", "11"): Support("bullseye", date(2024, 8, 14), date(2026, 8, 31)),
    ("debian", "12"): Support("bookworm", date(2026, 7, 11), date(2028, 6, 30)),
    ("debian", "13"): Support("trixie", date(2028, 8, 9), date(2030, 6, 30)),
    ("ubuntu", "16.04"): Support("xenial", date(2021, 4, 30)),
    ("ubuntu", "18.04"): Support("bionic", date(2023, 5, 31)),
    ("ubuntu", "20.04"): Support("focal", date(2025, 5, 29)),
    ("ubuntu", "22.04"): Support("jammy", date(2027, 6, 1)),
    ("ubuntu", "24.04"): Support("noble", date(2029, 5, 31)),
    ("ubuntu", "24.10"): Support("oracular", date(2025, 7, 10)),
    ("ubuntu", "25.04"): Support("plucky", date(2026, 1, 15)),
    ("ubuntu", "25.10"): Support("questing", date(2026, 7, 9)),
    ("ubuntu", "26.04"): Support("resolute", date(2031, 5, 29)),
    ("ubuntu", "26.10"): Support("stonking", date(2027, 7, 15)),
}


@dataclass(frozen=True, slots=True)
class Release:
    """`id` and `version` as os-release writes them; `version` is "" for a release that is not out (testing, unstable)."""

    ask: ClassVar[Question] = Question("release", SCRIPT, root=False)
    id: str
    version: str
    pretty: str

    @property
    def support(self) -> Support | None:
        """Until when it is mended; None for a release this table does not have."""
        return SUPPORT.get((self.id, self.version))

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        """Raises NotUnderstood without a line ID=."""
        known: dict[str, str] = {}
        for section in sections(answer):
            for line in section.lines:
                key, equals, value = line.partition("=")
                if not line.strip() or line.startswith("#"):
                    continue
                try:
                    words = shlex.split(value)
                except ValueError:
                    raise NotUnderstood(f"os-release has the line `{line[:60]}`") from None
                if not equals or len(words) > 1:
                    raise NotUnderstood(f"os-release has the line `{line[:60]}`")
                known[key] = words[0] if words else ""
        if not known.get("ID"):
            raise NotUnderstood("the host has no os-release, or it names no distribution")
        pretty = known.get("PRETTY_NAME") or f"{known['ID']} {known.get('VERSION_ID', '')}".strip()
        return cls(known["ID"].lower(), known.get("VERSION_ID", ""), pretty)
