"""Days and times as a person types them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from wardkeep.core.errors import BadInput


def read_past(text: str, option: str) -> datetime:
    """The same for a moment that must have come: a day means its end, or now if it is today. Raises BadInput."""
    made, now = read_moment(text, option, end_of_day=True), datetime.now(UTC)
    if read_moment(text, option) > now:
        raise BadInput(f"{text} has not come yet", where=option, todo="Give a day or time up to now (UTC).")
    return min(made, now)


def read_moment(text: str, option: str, *, end_of_day: bool = False) -> datetime:
    """A day or a time, UTC where no offset is given. A day as an end means the whole day."""
    try:
        made = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(
            f"{text!r} is no day or time such as 2026-11-22 or 2026-11-22T09:00", where=option
        ) from None
    if end_of_day and len(text) <= 10:
        made += timedelta(days=1)
    return (made if made.tzinfo else made.replace(tzinfo=UTC)).astimezone(UTC)
