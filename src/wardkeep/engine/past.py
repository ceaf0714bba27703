"""The matrix as of a past moment, read from the ledger alone: the database's word is not asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from wardkeep.controls.matrix import ROWS
from wardkeep.core.findings import Verdict
from wardkeep.engine.platform import Platform
from wardkeep.ledger.asof import rows_as_of


@dataclass(frozen=True)
class PastRow:
    """One row as it stood. `rests_on` maps each host to the ledger's index of the assessment that says so."""

    number: int
    id: str
    title: str
    party: str
    status: Verdict
    findings: dict[str, int]
    rests_on: dict[str, int]


def matrix_as_of(platform: Platform, when: datetime) -> list[PastRow]:
    """All 25 rows at `when` (UTC). A row nothing had assessed by then is unknown. Raises Tampered."""
    then = rows_as_of(platform.ledger, when)
    rows = []
    for row in ROWS:
        counts = then.rows.get(row.id) or {}
        seen = {verdict.value: int(counts.get(verdict.value, 0)) for verdict in Verdict}
        status = Verdict.FAIL if seen["fail"] else Verdict.UNKNOWN
        if seen["pass"] and not seen["fail"] and not seen["unknown"]:
            status = Verdict.PASS
        rests_on = {look.host: look.index for look in then.looks if row.id in look.rows}
        rows.append(PastRow(row.number, row.id, row.title, row.party, status, seen, rests_on))
    return rows
