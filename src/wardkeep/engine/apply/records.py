"""What became of plans: the `applies` of the state, and their entries in the ledger. A begun one without end is a finding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select, update

from wardkeep.core.errors import BadInput
from wardkeep.engine.plans.document import Plan, read_plan
from wardkeep.engine.platform import Platform, timestamp
from wardkeep.ledger import canonical
from wardkeep.store.schema import applies, plans

Guard = Callable[[], None]


@dataclass(frozen=True)
class Stored:
    """A plan as it was shown and recorded."""

    plan: Plan
    id: str
    digest: str
    actor: str
    created: datetime
    entry: int


@dataclass(frozen=True)
class Applied:
    """One carrying out (or taking back) of a plan. `state`: begun, applied, undone, failed, refused."""

    id: str
    plan: str
    host: str
    actor: str
    undoes: str
    state: str
    summary: str
    begun: datetime
    ended: datetime | None
    entry_begun: int | None
    entry_ended: int | None


def store_plan(platform: Platform, plan: Plan, actor: str) -> Stored:
    """Record a plan in the ledger and keep it. Storing the same plan again changes nothing."""
    document = plan.document()
    with platform.store.read() as connection:
        known = connection.execute(select(plans.c.id).where(plans.c.id == plan.id)).first()
    if known is None:
        blob = {
            "name": "plan",
            "digest": platform.ledger.put_blob(document.encode()),
            "size": len(document.encode()),
        }
        body = {
            "plan": plan.id,
            "digest": plan.digest,
            "controls": list(plan.controls),
            "changes": [change.says for change in plan.changes],
            "withheld": len(plan.withheld),
            "cannot": len(plan.cannot),
            "unknown": len(plan.unknown),
        }
        entry = platform.record("plan", actor, body, subject={"host": plan.host}, blobs=[blob])
        with platform.store.begin() as connection:
            connection.execute(
                insert(plans).values(
                    id=plan.id,
                    host=plan.host,
                    digest=plan.digest,
                    document=document,
                    actor=actor,
                    created=datetime.now(UTC),
                    entry=entry,
                )
            )
    return find_plan(platform, plan.id)


def find_plan(platform: Platform, id: str) -> Stored:
    """The plan of that id. Raises BadInput if there is none, or if what is stored is not what was shown."""
    with platform.store.read() as connection:
        row = connection.execute(select(plans).where(plans.c.id == id)).one_or_none()
    if row is None:
        raise BadInput(f"there is no plan `{id}`", todo="List them by `wardkeep plan --list`, or plan again.")
    plan = read_plan(row.document)
    if plan.digest != row.digest or plan.id != row.id:
        raise BadInput(
            f"the stored plan `{id}` is not the one that was shown",
            todo="Plan again; look at who can write the state.",
        )
    return Stored(plan, row.id, row.digest, row.actor, row.created, row.entry or 0)


def latest_plan(platform: Platform, host: str) -> Stored | None:
    """The newest plan of a host that was not carried out yet."""
    used = select(applies.c.plan).where(applies.c.host == host)
    with platform.store.read() as connection:
        id = connection.execute(
            select(plans.c.id)
            .where(plans.c.host == host, plans.c.id.not_in(used))
            .order_by(plans.c.created.desc())
            .limit(1)
        ).scalar()
    return find_plan(platform, id) if id else None


def list_applies(
    platform: Platform, *, plan: str = "", open_only: bool = False, limit: int = 50
) -> list[Applied]:
    """What was carried out, the newest first. `open_only`: those begun without end, and those that failed half way."""
    wanted = select(applies).order_by(applies.c.begun.desc()).limit(limit)
    if plan:
        wanted = wanted.where(applies.c.plan == plan)
    if open_only:
        wanted = wanted.where(applies.c.state.in_(("begun", "failed")))
    with platform.store.read() as connection:
        found = [_applied(row) for row in connection.execute(wanted)]
    if not open_only:
        return found
    # A later act on the same plan that ended well settles the failed one before it.
    settled = {one.undoes for one in list_applies(platform, limit=1000) if one.state == "undone"}
    return [one for one in found if one.state == "begun" or one.id not in settled]


def find_applied(platform: Platform, id: str) -> Applied | None:
    with platform.store.read() as connection:
        row = connection.execute(select(applies).where(applies.c.id == id)).one_or_none()
    return _applied(row) if row else None


def begin(platform: Platform, id: str, stored: Stored, actor: str, undoes: str, guard: Guard) -> None:
    """Note that it begins: first in the state, then in the ledger. Doing it twice (after a kill) notes it once."""
    if find_applied(platform, id) is None:
        with platform.store.begin() as connection:
            connection.execute(
                insert(applies).values(
                    id=id,
                    plan=stored.id,
                    host=stored.plan.host,
                    actor=actor,
                    undoes=undoes,
                    state="begun",
                    summary="",
                    begun=datetime.now(UTC),
                )
            )
    body = {"apply": id, "phase": "begun", "plan": stored.id, "digest": stored.digest, "undoes": undoes}
    entry = _once(platform, stored, id, "begun", actor, body, guard)
    _set(platform, id, entry_begun=entry)


def end(
    platform: Platform, id: str, stored: Stored, actor: str, state: str, body: Mapping[str, Any], guard: Guard
) -> None:
    """Note how it ended: first in the ledger, then in the state."""
    told = {"apply": id, "phase": "finished", "plan": stored.id, "outcome": state, **body}
    entry = _once(platform, stored, id, "finished", actor, told, guard)
    _set(
        platform,
        id,
        state=state,
        summary=str(body.get("summary", "")),
        ended=datetime.now(UTC),
        entry_ended=entry,
    )


def _set(platform: Platform, id: str, **values: Any) -> None:
    with platform.store.begin() as connection:
        connection.execute(update(applies).where(applies.c.id == id).values(**values))


def _once(
    platform: Platform, stored: Stored, id: str, phase: str, actor: str, body: Mapping[str, Any], guard: Guard
) -> int:
    """Append the entry unless it is there already: the process may have died right after appending it."""
    for entry in platform.ledger.read(stored.entry):
        if (
            entry["kind"] == "apply"
            and entry["body"].get("apply") == id
            and entry["body"].get("phase") == phase
        ):
            return int(entry["index"])
    entry = {
        "kind": "apply",
        "at": timestamp(),
        "actor": actor,
        "subject": {"host": stored.plan.host},
        "body": dict(body),
    }
    canonical(entry["body"])
    return platform.ledger.append([entry], guard=guard)[0]


def _applied(row: Any) -> Applied:
    return Applied(
        row.id,
        row.plan,
        row.host,
        row.actor,
        row.undoes,
        row.state,
        row.summary,
        row.begun,
        row.ended,
        row.entry_begun,
        row.entry_ended,
    )
