"""A case is one flaw in one package over the whole fleet: as it is kept, brought up to the ledger, and shown.

What changes about cases goes to the ledger first, as the blob `changes` of an entry: `{"cases": [row, …], "assets": [row, …]}`. A row
of `assets` speaks of all `hosts` of which the same is true (in older entries, of one `host`): a large fleet has a million of them, and a
few thousand that differ. The tables are then brought up to it by the same function that makes them again from the ledger.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection, select, update

from wardkeep.core.findings import Severity
from wardkeep.core.profiles import Numbers
from wardkeep.engine.deadlines import deadlines
from wardkeep.engine.platform import Platform
from wardkeep.store.bulk import fill, upsert
from wardkeep.store.flaw_tables import flaw_assets, flaw_cases

Key = tuple[str, str]  # flaw, package
FACTS = ("state", "severity", "exploited", "risk", "since", "hosts", "told", "opened", "closed", "how")
ASSET_FACTS = ("version", "fixed", "state", "opened", "closed", "how")
ASSET = ("flaw", "package", "host", *ASSET_FACTS, "entry")
QUIET = ("waived", "not_affected")  # decisions that end the clock
UNDECIDED: dict[str, Any] = {"decision": "", "decided": None, "decided_by": "", "said": {}}


@dataclass(frozen=True)
class Case:
    """One flaw in one package, now. `due` is when its clock ends, by the severity and the profile's numbers."""

    flaw: str
    package: str
    state: str
    severity: str
    exploited: str
    risk: int
    since: date
    due: datetime
    hosts: int
    opened: datetime
    closed: datetime | None
    how: str
    decision: str
    decided: datetime | None
    decided_by: str
    said: Mapping[str, Any] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return self.flaw, self.package

    @property
    def images(self) -> int:
        """How many of `hosts` are images or kept scans."""
        return int(self.told.get("images", 0))

    @property
    def last_day(self) -> date:
        """The last day on which it is in time: its clock's, or the earlier one that it was planned for."""
        return last_day_of(self.due.date(), self.decision, self.said)

    @property
    def is_running(self) -> bool:
        """Whether it is open and nobody lives with it on record."""
        return self.closed is None and self.decision not in QUIET

    def is_late(self, now: datetime) -> bool:
        return self.is_running and self.last_day < now.date()

    @property
    def weight(self) -> Severity:
        """The severity its clock runs by: exploited is critical, and one nobody gave is held to be high."""
        return weigh(self.severity, bool(self.exploited))


def weigh(severity: str, exploited: bool) -> Severity:
    """The severity a case's clock runs by."""
    if exploited:
        return Severity.CRITICAL
    return Severity.HIGH if severity == "unknown" else Severity(severity)


def last_day_of(due: date, decision: str, said: Mapping[str, Any]) -> date:
    """The day on which the clock ends, or the earlier one that it was planned for."""
    planned = str(said.get("until", "")) if decision == "planned" else ""
    return min(due, date.fromisoformat(planned)) if planned else due


@dataclass(frozen=True)
class CaseAsset:
    """A case on one asset: a host, an image that runs on one (`HOST/TAG`), or a kept scan (`scan:NAME`). `closed` is when a look showed that it ended; `how`: fixed, withdrawn (the data say otherwise), left."""

    flaw: str
    package: str
    host: str
    version: str
    fixed: str
    state: str
    opened: datetime
    closed: datetime | None
    how: str


def read_cases(
    platform: Platform, connection: Connection, *, closed: bool = False, keys: Iterable[Key] | None = None
) -> list[Case]:
    """Open cases, or with `closed` all of them, the riskiest first; only these where `keys` are given."""
    c = flaw_cases.c
    query = select(flaw_cases).order_by(c.risk.desc(), c.flaw, c.package)
    if not closed:
        query = query.where(c.closed.is_(None))
    wanted = None if keys is None else set(keys)
    if wanted is not None:
        query = query.where(c.flaw.in_(sorted({flaw for flaw, _ in wanted})))
    found = (case_of(row, platform.config.numbers) for row in connection.execute(query))
    return [case for case in found if wanted is None or case.key in wanted]


def case_of(row: Any, numbers: Numbers) -> Case:
    since = date.fromisoformat(row.since)
    began = datetime(since.year, since.month, since.day, tzinfo=UTC)
    made = Case(
        *(row.flaw, row.package, row.state, row.severity, row.exploited, row.risk, since),
        *(began, row.hosts, row.opened, row.closed, row.how),
        *(row.decision, row.decided, row.decided_by, row.said or {}, row.told or {}),
    )
    return replace(made, due=began + deadlines(numbers)[made.weight])


def read_assets(
    connection: Connection,
    *,
    key: Key | None = None,
    closed: bool = False,
    how: str = "",
    since: datetime | None = None,
) -> list[CaseAsset]:
    """Assets of one case, or of all; open ones, with `closed` also the others, or those that ended so (`how`), after `since`."""
    a = flaw_assets.c
    query = select(a.flaw, a.package, a.host, a.version, a.fixed, a.state, a.opened, a.closed, a.how)
    if key is not None:
        query = query.where(a.flaw == key[0], a.package == key[1])
    if since is not None:
        query = query.where(a.closed > since)
    if how:
        query = query.where(a.how == how)
    elif not closed:
        query = query.where(a.closed.is_(None))
    # Sorted here: a database that is asked for an order may walk the whole table along an index to give it.
    found = [CaseAsset(*row) for row in connection.execute(query)]
    return sorted(found, key=lambda one: (one.host, one.flaw, one.package))


def assets_by_case(connection: Connection, *, closed: bool = False) -> dict[Key, list[CaseAsset]]:
    made: dict[Key, list[CaseAsset]] = {}
    for one in read_assets(connection, closed=closed):
        made.setdefault((one.flaw, one.package), []).append(one)
    return made


@dataclass(frozen=True)
class Words:
    """What reviewers said that a scan of a host has to know, by flaw and package.

    `stated` is why a flaw does not concern the fleet; `waived` until when and by whom it is lived with.
    """

    stated: Mapping[Key, str]
    waived: Mapping[Key, str]


def reviewers_words(connection: Connection, now: datetime) -> Words:
    """A waiver that has ended is none, whether or not anybody noticed yet."""
    c = flaw_cases.c
    query = select(c.flaw, c.package, c.decision, c.decided_by, c.said)
    stated, waived = {}, {}
    rows = connection.execute(query.where(c.closed.is_(None), c.decision.in_(("waived", "not_affected"))))
    for row in rows.all():
        if row.decision == "not_affected":
            why = str(row.said.get("justification", "")).replace("_", " ")
            stated[row.flaw, row.package] = f"{row.decided_by} states: {why}: {row.said.get('says', '')}"
        elif str(row.said.get("until", "")) >= now.date().isoformat():
            waived[row.flaw, row.package] = f"until {row.said['until']} by {row.said.get('owner', '')}"
    return Words(stated, waived)


def put_changes(
    platform: Platform,
    cases: Sequence[Mapping[str, Any]],
    assets: Sequence[Mapping[str, Any]],
    body: Mapping[str, Any],
    connection: Connection,
) -> int:
    """Record changes in the ledger, then bring the tables up to them. Times are datetimes; returns the entry's index."""
    from wardkeep.engine.flaw_review import KIND, ROW

    told = {"cases": [_plain(row) for row in cases], "assets": [_plain(row) for row in assets]}
    data = json.dumps(told, sort_keys=True).encode()
    blob = {"name": "changes", "digest": platform.ledger.put_blob(data), "size": len(data)}
    entry = platform.record(KIND, "engine", dict(body), subject={"control": ROW}, blobs=[blob])
    # As they will be read from the ledger: an update of the queue over a large fleet is half a gigabyte twice over otherwise.
    bring_up(connection, told, entry)
    return entry


def retell(platform: Platform, connection: Connection, entry: Mapping[str, Any]) -> None:
    """Bring the tables up to one entry of the kind `flaw`. Doing it twice changes nothing."""
    body, index = entry["body"], int(entry["index"])
    if body["act"] == "queue":
        blob = next(one for one in entry["blobs"] if one["name"] == "changes")
        bring_up(connection, json.loads(platform.ledger.get_blob(blob["digest"])), index)
        return
    if "decision" in body:
        keys = [(flaw, package) for flaw, package in body["cases"]]
        decide(connection, keys, body["decision"], _time(body["at"]), entry["actor"], body["said"], index)


def decide(
    connection: Connection,
    keys: Sequence[Key],
    decision: str,
    at: datetime,
    by: str,
    said: Mapping[str, Any],
    entry: int,
) -> None:
    """Set the decision of open cases, unless a later entry set it already."""
    c = flaw_cases.c
    word = {"decision": decision, "decided": at if decision else None, "decided_by": by if decision else ""}
    for flaw, package in keys:
        later = c.decision_entry.is_not(None) & (c.decision_entry >= entry)
        connection.execute(
            update(flaw_cases)
            .where(c.flaw == flaw, c.package == package, ~later)
            .values(**word, said=dict(said), decision_entry=entry)
        )


def bring_up(connection: Connection, told: Mapping[str, Any], entry: int) -> None:
    """Rows of a blob `changes` into the tables, except where a later entry spoke already."""
    c, a = flaw_cases.c, flaw_assets.c
    had = {
        (row.flaw, row.package): row
        for row in connection.execute(select(c.flaw, c.package, c.entry, c.decision_entry))
    }
    cases, fresh = [], []
    for row in told["cases"]:
        known = had.get((row["flaw"], row["package"]))
        if known is not None and known.entry is not None and known.entry >= entry:
            continue
        made = {name: row[name] for name in ("flaw", "package", *FACTS)} | {"entry": entry}
        made |= {"opened": _time(row["opened"]), "closed": _time(row["closed"]) if row["closed"] else None}
        if row["anew"] and not (known and known.decision_entry and known.decision_entry >= entry):
            fresh.append({**made, **UNDECIDED, "decision_entry": entry})
        else:
            cases.append({**made, **UNDECIDED, "decision_entry": None})
    upsert(connection, flaw_cases, cases, (*FACTS, "entry"))
    upsert(connection, flaw_cases, fresh, (*FACTS, "entry", *UNDECIDED, "decision_entry"))
    rows = _asset_rows(told["assets"], entry)
    if connection.execute(select(a.flaw).limit(1)).first() is None:
        fill(connection, flaw_assets, ASSET, rows)
        return
    later = {
        (row.flaw, row.package, row.host)
        for row in connection.execute(select(a.flaw, a.package, a.host).where(a.entry >= entry))
    }
    upsert(
        connection,
        flaw_assets,
        [dict(zip(ASSET, row, strict=True)) for row in rows if row[:3] not in later],
        (*ASSET_FACTS, "entry"),
    )


def _asset_rows(told: Iterable[Mapping[str, Any]], entry: int) -> list[tuple[Any, ...]]:
    """The rows of the table, with the columns of `ASSET`. No entry speaks of one asset twice."""
    made = []
    for row in told:
        closed = _time(row["closed"]) if row["closed"] else None
        facts = (row["version"], row["fixed"], row["state"], _time(row["opened"]), closed, row["how"], entry)
        flaw, package = row["flaw"], row["package"]
        made += [(flaw, package, host, *facts) for host in row.get("hosts") or (row["host"],)]
    return made


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
    }


def _time(text: Any) -> datetime:
    return datetime.fromisoformat(str(text))
