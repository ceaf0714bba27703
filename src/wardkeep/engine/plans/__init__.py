"""Plans: what would be changed on a host, for a person to read before anything is done."""

from wardkeep.engine.plans.document import (
    ActChange,
    AnyChange,
    FileChange,
    NoRemedy,
    Plan,
    UpgradeChange,
    Withheld,
    read_plan,
)
from wardkeep.engine.plans.gather import make_plan

__all__ = [
    "ActChange",
    "AnyChange",
    "FileChange",
    "NoRemedy",
    "Plan",
    "UpgradeChange",
    "Withheld",
    "make_plan",
    "read_plan",
]
