"""What of DBOS must not reach us: its environment variables, its console output, its pickle, its complaints at our end."""

from __future__ import annotations

import logging
import os
from typing import Any

from wardkeep.core.errors import WardkeepError
from wardkeep.engine.queue_file import QUEUE_FILE

_log = logging.getLogger("dbos")


class _Ending(logging.Filter):
    """Leaves out that a workflow was stopped by the end of the engine: its steps are kept, and it goes on at the next start.

    DBOS logs that as an error, as if something were to be done about it. Any other exception of a workflow stays.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.exc_info[0] if record.exc_info else None
        return not (
            kind is not None and kind.__module__.startswith("dbos.") and kind.__name__ == "DBOSException"
        )


_ending = _Ending()


def expect_ending() -> None:
    """From now on, until `quiet_dbos`, a workflow that finds its engine gone is no error."""
    _log.addFilter(_ending)


def quiet_dbos() -> Any:
    """The class `DBOS`, without its environment, its console output, and its pickle."""
    for name in [name for name in os.environ if name.startswith("DBOS_")]:
        del os.environ[name]
    _log.removeFilter(_ending)
    if not _log.handlers:
        _log.addHandler(
            logging.NullHandler()
        )  # with a handler present it does not add its own for the console
        _log.propagate = True
    from dbos import DBOS, _serialization

    # Its tables say of each row how it is serialized, and it would follow a row that says "pickle" whatever serializer
    # is set: then whoever can write the database could run code here.
    _serialization.DefaultSerializer.deserialize = _refuse_pickle  # type: ignore[assignment]
    _serialization.DefaultSerializer.serialize = _refuse_pickle  # type: ignore[assignment]
    return DBOS


def _refuse_pickle(*_: object) -> Any:
    raise WardkeepError(
        "a pickled value is never read nor written",
        where=QUEUE_FILE,
        todo="Someone has written to it: look at who can.",
    )
