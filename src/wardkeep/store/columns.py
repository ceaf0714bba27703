"""Column types that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import BigInteger, Integer
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
NEVER = 253_402_300_799_000_000  # 9999-12-31T23:59:59Z: sorts after every real deadline

# SQLite gives a rowid of its own only to INTEGER PRIMARY KEY; PostgreSQL needs 8 bytes said aloud.
RowId = BigInteger().with_variant(Integer(), "sqlite")


def to_micros(at: datetime) -> int:
    """Microseconds since 1970 UTC. Raises ValueError for a time without zone: it would be read as local time later."""
    if at.tzinfo is None:
        raise ValueError("a time without a zone cannot be stored")
    return (at - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


class Moment(TypeDecorator[datetime]):
    """A UTC time as 8 bytes of microseconds: exact, sortable, and the same arithmetic on both databases."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else from_micros(value)


class Deadline(TypeDecorator[datetime]):
    """A UTC time, or None for "no deadline", stored as the year 9999 so that order and paging need no NULL case."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int:
        return NEVER if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None or value >= NEVER else from_micros(value)
