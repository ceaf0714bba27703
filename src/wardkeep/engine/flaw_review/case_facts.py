"""What is kept of a case: which of its matches speaks for it, when its clock starts, and what its risk adds up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from wardkeep.advisories.matching import WORST, Match, State
from wardkeep.advisories.risk import risk_of
from wardkeep.engine.flaw_review.exposure import CLOSED, INSIDE, OPEN, UNKNOWN, widest

LISTENS, LISTENS_INSIDE, LISTENS_UNKNOWN = 15.0, 7.0, 7.0  # points of risk
FILTERED = {
    UNKNOWN: "what the packet filter lets in is not known",
    INSIDE: "the packet filter lets in private addresses alone",
    CLOSED: "the packet filter lets nobody in",
}
Listening = tuple[Mapping[str, Mapping[str, str]], int]


def case_facts(
    matches: Iterable[Match], of: int, count: int, images: int, listening: Listening, opened: date
) -> dict[str, Any]:
    """What is kept of a case: the most pressing of its matches, which are those of `of` assets, speaks for it.

    Its clock starts when the fix was published; without a released fix, on the day it first concerned the fleet: then it is
    the time to decide how to live with it.
    """
    some = sorted(matches, key=lambda one: (WORST.index(one.state), -one.risk.value, one.component.version))
    first = some[0]
    risk = risk_of(
        first.severity,
        first.score if first.score is not None else -1.0,
        kev=bool(first.kev),
        epss=first.epss if first.epss is not None else -1.0,
        ssvc=first.ssvc,
        has_fix=first.state is State.FIX_AVAILABLE,
        more=_exposure(listening, of, images),
    )
    told = {
        "aliases": list(first.aliases),
        "summary": first.summary,
        "advisory": first.advisory,
        "published": first.published,
        "severity_source": first.severity_source,
        "score": first.score,
        "epss": first.epss,
        "ssvc": first.ssvc,
        "because": risk.because,
        "why": first.why,
        "fixed": sorted({one.fixed for one in some if one.fixed}),
        "ecosystems": sorted({one.component.ecosystem for one in some}),
        # As JSON gives it back: pairs would differ from what is stored, and every case be written at every change of any.
        "places": sorted(
            [*one] for one in {(one.component.ecosystem, one.component.version) for one in some}
        ),
        "listens": {host: _ports(ports) for host, ports in listening[0].items()},
        "images": images,
    }
    return {
        "state": first.state.value,
        "severity": first.severity,
        "exploited": first.kev,
        "risk": risk.value,
        "since": (
            min(one.since for one in some if one.state is first.state)
            if first.state is State.FIX_AVAILABLE
            else opened
        ).isoformat(),
        "hosts": count,
        "told": dict(
            sorted(told.items())
        ),  # the ledger's order: what is written now and what is told again are alike
    }


def _exposure(listening: Listening, of: int, images: int) -> list[tuple[str, float]]:
    """The widest of what its hosts' filters let in speaks for it; a filter that is not known counts as open."""
    told, unknown = listening
    where = "hosts and images" if images else "hosts"
    by_reach: dict[str, list[Mapping[str, str]]] = {}
    for ports in told.values():
        by_reach.setdefault(widest(ports.values()), []).append(ports)
    if by_reach and (not unknown or widest(by_reach) in (OPEN, UNKNOWN)):
        reach = widest(by_reach)
        some = by_reach[reach]
        shown = sorted({port for ports in some for port, one in ports.items() if one == reach})
        more = f"; {FILTERED[reach]}" if reach != OPEN else ""
        text = f"listens to the network on {len(some)} of {of} {where} ({', '.join(shown[:3])}{more})"
        return [(text, {INSIDE: LISTENS_INSIDE, CLOSED: 0.0}.get(reach, LISTENS))]
    if unknown:
        return [(f"whether it listens is not known on {unknown} of {of} {where}", LISTENS_UNKNOWN)]
    return []


def _ports(ports: Mapping[str, str]) -> str:
    """`443/tcp, 8080/tcp (the packet filter lets nobody in)`."""
    return ", ".join(
        port if reach == OPEN else f"{port} ({FILTERED[reach]})" for port, reach in ports.items()
    )
