"""Ask many hosts at once; each snapshot is yielded as it comes, and no host waits for another's fault."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from wardkeep.core.errors import WardkeepError
from wardkeep.core.facts import Question, Snapshot
from wardkeep.fleet.connect import connect
from wardkeep.fleet.connector import Clock, Connector, unreachable, utc_now
from wardkeep.fleet.inventory import Host

CONCURRENCY = 32  # open connections; bounds memory to this many largest answers


async def observe_all(
    hosts: Iterable[Host],
    questions: Sequence[Question],
    *,
    concurrency: int = CONCURRENCY,
    deadline: float | None = None,
    connecting: Callable[[Host], Connector] | None = None,
    clock: Clock = utc_now,
) -> AsyncIterator[Snapshot]:
    """One snapshot per host, in the order they finish. `deadline` is seconds for one host's round.

    Nothing a host does raises here; a defect of ours with one host becomes that host's problem.
    """
    inventory = list(hosts)
    make = connecting or _connecting(inventory, deadline)
    waiting = iter(inventory)  # shared: each worker takes the next host
    done: asyncio.Queue[Snapshot] = asyncio.Queue()

    async def work() -> None:
        for host in waiting:
            done.put_nowait(await _observe(host, questions, make, clock))

    workers = [asyncio.create_task(work()) for _ in range(max(1, min(concurrency, len(inventory))))]
    try:
        for _ in inventory:
            yield await done.get()
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


def _connecting(inventory: Sequence[Host], deadline: float | None) -> Callable[[Host], Connector]:
    """How each host is reached, all with one keyring: a key that serves many hosts is read once."""
    keyring = None
    if any(host.url.startswith("ssh:") for host in inventory):
        from wardkeep.fleet.ssh_keys import Keyring  # the ssh library takes a quarter of a second to load

        keyring = Keyring()
    return lambda host: connect(host, keyring=keyring, deadline=deadline)


async def _observe(
    host: Host, questions: Sequence[Question], make: Callable[[Host], Connector], clock: Clock
) -> Snapshot:
    at = clock()
    try:
        connector = make(host)
        try:
            return await connector.ask(questions)
        finally:
            await connector.close()
    except WardkeepError as e:
        return unreachable(host.name, at, questions, e.line())
    # The law of this function: one host never stops the others. A defect becomes a problem that is shown.
    except Exception as e:  # noqa: BLE001
        return unreachable(
            host.name, at, questions, f"asking failed ({type(e).__name__}); please report this as a defect"
        )
