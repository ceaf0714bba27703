"""A planned change as people read it: what it opens and closes, who planned it, what was tried, and when the host goes back.

The plan is what was shown and recorded. How far a change that is being made has come is read from the durable engine; where
that is not open, it is said not to be known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, select

from wardkeep.core.errors import WardkeepError
from wardkeep.engine.apply.host_scripts import CONFIRM
from wardkeep.engine.apply.records import Applied, Stored, find_plan, list_applies
from wardkeep.engine.durable_steps import StepDone
from wardkeep.engine.plans.document import (
    ActChange,
    AnyChange,
    FileChange,
    NoRemedy,
    Plan,
    UpgradeChange,
    Withheld,
)
from wardkeep.engine.platform import Platform
from wardkeep.store.schema import applies, plans

MOST: Final = 100
OUTDATED: Final = "outdated"
PLANNED: Final = "planned"


@dataclass(frozen=True)
class ChangeRow:
    """One plan in the list. `state`: planned, outdated (something else was done on the host since), or how it was carried out."""

    plan: str
    host: str
    state: str
    by: str
    at: datetime
    says: str


@dataclass(frozen=True)
class ChangeView:
    """One change of a plan. `body` is its diff, its packages or its script; `undo` how it is taken back. `outcome`, `said` and
    `probes` tell what became of it: each probe has `says`, `expect`, `verdict` ("" before it is tried) and `seen`."""

    number: int
    kind: str
    says: str
    body: str
    undo: str
    rules: tuple[str, ...]
    packets: tuple[Any, ...]
    probes: tuple[dict[str, str], ...]
    outcome: str
    said: str


@dataclass(frozen=True)
class Clock:
    """Until when a change must be confirmed, or kept; `who` goes back then: `host` or `kernel`."""

    until: datetime
    who: str
    number: int


@dataclass(frozen=True)
class ChangePage:
    """A plan and what became of it. `step` is the last one done while it is carried out; `problem` says why that is not
    known. `clocks`: what runs on the host now, the first to end first."""

    plan: str
    host: str
    state: str
    by: str
    at: datetime
    entry: int
    controls: tuple[str, ...]
    changes: tuple[ChangeView, ...]
    withheld: tuple[Withheld, ...]
    cannot: tuple[NoRemedy, ...]
    unknown: tuple[NoRemedy, ...]
    applied: Applied | None
    step: str
    problem: str
    clocks: tuple[Clock, ...]


def list_changes(platform: Platform, host: str = "") -> list[ChangeRow]:
    """The newest plan of each host that was not carried out, then what was, the newest first; `host`: of this one alone."""
    newest = (
        select(plans.c.host, func.max(plans.c.created).label("created")).group_by(plans.c.host).subquery()
    )
    query = (
        select(plans.c.id)
        .join(newest, (plans.c.host == newest.c.host) & (plans.c.created == newest.c.created))
        .where(plans.c.id.not_in(select(applies.c.plan)))
    )
    if host:
        query = query.where(plans.c.host == host)
    with platform.store.read() as connection:
        waiting = connection.execute(query.order_by(plans.c.created.desc()).limit(MOST)).scalars().all()
    rows = []
    for id in waiting:
        stored = _find(platform, str(id))
        if stored is not None and (stored.plan.changes or stored.plan.withheld):
            rows.append(_row(stored, _since(platform, stored)))
    for one in list_applies(platform, limit=MOST):
        if (not host or one.host == host) and (stored := _find(platform, one.plan)):
            says = one.summary or _says(stored.plan)
            rows.append(ChangeRow(one.plan, one.host, one.state, one.actor, one.begun, says))
    return rows


def change_page(platform: Platform, id: str, steps: Sequence[StepDone] | None = None) -> ChangePage | None:
    """The plan of that id, None if there is none. `steps`: what its carrying out has done so far, None if that is not known."""
    stored = _find(platform, id)
    if stored is None:
        return None
    done = list_applies(platform, plan=id, limit=1)
    applied = done[0] if done else None
    told = _ended(platform, applied) if applied else {}
    state = applied.state if applied else _since(platform, stored)
    running = applied is not None and applied.state == "begun"
    problem = (
        "how far it has come is not known here: it is carried out elsewhere"
        if running and steps is None
        else ""
    )
    known = list(steps or ()) if running else []
    plan = stored.plan
    return ChangePage(
        stored.id,
        plan.host,
        state,
        stored.actor,
        stored.created,
        stored.entry,
        plan.controls,
        tuple(_change(n, one, told, known) for n, one in enumerate(plan.changes, 1)),
        tuple({(one.reason, one.todo): one for one in reversed(plan.withheld)}.values())[::-1],
        plan.cannot,
        plan.unknown,
        applied,
        known[-1].name if known else "",
        problem,
        tuple(_clocks(plan, known)) if running else (),
    )


def running_apply(platform: Platform, id: str) -> str:
    """The id of the carrying out of this plan that has begun and not ended; "" for none."""
    return next((one.id for one in list_applies(platform, plan=id) if one.state == "begun"), "")


def _find(platform: Platform, id: str) -> Stored | None:
    try:
        return find_plan(platform, id)
    except WardkeepError:
        return None


def _since(platform: Platform, stored: Stored) -> str:
    """`outdated` once something was begun on the host after the plan was made: it would be refused."""
    query = select(applies.c.id).where(applies.c.host == stored.plan.host, applies.c.begun > stored.created)
    with platform.store.read() as connection:
        return OUTDATED if connection.execute(query.limit(1)).first() else PLANNED


def _row(stored: Stored, state: str) -> ChangeRow:
    return ChangeRow(stored.id, stored.plan.host, state, stored.actor, stored.created, _says(stored.plan))


def _says(plan: Plan) -> str:
    if not plan.changes:
        return f"refused: {plan.withheld[0].says}" if plan.withheld else "nothing to change"
    more = len(plan.changes) - 1
    return plan.changes[0].says + (f"; and {more} more change{'s' * (more != 1)}" if more else "")


def _ended(platform: Platform, applied: Applied) -> dict[int, dict[str, Any]]:
    """Number of a change → what the ledger says became of it (taking back included, under the number)."""
    if applied.entry_ended is None:
        return {}
    entry = next(platform.ledger.read(applied.entry_ended, applied.entry_ended + 1))
    found: dict[int, dict[str, Any]] = {}
    for one in entry["body"].get("changes", ()):
        known = found.setdefault(int(one["number"]), {})
        known.update({key: value for key, value in one.items() if value})
    return found


def _change(
    number: int, one: AnyChange, told: dict[int, dict[str, Any]], steps: Sequence[StepDone]
) -> ChangeView:
    became = told.get(number, {})
    probes: tuple[dict[str, str], ...] = ()
    if isinstance(one, ActChange):
        tried = became.get("probes") or _result(steps, f"probe {number}")
        wanted = [{"says": p.says, "expect": p.expect, "verdict": "", "seen": ""} for p in one.probes]
        if told:
            wanted = [{**one, "verdict": "not tried"} for one in wanted]
        probes = tuple(tried if isinstance(tried, list) and tried else wanted)
    kind, body, undo = _body(one)
    outcome = str(became.get("outcome", "")) or _so_far(number, steps)
    packets = one.packets if isinstance(one, ActChange) else ()
    return ChangeView(
        number,
        kind,
        one.says,
        body,
        undo,
        one.rules,
        packets,
        probes,
        outcome,
        str(became.get("said", "")).rstrip("."),
    )


def _body(one: AnyChange) -> tuple[str, str, str]:
    if isinstance(one, FileChange):
        return "file", one.diff, "the file before is put back"
    if isinstance(one, UpgradeChange):
        lines = [f"{name}  {before or 'new'} → {to}" for name, before, to in (*one.packages, *one.also)]
        return "upgrade", "\n".join(lines), "the versions before are installed, while the archive has them"
    return "act", one.script, one.undo


def _so_far(number: int, steps: Sequence[StepDone]) -> str:
    names = {step.name for step in steps}
    for verb, word in (
        ("undo", "taken back"),
        ("confirm", "confirmed"),
        ("probe", "tried"),
        ("make", "made"),
    ):
        if f"{verb} {number}" in names:
            return word
    return ""


def _result(steps: Sequence[StepDone], name: str) -> Any:
    return next((step.result for step in steps if step.name == name), None)


def _clocks(plan: Plan, steps: Sequence[StepDone]) -> list[Clock]:
    """What runs on the host: its own clock from a change's making to its confirmation, and the kernel's of a trial that the next
    change keeps. Both were wound within the step, so they end then or a moment later."""
    begun = {step.name: step.begun for step in steps}
    found = []
    for number, one in enumerate(plan.changes, 1):
        made = begun.get(f"make {number}")
        if made is None or f"undo {number}" in begun:
            continue
        if one.confirmed and f"confirm {number}" not in begun:
            found.append(Clock(made + timedelta(seconds=CONFIRM), "host", number))
        if isinstance(one, ActChange) and one.trial and f"make {number + 1}" not in begun:
            found.append(Clock(made + timedelta(seconds=one.trial), "kernel", number))
    return sorted(found, key=lambda clock: clock.until)
