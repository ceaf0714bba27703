"""Carrying out a plan on a host, taking it back, and what became of each."""

from wardkeep.engine.apply.carry_out import Site, apply_workflow, undo_workflow
from wardkeep.engine.apply.hand import Hand
from wardkeep.engine.apply.records import (
    Applied,
    Stored,
    find_applied,
    find_plan,
    latest_plan,
    list_applies,
    store_plan,
)

__all__ = [
    "Applied",
    "Hand",
    "Site",
    "Stored",
    "apply_workflow",
    "find_applied",
    "find_plan",
    "latest_plan",
    "list_applies",
    "store_plan",
    "undo_workflow",
]
