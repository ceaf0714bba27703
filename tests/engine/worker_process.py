"""A worker as its own process, for tests that kill and freeze it: `worker_process.py STORE_URL FOLDER LEASE PATROL [START ID N]`.

Its one workflow takes the fence of `host:toy` and adds a line `number worker token` to FOLDER/acts for each of N steps,
after waiting for the file FOLDER/go-NUMBER before it checks the fence; FOLDER/at-NUMBER says that it waits there.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from wardkeep.engine.durable import Durable, Json, Run
from wardkeep.engine.leases import Fence
from wardkeep.store import open_store


def main() -> None:
    url, folder, lease, patrol, *start = sys.argv[1:]
    place = Path(folder)
    durable = Durable(open_store(url), place, role="test", lease=float(lease), patrol=float(patrol))

    def act(number: int, fence: Fence) -> Json:
        (place / f"at-{number}").touch()
        while not (place / f"go-{number}").exists():
            time.sleep(0.05)
        durable.worker.check(fence)
        with (place / "acts").open("a") as acts:
            acts.write(f"{number} {durable.worker.id} {fence.token}\n")
        return number

    def toy(run: Run, count: int) -> Json:
        with run.hold("host:toy") as fence:
            return [run.step(f"act {n}", lambda n=n: act(n, fence)) for n in range(count)]

    durable.workflow("toy", toy)
    with durable:
        print(durable.worker.id, flush=True)
        if start:
            verb, id, count = start
            (durable.start if verb == "start" else durable.enqueue)("toy", id, int(count))
        while not durable.worker.lost.wait(0.2):
            pass
    print("lost", flush=True)


if __name__ == "__main__":
    main()
