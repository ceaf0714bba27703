"""Plans and what became of them, taken into the state again from the ledger's entries. Doing it twice changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from wardkeep.engine.platform import Platform
from wardkeep.store.schema import applies, plans


def retell_plan(platform: Platform, connection: Connection, entry: Mapping[str, Any]) -> None:
    """A `plan` entry: the plan with its document, as it was shown."""
    body = entry["body"]
    if connection.execute(select(plans.c.id).where(plans.c.id == body["plan"])).first():
        return
    blob = next(blob for blob in entry["blobs"] if blob["name"] == "plan")
    connection.execute(
        insert(plans).values(
            id=body["plan"],
            host=entry["subject"]["host"],
            digest=body["digest"],
            document=platform.ledger.get_blob(blob["digest"]).decode(),
            actor=entry["actor"],
            created=datetime.fromisoformat(entry["at"]),
            entry=entry["index"],
        )
    )


def retell_apply(connection: Connection, entry: Mapping[str, Any]) -> None:
    """An `apply` entry: that it began, or how it ended. One that began and never ended stays open, and so a finding."""
    body, a = entry["body"], applies.c
    at = datetime.fromisoformat(entry["at"])
    known = connection.execute(select(a.state).where(a.id == body["apply"])).first()
    if known is None:
        connection.execute(
            insert(applies).values(
                id=body["apply"],
                plan=body["plan"],
                host=entry["subject"]["host"],
                actor=entry["actor"],
                undoes=body.get("undoes", ""),
                state="begun",
                summary="",
                begun=at,
                entry_begun=entry["index"],
            )
        )
    if body["phase"] == "finished":
        ended = {"summary": body.get("summary", ""), "ended": at, "entry_ended": entry["index"]}
        connection.execute(
            update(applies)
            .where(a.id == body["apply"], a.state == "begun")
            .values(state=body["outcome"], **ended)
        )
