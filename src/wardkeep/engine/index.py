"""The database as an index of the ledger: caught up with it after a kill, made again from it when lost or doubted.

Made from the ledger alone: findings with their history, the rows' states and days, waivers, drills, reviews, the flaws under
review, plans and what became of them, and the list of entries. Not in the ledger, and so only in a backup: secrets of sign-in, identities and labels of hosts, messages that
wait for delivery.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from wardkeep.core.errors import WardkeepError
from wardkeep.core.facts import PLATFORM
from wardkeep.core.findings import Finding
from wardkeep.engine.apply.retold import retell_apply, retell_plan
from wardkeep.engine.deadlines import deadlines
from wardkeep.engine.findings import Assessment, record, retire_host
from wardkeep.engine.flaw_review import KIND as FLAW
from wardkeep.engine.flaw_review.cases import retell as retell_flaws
from wardkeep.engine.flaw_review.scans import retell_scan
from wardkeep.engine.platform import Platform
from wardkeep.engine.policy_record import KIND as POLICY
from wardkeep.engine.policy_record import forget_policy, retell_policy
from wardkeep.engine.row_states import GONE
from wardkeep.engine.schedules import REVIEW, REVIEWS, review_number
from wardkeep.store import textindex
from wardkeep.store.bulk import upsert
from wardkeep.store.flaw_tables import flaw_assets, flaw_cases
from wardkeep.store.schema import (
    applies,
    drills,
    entries,
    finding_history,
    findings,
    plans,
    row_days,
    row_states,
    schedules,
    strips,
    tallies,
    totals,
    waivers,
)

CHUNK = 50  # entries taken in with one transaction
REBUILT = (
    *(findings, finding_history, tallies, totals, row_states, row_days, strips, waivers, drills),
    *(flaw_cases, flaw_assets, applies, plans, entries),  # in the order in which they can go
)
Entry = Mapping[str, Any]


_BLOB = msgspec.json.Decoder(list[Finding])


def catch_up(platform: Platform) -> int:
    """Take in every entry the state does not know yet; returns how many there were. Repeating it changes nothing.

    An act is in the ledger before it is in the state, so a kill, a full disk or an unreachable database in between
    leaves the state behind and never ahead. Raises Tampered where the ledger is not what was recorded.
    """
    start = _known(platform)
    taken = 0
    for chunk in _chunks(platform.ledger.read(start)):
        _take_in(platform, chunk)
        taken += len(chunk)
    return taken


def rebuild_index(platform: Platform) -> int:
    """Forget everything that the ledger knows and take it in again from the first entry; returns the number of entries.

    Killed in the middle, the next `catch_up` goes on. Deadlines are those of the numbers in force now.
    """
    with platform.store.begin() as connection:
        for table in REBUILT:
            connection.execute(delete(table))
        connection.execute(update(schedules).where(schedules.c.kind == REVIEW).values(last_done=None))
        textindex.relearn(connection)
        forget_policy(connection)
    return catch_up(platform)


def _known(platform: Platform) -> int:
    """The index of the first entry that is not in the state. Raises when the state knows more than the ledger."""
    with platform.store.read() as connection:
        last = connection.execute(select(func.max(entries.c.idx))).scalar()
    known = 0 if last is None else int(last) + 1
    if known > platform.ledger.size:
        raise WardkeepError(
            f"the state knows {known} entries, the ledger has {platform.ledger.size}",
            where=str(platform.ledger.folder),
            todo="The ledger was replaced or rolled back: see docs/trust.md, then run `wardkeep state rebuild`.",
        )
    return known


def _chunks(read: Iterator[Entry]) -> Iterator[list[Entry]]:
    chunk: list[Entry] = []
    for entry in read:
        chunk.append(entry)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _take_in(platform: Platform, chunk: list[Entry]) -> None:
    assessed: list[Assessment] = []

    def record_assessed() -> None:
        if assessed:
            record(platform.store, assessed, deadlines(platform.config.numbers))
            assessed.clear()

    for entry in chunk:
        if entry["kind"] == "assess":
            given = _assessment(platform, entry)
            if not _left_since(platform, given):
                assessed.append(given)
        elif entry["kind"] == "host" and entry["body"].get("act") == "removed":
            record_assessed()
            _remove_host(platform, entry)
    record_assessed()
    with platform.store.begin(rebuildable=True) as connection:
        platform.store.lock(connection, "index")
        for entry in chunk:
            if entry["kind"] == "waiver":
                _waiver(connection, entry)
            elif entry["kind"] == "drill":
                _drill(connection, entry)
            elif entry["kind"] == "review":
                _review(platform, connection, entry)
            elif entry["kind"] == FLAW:
                retell_flaws(platform, connection, entry)
                retell_scan(platform, connection, entry)
            elif entry["kind"] == POLICY:
                retell_policy(connection, entry)
            elif entry["kind"] == "plan":
                retell_plan(platform, connection, entry)
            elif entry["kind"] == "apply":
                retell_apply(connection, entry)
        upsert(connection, entries, [_line(entry) for entry in chunk], ("summary",))


def _left_since(platform: Platform, given: Assessment) -> bool:
    """Whether the state knows already that the host left after this assessment: taking it in would bring it back."""
    d = row_days.c
    left = select(d.host).where(d.host == given.host, d.closing == GONE, d.last_at >= given.at).limit(1)
    with platform.store.read() as connection:
        return connection.execute(left).first() is not None


def _assessment(platform: Platform, entry: Entry) -> Assessment:
    blob = next(blob for blob in entry["blobs"] if blob["name"] == "findings")
    found = _BLOB.decode(platform.ledger.get_blob(blob["digest"]))
    host = str(entry["subject"].get("host", PLATFORM))
    rows = frozenset(entry["body"]["rows"])
    return Assessment(host, _time(entry["at"]), rows, found, int(entry["index"]))


def _remove_host(platform: Platform, entry: Entry) -> None:
    host, at = str(entry["subject"]["host"]), _time(entry["body"].get("removed", entry["at"]))
    later = select(func.max(row_states.c.entry)).where(row_states.c.host == host)
    with platform.store.read() as connection:
        newest = connection.execute(later).scalar()
    if newest is None or newest < entry["index"]:  # not one of the same name that was added since
        retire_host(platform.store, host, at)


def _waiver(connection: Connection, entry: Entry) -> None:
    body, w = entry["body"], waivers.c
    known = connection.execute(select(w.id).where(w.id == body["id"])).first()
    if body["act"] == "given" and known is None:
        texts = {name: body[name] for name in ("id", "fingerprint", "owner", "reason", "compensating")}
        times = {"created": _time(body["created"]), "expires": _time(body["expires"])}
        texts["until_fixed"] = int(body.get("until_fixed", False))
        row = {**texts, **times, "created_by": entry["actor"], "entry": entry["index"]}
        connection.execute(insert(waivers).values(**row))
    elif body["act"] == "revoked":
        ended = {"revoked": _time(body["revoked"]), "revoked_by": entry["actor"]}
        connection.execute(update(waivers).where(w.id == body["id"], w.revoked.is_(None)).values(**ended))
    elif body["act"] == "expired":
        said = _time(entry["at"])
        connection.execute(
            update(waivers).where(w.id == body["id"], w.expiry_said.is_(None)).values(expiry_said=said)
        )


def _drill(connection: Connection, entry: Entry) -> None:
    body, subject = entry["body"], entry["subject"]
    if "verdict" not in body or "control" not in subject or "host" not in subject:
        return  # a note on the way of a drill, not its outcome
    key = (drills.c.control == subject["control"], drills.c.host == subject["host"])
    newer = connection.execute(select(drills.c.entry).where(*key)).scalar()
    if newer is not None and newer >= entry["index"]:
        return
    row = {"control": subject["control"], "host": subject["host"], "at": _time(entry["at"])}
    row |= {"verdict": body["verdict"], "seconds": int(body.get("seconds", 0)), "entry": entry["index"]}
    row["summary"] = str(body.get("summary", ""))
    upsert(connection, drills, [row], ("at", "verdict", "seconds", "summary", "entry"))


def _review(platform: Platform, connection: Connection, entry: Entry) -> None:
    control = entry["subject"].get("control")
    if control not in REVIEWS:
        return
    s = schedules.c
    done = _time(entry["body"]["done"])
    key = f"{REVIEW}:{control}"
    known = connection.execute(select(s.last_done).where(s.key == key)).one_or_none()
    span = review_number(control, platform.config.numbers)
    if known is None:
        row = {"key": key, "kind": REVIEW, "control": control, "cadence": int(span.total_seconds())}
        connection.execute(
            insert(schedules).values(**row, created=done, last_done=done, next_due=done + span)
        )
    elif known.last_done is None or known.last_done < done:
        values = {"last_done": done, "next_due": done + span}
        connection.execute(update(schedules).where(s.key == key).values(**values))


def _line(entry: Entry) -> dict[str, Any]:
    subject, body = entry["subject"], entry["body"]
    told = (
        body.get("act")
        or body.get("outcome")
        or body.get("verdict")
        or body.get("noticed")
        or body.get("says")
        or ""
    )
    if entry["kind"] == "assess":
        sums = [sum(int(row.get(v, 0)) for row in body["rows"].values()) for v in ("pass", "fail", "unknown")]
        told = f"{sums[0]} pass, {sums[1]} fail, {sums[2]} unknown"
    elif entry["kind"] == "observe":
        told = body.get("problem") or f"{body.get('questions', 0)} questions"
    line = {"idx": entry["index"], "at": _time(entry["at"]), "kind": entry["kind"][:16]}
    line |= {"actor": entry["actor"], "host": str(subject.get("host", ""))}
    return line | {"control": str(subject.get("control", "")), "summary": str(told)[:300]}


def _time(text: Any) -> datetime:
    return datetime.fromisoformat(str(text))
