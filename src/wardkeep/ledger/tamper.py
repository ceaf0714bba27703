"""The one error for a ledger that is not what it was."""

from __future__ import annotations

from wardkeep.core.errors import Refused


class Tampered(Refused):
    """What is on the disk is not what was signed: changed, cut, rolled back or rotten. `where` names the place."""

    exit_status = 1
