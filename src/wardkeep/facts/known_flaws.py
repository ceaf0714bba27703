"""Which published flaws concern a host's packages. The host is not asked: the engine answers, from its packages and the advisories.

The script ends with status 3 everywhere, so that an answer nobody filled in is never an answer. The engine's answer is one JSON object:
`{"ecosystem", "packages", "built", "unasked": [why, …], "foreign": [{"package", "why"}], "flaws": [{"id", "package",
"installed", "fixed", "state", "severity", "severity_source", "exploited", "since", "advisory", "waived"}], "stated": [{"id",
"package", "why"}]}`. `stated` are flaws left out because a reviewer stated that they do not concern; `waived` says until when and by whom. `state` is fix_available, no_fix,
ignored or unknown; `since` the ISO day the fix was published or first known here; `exploited` the day CISA listed it, or "".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question

STATES = ("fix_available", "no_fix", "ignored", "unknown")
SEVERITIES = ("critical", "high", "medium", "low", "unknown")


@dataclass(frozen=True, slots=True)
class KnownFlaw:
    """One flaw of one source package."""

    id: str
    package: str
    installed: str
    fixed: str
    state: str
    severity: str
    severity_source: str
    exploited: str
    since: date
    advisory: str
    waived: str = ""


@dataclass(frozen=True, slots=True)
class KnownFlaws:
    """`unasked` says why the answer is not whole: a feed that is absent or stale. `foreign`: package and archive."""

    ask: ClassVar[Question] = Question("known_flaws", "exit 3\n", root=False)
    ecosystem: str
    packages: int
    built: str
    unasked: tuple[str, ...]
    foreign: tuple[tuple[str, str], ...]
    flaws: tuple[KnownFlaw, ...]
    stated: tuple[tuple[str, str, str], ...] = ()  # flaw, package, why

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        try:
            told = json.loads(answer.text())
            flaws = tuple(_flaw(one) for one in told["flaws"])
            foreign = tuple((str(one["package"]), str(one["why"])) for one in told["foreign"])
            packages = told["packages"]
            if not isinstance(packages, int) or packages <= 0:
                raise ValueError("a host has packages")
            return cls(
                str(told["ecosystem"]),
                packages,
                str(told["built"]),
                tuple(map(str, told["unasked"])),
                foreign,
                flaws,
                tuple((str(o["id"]), str(o["package"]), str(o["why"])) for o in told.get("stated", ())),
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            raise NotUnderstood("the engine's answer has another shape", where=answer.question) from None


def _flaw(one: dict[str, object]) -> KnownFlaw:
    texts = {name: value for name, value in one.items() if isinstance(value, str)}
    if one["state"] not in STATES or one["severity"] not in SEVERITIES:
        raise ValueError("no flaw")
    return KnownFlaw(
        texts["id"],
        texts["package"],
        texts["installed"],
        texts["fixed"],
        texts["state"],
        texts["severity"],
        texts["severity_source"],
        texts["exploited"],
        date.fromisoformat(texts["since"]),
        texts["advisory"],
        texts.get("waived", ""),
    )
