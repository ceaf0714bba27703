"""Processes that are ours: known by id and birth, or by a mark in their environment, and ended one by one."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "WARDKEEP_LAB_ID"  # a process that a lab started carries the lab's id in this variable


def born(pid: int) -> str:
    """When a process started (clock ticks since boot), so that a reused id is not taken for it; "" if it is gone."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return words[19] if words[0] != "Z" else ""
    return ""


def is_alive(pid: int, birth: str) -> bool:
    """Whether the process that was born then still runs. A zombie is gone."""
    return bool(birth) and born(pid) == birth


def end(pid: int, birth: str, *, timeout: float = 20, how: int = signal.SIGKILL) -> bool:
    """End that very process and wait until it is gone. Returns whether it is."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return True
    try:
        if not is_alive(pid, birth):
            return True
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, how)
        return wait_end(handle, timeout) or not is_alive(pid, birth)
    finally:
        os.close(handle)


def wait_end(handle: int, timeout: float | None) -> bool:
    """Wait for the process of a pidfd to end; a child of ours is buried too. Returns False when the time is over."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    if not poll.poll(None if timeout is None else timeout * 1000):
        return False
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PIDFD, handle, os.WEXITED | os.WNOHANG)
    return True


def marked(lab: str) -> Iterator[tuple[int, str]]:
    """Processes that carry the lab's mark, as (id, birth). Needs root for those of other users."""
    wanted = f"{MARK}={lab}".encode()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if wanted in Path(entry.path, "environ").read_bytes().split(b"\0") and (
                    birth := born(int(entry.name))
                ):
                    yield int(entry.name), birth


def environment(lab: str) -> dict[str, str]:
    """The environment of a process that belongs to the lab."""
    return {**os.environ, MARK: lab}


def wait_until(holds: object, timeout: float, pause: float = 0.02) -> bool:
    """Ask a function again until it is true or the time is over. Returns what it said last."""
    assert callable(holds)
    until = time.monotonic() + timeout
    while not (said := bool(holds())) and time.monotonic() < until:
        time.sleep(pause)
        pause = min(pause * 1.3, 0.5)
    return said
