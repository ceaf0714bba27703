"""What a feed is to this engine: how its documents are recognised, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import msgspec

from wardkeep.advisories.records import Record
from wardkeep.core.errors import BadInput

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plugin:
    """A feed. `recognises` (name, bytes) is cheap; `read` (bytes, name) yields records or raises BadInput.

    `rank` says whose claim stands when two feeds of one vendor speak of the same flaw and package: the lowest.
    A feed is stale when its newest day is older than `fresh_for`.
    """

    name: str
    title: str
    recognises: Callable[[str, bytes], bool]
    read: Callable[[bytes, str], Iterator[Record]]
    rank: int = 5
    fresh_for: timedelta = timedelta(days=3)


def decode(decoder: msgspec.json.Decoder[T], data: bytes, where: str, what: str) -> T:
    """The typed value of a JSON text. Raises BadInput that names the place in the document, in one line."""
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise BadInput(f"is not {what}: {e}", where=where, todo="Get it again, or leave it out.") from None
