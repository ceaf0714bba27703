"""The review as the console's pages show it. Read only: pages show the queue as of the last look, update or act."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from wardkeep.advisories.updating import last_update
from wardkeep.controls.vulnerability_review import places
from wardkeep.core.errors import BadInput, Unavailable
from wardkeep.engine.flaw_review.cases import Case, CaseAsset, case_of, read_assets
from wardkeep.engine.flaw_review.queue import last_refresh
from wardkeep.engine.flaw_review.reading import (
    WHICH,
    cases_named,
    count_cases,
    open_on,
    part_of,
    with_words,
)
from wardkeep.engine.flaw_review.renewing import fingerprint
from wardkeep.engine.flaw_review.trends import Trends, last_review, trends
from wardkeep.engine.folder import ADVISORIES, open_advisories
from wardkeep.engine.platform import Platform

PAGE = 50
SAID = ("says", "owner", "compensating", "until", "until_fixed", "justification")  # what a decision may hold


@dataclass(frozen=True)
class CaseView:
    """A case as a line of the queue. `days_left` is below 0 when its clock has ended."""

    flaw: str
    package: str
    severity: str
    severity_source: str
    exploited: str
    risk: int
    because: str
    state: str
    fixed: tuple[str, ...]
    hosts: int
    where: str
    listens: dict[str, str]
    since: date
    due: date
    days_left: int
    late: bool
    opened: datetime
    closed: datetime | None
    how: str
    decision: str
    decided: datetime | None
    decided_by: str
    said: dict[str, Any]
    advisory: str
    aliases: tuple[str, ...]
    summary: str
    why: str
    finding: str  # the fingerprint of the finding that a waiver of it waives


@dataclass(frozen=True)
class QueuePage:
    """A page of the queue, the riskiest first. `counts` are over all of it; `after` is where the next page begins, 0 at the end."""

    cases: tuple[CaseView, ...]
    counts: dict[str, int]
    found: int
    after: int
    minor: int
    built: str
    at: str
    last_review: datetime | None


@dataclass(frozen=True)
class CaseDetail:
    """A case with every host that has or had it."""

    case: CaseView
    assets: tuple[CaseAsset, ...]


@dataclass(frozen=True)
class FeedView:
    """`problem` says what is wrong with it, "" when nothing is."""

    title: str
    entries: int
    newest: str
    taken: datetime | None
    problem: str


@dataclass(frozen=True)
class FeedHealth:
    """`problem` says why there is no database, else "". `news` are problems of the last update."""

    problem: str
    built: str
    feeds: tuple[FeedView, ...]
    news: tuple[str, ...]


def queue_page(
    platform: Platform, now: datetime, *, which: str = "open", q: str = "", start: int = 0
) -> QueuePage:
    """Raises BadInput for a choice that is none."""
    if which not in WHICH:
        raise BadInput(
            f"{which[:40]!r} is no part of the queue", where="show", todo=f"Use {', '.join(WHICH)}."
        )
    words = q.split()
    with platform.store.read() as connection:
        counts = count_cases(platform, connection, now)
        query = part_of(platform, connection, which, now)
        if words:
            every = with_words(connection, query, words, platform.config.numbers)
            found, shown = len(every), every[start : start + PAGE]
        else:
            rows = connection.execute(query.limit(PAGE).offset(start)).all()
            found, shown = counts[which], [case_of(row, platform.config.numbers) for row in rows]
        last, reviewed = last_refresh(connection), last_review(connection)
    return QueuePage(
        tuple(case_view(case, now) for case in shown),
        counts,
        found,
        start + PAGE if found > start + PAGE else 0,
        int(last.get("minor", 0)),
        str(last.get("built", ""))[:10],
        str(last.get("at", "")),
        reviewed,
    )


def flaw_detail(platform: Platform, flaw: str, now: datetime) -> list[CaseDetail]:
    """Every case of a flaw, by any of its names; empty when it never concerned the fleet."""
    with platform.store.read() as connection:
        return [
            CaseDetail(case_view(case, now), tuple(read_assets(connection, key=case.key, closed=True)))
            for case in cases_named(platform, connection, flaw, closed=True)
        ]


def host_flaws(
    platform: Platform, host: str, now: datetime, *, start: int = 0, limit: int | None = None
) -> tuple[int, list[tuple[CaseView, CaseAsset]]]:
    """How much is open on one host and in the images that run there, and that, the riskiest first."""
    with platform.store.read() as connection:
        count, found = open_on(platform, connection, host, start, limit)
    return count, [(case_view(case, now), one) for case, one in found]


def trend_page(platform: Platform, now: datetime) -> Trends:
    with platform.store.read() as connection:
        return trends(platform, now, connection)


def feed_health(platform: Platform, now: datetime) -> FeedHealth:
    """Each feed of the local database with its age, and what the last update could not take."""
    told = last_update(platform.folder / ADVISORIES).get("problems")
    news = tuple(map(str, told)) if isinstance(told, list) else ()
    try:
        db = open_advisories(platform.folder)
    except Unavailable as e:
        return FeedHealth(e.without_place, "", (), news)
    with db:
        feeds = [
            FeedView(one.title, one.entries, one.newest, one.taken, "stale" if one.is_stale else "")
            for one in db.feeds(now)
        ]
        return FeedHealth("", db.meta["built"][:10], tuple(feeds), news)


def case_view(case: Case, now: datetime) -> CaseView:
    told = case.told
    return CaseView(
        flaw=case.flaw,
        package=case.package,
        severity=case.severity,
        severity_source=str(told.get("severity_source", "")),
        exploited=case.exploited,
        risk=case.risk,
        because=str(told.get("because", "")),
        state=case.state,
        fixed=tuple(told.get("fixed", ())),
        hosts=case.hosts,
        where=places(case.hosts, case.images),
        listens=dict(told.get("listens", {})),
        since=case.since,
        due=case.due.date(),
        days_left=(case.due.date() - now.date()) // timedelta(days=1),
        late=case.is_late(now),
        opened=case.opened,
        closed=case.closed,
        how=case.how,
        decision=case.decision,
        decided=case.decided,
        decided_by=case.decided_by,
        said=dict.fromkeys(SAID, "") | dict(case.said),
        advisory=str(told.get("advisory", "")),
        aliases=tuple(told.get("aliases", ())),
        summary=str(told.get("summary", "")),
        why=str(told.get("why", "")),
        finding=fingerprint(case),
    )
