"""RFC 8785 canonical JSON for the values that entries are made of: the same value always has the same bytes.

Numbers are whole and within ±(2**53 - 1), which every JSON reader holds exactly; a fraction is written as a string.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from wardkeep.core.errors import BadInput

LARGEST = 2**53 - 1  # RFC 8785 §3.2.2.3: beyond it two readers may see two numbers
DEEPEST = 64
_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False, allow_nan=False)


def canonical(value: object) -> bytes:
    """The one UTF-8 form of `value` (dict, list, tuple, str, int, bool, None). Raises BadInput for anything else."""
    try:
        return _compact.encode(_ordered(value, DEEPEST)).encode()
    except UnicodeEncodeError:
        raise BadInput("a text holds half of a surrogate pair, which is no character") from None


def parse_canonical(data: bytes) -> Any:
    """The value of which `data` is the canonical form. Raises BadInput for every other byte string."""
    try:
        value = json.loads(data.decode(), parse_float=_refuse, parse_constant=_refuse)
        if canonical(value) == data:  # also finds doubled keys, spaces, other orders and other escapes
            return value
    except (ValueError, RecursionError, BadInput):
        pass
    raise BadInput("not canonical JSON")


def _refuse(text: str) -> None:
    raise ValueError(text)


def _ordered(value: object, depth: int) -> object:
    """A copy with every object's keys in UTF-16 order, made of nothing but what is allowed."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if -LARGEST <= value <= LARGEST:
            return int(value)
        raise BadInput(
            "a number is beyond 2**53, which not every JSON reader holds exactly; write it as a string"
        )
    if depth == 0:
        raise BadInput(f"the value is nested more than {DEEPEST} deep")
    if isinstance(value, dict | Mapping):
        return {key: _ordered(value[key], depth - 1) for key in _sorted(value)}
    if isinstance(value, list | tuple):
        return [_ordered(item, depth - 1) for item in value]
    if isinstance(value, float):
        raise BadInput("an entry cannot hold a fraction; use whole units (ms, bytes) or a string")
    raise BadInput(f"an entry cannot hold a {type(value).__name__}")


def _sorted(value: Mapping[Any, object]) -> list[str]:
    try:
        plain = "".join(value).isascii()
    except TypeError:
        raise BadInput("an entry's keys must be strings") from None
    keys: list[str] = list(value)
    if plain:
        return sorted(keys)
    return sorted(keys, key=lambda key: key.encode("utf-16-be", "surrogatepass"))  # RFC 8785 §3.2.3
