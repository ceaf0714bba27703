"""What a workflow has done so far, read while another thread or process carries it out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from wardkeep.engine.durable import Durable, Json


@dataclass(frozen=True)
class StepDone:
    """A step that is recorded as done: when it was begun (None if that is not told), and its result."""

    name: str
    begun: datetime | None
    result: Json = None


def steps_of(durable: Durable, id: str) -> list[StepDone]:
    """The steps of that workflow in order, wherever it runs. The durable engine must be open."""
    from dbos import DBOS

    assert durable.worker
    return [
        StepDone(str(row["function_name"]), _moment(row["started_at_epoch_ms"]), row["output"])
        for row in DBOS.list_workflow_steps(id)
    ]


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
