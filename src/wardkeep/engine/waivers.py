"""Accepting a finding for a time: by whom, why, with what instead, and until when. It stays visible and lowers the score.

Whether a waiver holds is computed from its times, so one that runs out reopens its finding by itself, even when nothing
of ours runs at that moment; `note_expired` later puts the fact on record and gives it to the alerts.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, insert, select, update

from wardkeep.core.errors import BadInput
from wardkeep.core.profiles import show_duration
from wardkeep.engine.platform import Platform, timestamp
from wardkeep.store.browse import in_force, one
from wardkeep.store.schema import findings, waivers

LONGEST_TEXT = 2_000


@dataclass(frozen=True)
class Waiver:
    """A waiver as it stands. `state` is `in force`, `expired` or `revoked`. `until_fixed`: it also ends when a fix is released."""

    id: str
    fingerprint: str
    rule: str
    host: str
    subject: str
    owner: str
    reason: str
    compensating: str
    created_by: str
    created: datetime
    expires: datetime
    revoked: datetime | None
    state: str
    until_fixed: bool = False


def waive(
    platform: Platform,
    fingerprint: str,
    *,
    owner: str,
    reason: str,
    compensating: str,
    expires: datetime,
    by: str,
    now: datetime | None = None,
    until_fixed: bool = False,
) -> Waiver:
    """Accept an open finding until `expires`. Everything is mandatory; the act is in the ledger before it holds.

    `until_fixed` notes that it is to end before that when a fix is released; who follows the finding revokes it then.

    Raises BadInput when a text is missing, the expiry is not in the future or later than the profile's yearly audit
    allows, or the finding does not exist, is not open, or is waived already.
    """
    now = now or datetime.now(UTC)
    texts = {
        "owner": _said("owner", owner),
        "reason": _said("reason", reason),
        "compensating": _said("compensating control", compensating),
    }
    _check_expiry(platform, expires, now)
    with platform.store.begin() as connection:
        platform.store.lock(connection, f"waiver:{fingerprint}")
        finding = one(connection, fingerprint)
        if finding is None:
            raise BadInput(
                "no finding has this fingerprint", where=fingerprint, todo="See `wardkeep findings`."
            )
        if finding.gone_at is not None or finding.verdict == "pass":
            raise BadInput("this finding is not open, there is nothing to waive", where=fingerprint)
        held = connection.execute(
            select(waivers).where(waivers.c.fingerprint == fingerprint, in_force(now))
        ).first()
        if held is not None:
            raise BadInput(
                f"it is waived already until {timestamp(held.expires)} by {held.owner}",
                where=fingerprint,
                todo=f"Revoke waiver {held.id} first.",
            )
        made = secrets.token_hex(8)
        body = {"act": "given", "id": made, "fingerprint": fingerprint, "rule": finding.rule, **texts}
        body |= {
            "until_fixed": until_fixed,
            "finding_subject": finding.subject,
            "created": timestamp(now),
            "expires": timestamp(expires),
        }
        entry = platform.record("waiver", by, body, subject=_subject(finding))
        row = {"id": made, "fingerprint": fingerprint, **texts, "created_by": by, "created": now}
        row["until_fixed"] = int(until_fixed)
        connection.execute(insert(waivers).values(**row, expires=expires, entry=entry))
    return get_waiver(platform, made, now)


def revoke(platform: Platform, waiver: str, *, reason: str, by: str, now: datetime | None = None) -> Waiver:
    """End a waiver now; its finding is open again. Raises BadInput when there is none, or it does not hold any more."""
    now = now or datetime.now(UTC)
    why = _said("reason", reason)
    with platform.store.begin() as connection:
        platform.store.lock(connection, f"waiver:{waiver}")
        held = connection.execute(
            select(waivers, findings.c.host, findings.c.control)
            .join(findings, findings.c.fingerprint == waivers.c.fingerprint)
            .where(waivers.c.id == waiver)
        ).first()
        if held is None:
            raise BadInput("there is no such waiver", where=waiver)
        if held.revoked is not None or held.expires <= now:
            raise BadInput("this waiver does not hold any more", where=waiver)
        body = {"act": "revoked", "id": waiver, "fingerprint": held.fingerprint, "reason": why}
        body["revoked"] = timestamp(now)
        platform.record("waiver", by, body, subject=_subject(held))
        connection.execute(update(waivers).where(waivers.c.id == waiver).values(revoked=now, revoked_by=by))
    return get_waiver(platform, waiver, now)


def note_expired(platform: Platform, now: datetime | None = None) -> list[Waiver]:
    """Put waivers that ran out on record, each once, and return them: their findings are open again."""
    now = now or datetime.now(UTC)
    with platform.store.begin() as connection:
        platform.store.lock(connection, "waivers:expiry")
        ended = connection.execute(
            select(waivers, findings.c.host, findings.c.control)
            .join(findings, findings.c.fingerprint == waivers.c.fingerprint)
            .where(waivers.c.expires <= now, waivers.c.expiry_said.is_(None), waivers.c.revoked.is_(None))
        ).all()
        for waiver in ended:
            body = {"act": "expired", "id": waiver.id, "fingerprint": waiver.fingerprint}
            platform.record(
                "waiver", "engine", {**body, "expires": timestamp(waiver.expires)}, subject=_subject(waiver)
            )
            connection.execute(update(waivers).where(waivers.c.id == waiver.id).values(expiry_said=now))
    return [get_waiver(platform, waiver.id, now) for waiver in ended]


def get_waiver(platform: Platform, waiver: str, now: datetime | None = None) -> Waiver:
    """Raises BadInput when there is none."""
    found = list_waivers(platform, now, waiver=waiver)
    if not found:
        raise BadInput("there is no such waiver", where=waiver)
    return found[0]


def list_waivers(
    platform: Platform, now: datetime | None = None, *, fingerprint: str = "", waiver: str = ""
) -> Sequence[Waiver]:
    """All waivers, the newest first: of one finding, or the one of this id, when given."""
    now = now or datetime.now(UTC)
    query = (
        select(waivers, findings.c.rule, findings.c.host, findings.c.subject)
        .join(findings, findings.c.fingerprint == waivers.c.fingerprint)
        .order_by(waivers.c.created.desc(), waivers.c.id)
    )
    if fingerprint:
        query = query.where(waivers.c.fingerprint == fingerprint)
    if waiver:
        query = query.where(waivers.c.id == waiver)
    with platform.store.read() as connection:
        return [_view(row, now) for row in connection.execute(query)]


def _view(row: Row[Any], now: datetime) -> Waiver:
    state = "revoked" if row.revoked else "in force" if row.expires > now else "expired"
    texts = (row.owner, row.reason, row.compensating)
    times = (row.created, row.expires, row.revoked)
    return Waiver(
        *(row.id, row.fingerprint, row.rule, row.host, row.subject, *texts, row.created_by, *times, state),
        bool(row.until_fixed),
    )


def _check_expiry(platform: Platform, expires: datetime, now: datetime) -> None:
    if expires.tzinfo is None:
        raise BadInput("the expiry has no time zone", todo="Give a date, or a time with Z.")
    if expires <= now:
        raise BadInput("the expiry is not in the future", where=timestamp(expires))
    longest = platform.config.numbers.compliance_audit
    if expires - now > longest:
        raise BadInput(
            f"a waiver holds for {show_duration(longest)} at most (the number `compliance_audit`)",
            where=timestamp(expires),
            todo="Choose an earlier day; it can be given again then.",
        )


def _said(what: str, text: str) -> str:
    said = " ".join(text.split())
    if not said:
        raise BadInput(f"a waiver needs its {what}")
    if len(said) > LONGEST_TEXT:
        raise BadInput(f"the {what} is longer than {LONGEST_TEXT:,} characters")
    return said


def _subject(row: Row[Any]) -> dict[str, str]:
    return {"host": row.host, "control": row.control}
