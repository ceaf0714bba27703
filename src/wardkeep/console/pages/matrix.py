"""Home: the matrix, sorted by what needs somebody."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from wardkeep.console.auth.gate import Anyone
from wardkeep.console.render import answer, twin
from wardkeep.console.setting import console
from wardkeep.engine.views import LastDrill, RowView, matrix, score

router = APIRouter()


@dataclass(frozen=True)
class Line:
    """A row as the home page shows it. `mark` is its shape, `counts` the findings that need somebody."""

    id: str
    title: str
    party: str
    routine: bool
    mark: str
    mark_word: str
    reason: str  # a few words under the mark
    counts: str
    overdue: bool
    waived: int
    verbs: tuple[str, ...]
    without: dict[str, str]
    last_observed: datetime | None
    last_drill: LastDrill | None
    next_due: datetime | None
    strip: tuple[tuple[str, str], ...]


def line(row: RowView) -> Line:
    """Not built is a state of its own to look at; it counts as unknown all the same."""
    mark = "none" if row.built == "none" else row.status.value
    n = row.findings
    counts = (
        ", ".join(f"{n[v]:,} {v}" for v in ("fail", "unknown", "pass") if n.get(v)) if mark != "none" else ""
    )
    return Line(
        id=row.id,
        title=row.title,
        party=row.party,
        routine=row.routine,
        mark=mark,
        mark_word=row.status.value,
        reason={"not all of it is looked at yet": "in part"}.get(row.reason, row.reason),
        counts=counts,
        overdue=row.overdue,
        waived=row.waived,
        verbs=row.verbs,
        without=row.without,
        last_observed=row.last_observed,
        last_drill=row.last_drill,
        next_due=row.next_due,
        strip=row.strip,
    )


def needs_somebody(row: RowView) -> tuple[int, bool, int]:
    """Failing rows first, then unknown ones, then what is not built, then what holds; overdue ones first in each."""
    rank = {"fail": 0, "unknown": 1, "pass": 3}[row.status.value]
    return (2 if row.built == "none" else rank, not row.overdue, row.number)


@twin(router, "/", json="/matrix.json")
def home(request: Request, visitor: Anyone, order: str = "") -> Response:
    platform, now = console(request).platform, console(request).accounts.books.clock()
    rows = matrix(platform, now)
    total = score(rows)
    data = {"score": total, "sentence": total.sentence(), "rows": [row_json(row) for row in rows]}
    shown = rows if order == "matrix" else sorted(rows, key=needs_somebody)
    observed = [row.last_observed for row in rows if row.last_observed]
    return answer(
        request,
        visitor,
        "matrix.html",
        data,
        lines=[line(row) for row in shown],
        last_observed=max(observed, default=None),
        order=order,
        run=running.id if (running := console(request).running.current()) else "",
        today=now.date(),
    )


def row_json(row: RowView) -> dict[str, object]:
    """A row under the names that `wardkeep controls --json` uses too."""
    return {**{f.name: getattr(row, f.name) for f in fields(row)}, "reason": row.reason}
