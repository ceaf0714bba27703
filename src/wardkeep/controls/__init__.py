"""The controls: one module for each row of the matrix, named after it. `matrix.ROWS` is their order."""

from __future__ import annotations

import functools
import importlib

from wardkeep.controls.matrix import BY_ID, ROWS
from wardkeep.core.control import Control
from wardkeep.core.errors import BadInput
from wardkeep.core.profiles import did_you_mean


@functools.cache
def control(id_: str) -> Control:
    """The control of that row. Raises BadInput naming the nearest row."""
    if id_ not in BY_ID:
        raise BadInput(f"no control is called `{id_}`", todo=did_you_mean(id_, BY_ID))
    # Imported when first asked for, so that `wardkeep --help` does not load 25 modules.
    made = importlib.import_module(f"wardkeep.controls.{id_}").control
    if not isinstance(made, Control) or made.id != id_:
        raise TypeError(f"wardkeep.controls.{id_} must define `control = Control({id_!r}, ...)`")
    return made


@functools.cache
def all_controls() -> tuple[Control, ...]:
    """All 25 controls, in the matrix's order."""
    return tuple(control(row.id) for row in ROWS)
