"""Wait until a lab's process is gone, however it went, and remove what the lab made.

`python -m wardkeep.lab.watchdog RUN CACHE LAB PID BIRTH`. A session of its own, so that what ends the process
does not end this one. It ends by itself when the lab was closed in order.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from pathlib import Path

from wardkeep.core.errors import Unavailable
from wardkeep.lab import processes
from wardkeep.lab.reaper import reap
from wardkeep.lab.records import Book, Places


def watch(book: Book, pid: int, birth: str) -> None:
    """Return when the process is gone or stdin is closed, with nothing of the lab left if it can be helped."""
    try:
        owner = os.pidfd_open(pid)
    except ProcessLookupError:
        owner = -1
    if owner >= 0 and processes.is_alive(pid, birth):
        poll = select.poll()
        poll.register(owner, select.POLLIN)
        poll.register(sys.stdin.fileno(), select.POLLIN | select.POLLHUP)
        while True:
            told = dict(poll.poll())
            if owner in told:
                break
            # Closed in order: the lab has removed everything and its record. A fork may have closed it as well.
            if not book.is_open():
                return
            poll.unregister(sys.stdin.fileno())
    for _ in range(5):
        try:
            return reap(book)
        except Unavailable:
            signal.sigtimedwait([], 1)


def main(words: list[str]) -> None:
    run, cache, lab, pid, birth = words
    for deadly in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(deadly, signal.SIG_IGN)
    watch(Book(Places(Path(run), Path(cache)), lab), int(pid), birth)


if __name__ == "__main__":
    main(sys.argv[1:])
