"""A registered worker that stays within a write for ever: `frozen_writer.py STORE_URL FOLDER LEASE state|durable|ledger`.

It prints its id once it holds the lock.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import update

from wardkeep.engine.leases import Worker
from wardkeep.engine.queue_file import QUEUE_FILE
from wardkeep.ledger.disk import locked
from wardkeep.store import open_store
from wardkeep.store.schema import workers


def main() -> None:
    url, folder, lease, what = sys.argv[1:]
    store = open_store(url)
    worker = Worker(store, "test", float(lease))
    worker.join()
    with ExitStack() as held:
        if what == "state":
            connection = held.enter_context(store.begin())
            connection.execute(update(workers).values(role="half written"))
        elif what == "durable":
            raw = sqlite3.connect(Path(folder) / QUEUE_FILE)
            raw.execute("BEGIN IMMEDIATE")
        else:
            held.enter_context(locked(Path(folder) / "ledger" / "lock"))
        print(worker.id, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
