"""How long work stands still when its worker dies or freezes: with real processes and the lease that a service has.

python -m bench.adoption

The yardstick is the lease: a worker that is only silent cannot be told from a slow one before it is over, one whose process is
gone from this machine can at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.engine import worker_process
from tests.engine.frozen import freeze, until

from wardkeep.engine.leases import LEASE
from wardkeep.store import open_store

LIMIT = 30.0  # seconds


def main() -> None:
    took = {how: adopted_after(how) for how in ("killed", "frozen")}
    for how, seconds in took.items():
        verdict = "kept" if seconds <= LIMIT else "NOT kept"
        print(
            f"the work of a {how} worker goes on within {LIMIT:.0f} s: {verdict} ({seconds:.1f} s; the lease is {LEASE:.0f} s)"
        )
    sys.exit(any(seconds > LIMIT for seconds in took.values()))


def adopted_after(how: str) -> float:
    """Seconds from the end of one worker, between two steps of its work, to the next step by another."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        url = f"sqlite:///{folder / 'state.db'}"
        open_store(url).close()
        begun: list[subprocess.Popen[str]] = []

        def begin(*start: str) -> subprocess.Popen[str]:
            command = [
                sys.executable,
                worker_process.__file__,
                url,
                scratch,
                str(LEASE),
                str(LEASE / 3),
                *start,
            ]
            begun.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment()))
            assert begun[-1].stdout
            begun[-1].stdout.readline()  # it has joined
            return begun[-1]

        try:
            begin()
            first = begin("start", "work", "2")
            (folder / "go-0").touch()
            until((folder / "at-1").exists)
            if how == "killed":
                first.kill()
                first.wait()
            else:
                freeze(first.pid, folder)
            ended = time.monotonic()
            (folder / "go-1").touch()
            until(lambda: len((folder / "acts").read_text().splitlines()) == 2)
            return time.monotonic() - ended
        finally:
            for process in begun:
                process.send_signal(signal.SIGKILL)
                process.communicate()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


if __name__ == "__main__":
    main()
