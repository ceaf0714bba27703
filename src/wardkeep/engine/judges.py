"""Other processes of this program that hold hosts against the controls while this one reads and writes: Python computes on one
core at a time.

A judge is given what the ledger is given, the snapshot's own bytes and the policies, and gives back what the ledger is to hold:
the findings as canonical JSON. It has no state, no connection and no right that its parent has not. Whatever becomes of it (killed,
out of memory, frozen, of another version), the hosts it does not answer for are judged by the parent itself.
It lives as long as its socket: a parent that is killed leaves none behind.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from wardkeep import controls as rows
from wardkeep.controls.matrix import BY_ID
from wardkeep.core.control import Control
from wardkeep.core.facts import PLATFORM, Snapshot
from wardkeep.core.findings import Finding
from wardkeep.engine.assess import assess
from wardkeep.fleet import snapshot_from_bytes

if TYPE_CHECKING:
    from wardkeep.engine.config import Config

MANY = 200  # hosts; below this, a judge takes longer to begin (a second, 50 MB) than it saves
MOST = 8  # judges
TOGETHER = 20  # hosts given to a judge at once: a few megabytes
TURN = 0.02  # seconds between two looks whether this process has become free
GRACE = 1.0  # seconds for a judge to end by itself
PATIENCE = 120.0  # seconds for those; a judge that says nothing for so long is taken for frozen
_LENGTH = 8  # bytes before each message
_TOLD = msgspec.json.Decoder(list[Finding])

Given = tuple[bytes, bytes]  # a host's snapshot, and its policies (pickled, in the order of the controls)
Judged = tuple[list[Finding], bytes]  # the findings, and the same as the blob of an assessment holds them


@contextmanager
def judges_for(
    hosts: int, controls: Sequence[Control], is_free: Callable[[], bool] = lambda: False
) -> Iterator[Judges]:
    """As many judges as there are cores beside this process's; none for a small fleet, on a busy machine, or for controls that no other process knows.

    `is_free` says whether this process has nothing else to do than to judge its share.
    """
    known = all(control.id in BY_ID and rows.control(control.id) is control for control in controls)
    cores = len(os.sched_getaffinity(0))
    # Where no core stands idle, a judge only costs: a cycle took a sixth to a fifth longer there (docs/adr/judges.md).
    wanted = hosts >= MANY and known and os.getloadavg()[0] < cores
    count = min(cores - 1, MOST) if wanted else 0
    made = Judges(controls, count, is_free=is_free)
    try:
        yield made
    finally:
        made.close()


class Judges:
    """`count` judges for these controls, begun and not waited for: until one is ready, it is not asked."""

    def __init__(
        self,
        controls: Sequence[Control],
        count: int,
        patience: float = PATIENCE,
        is_free: Callable[[], bool] = lambda: False,
    ) -> None:
        self._is_free = is_free
        self.controls = list(controls)
        self._policies: dict[tuple[int, ...], tuple[list[Any], bytes]] = {}
        self.judges: list[_Judge] = []
        with contextlib.suppress(OSError):  # no process more may be begun here
            for _ in range(count):
                self.judges.append(_Judge(self.controls, patience))

    def judge(
        self,
        snapshots: Sequence[Snapshot],
        contents: Sequence[bytes],
        config: Config,
        here: Callable[[Snapshot], list[Finding]],
    ) -> list[Judged]:
        """Each of these snapshots judged. `contents` are the snapshots as bytes; `here` judges one in this process: what no judge
        answers for, and while this process is free, its share."""
        made: list[Judged | None] = [None] * len(snapshots)
        ready = [one for one in self.judges if one.is_ready()]
        if ready and all(snapshot.subject != PLATFORM for snapshot in snapshots):
            given = [
                (content, self._policies_of(config, snapshot.subject))
                for content, snapshot in zip(contents, snapshots, strict=True)
            ]
            pieces = iter(range(0, len(given), TOGETHER))  # shared: whoever is free takes the next

            def work(one: _Judge) -> None:
                for start in pieces:
                    answer = one.ask(given[start : start + TOGETHER])
                    if answer is None:
                        return
                    made[start : start + TOGETHER] = [(_TOLD.decode(blob), blob) for blob in answer]

            with ThreadPoolExecutor(len(ready)) as pool:
                working = {pool.submit(work, one) for one in ready}
                while working:
                    piece = next(pieces, None) if self._is_free() else None
                    if piece is not None:
                        for n in range(piece, min(piece + TOGETHER, len(given))):
                            made[n] = _judged(here(snapshots[n]))
                    done, working = wait(working, timeout=0 if piece is not None else TURN)
                    for one in done:
                        one.result()
        return [_judged(here(snapshots[n])) if one is None else one for n, one in enumerate(made)]

    def _policies_of(self, config: Config, host: str) -> bytes:
        policies = [config.policy(control, host) for control in self.controls]
        key = tuple(map(id, policies))
        if key not in self._policies:
            # The policies are held, so that an address in a key cannot come to mean another.
            self._policies[key] = policies, pickle.dumps(policies)
        return self._policies[key][1]

    def close(self) -> None:
        for one in self.judges:
            one.end()


class _Judge:
    """One judge, seen from its parent."""

    def __init__(self, controls: Sequence[Control], patience: float) -> None:
        self.expected = _print_of(controls)
        self._patience = patience
        self._socket, far = socket.socketpair()
        code = f"from wardkeep.engine.judges import serve; serve({far.fileno()}); import os; os._exit(0)"
        # The same Wardkeep, wherever this one was imported from.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # what it fails at is done again, and said, here
                pass_fds=[far.fileno()],
                env=environment,
            )
        except BaseException:
            self._socket.close()
            raise
        finally:
            far.close()
        self._state = "beginning"
        with contextlib.suppress(OSError):
            _send(self._socket, pickle.dumps([control.id for control in controls]))
        self._socket.setblocking(False)

    def is_ready(self) -> bool:
        """Whether it has said that it judges by the same rules as this process. Never waits."""
        if self._state == "beginning":
            try:
                if len(self._socket.recv(len(self.expected) + _LENGTH, socket.MSG_PEEK)) == 0:
                    raise EOFError
                self._socket.settimeout(self._patience)
                if _receive(self._socket) != self.expected:
                    raise ValueError
                self._state = "ready"
            except BlockingIOError:
                pass
            except (OSError, EOFError, ValueError):
                self.end()
        return self._state == "ready"

    def ask(self, given: Sequence[Given]) -> list[bytes] | None:
        """The findings of each, as canonical JSON. None when it does not answer: then it is ended."""
        try:
            _send(self._socket, pickle.dumps(given, pickle.HIGHEST_PROTOCOL))
            answer: list[bytes] = pickle.loads(_receive(self._socket))  # noqa: S301 (of our own child, by a socket that nobody else has)
            if len(answer) == len(given):
                return answer
        except (OSError, EOFError, pickle.UnpicklingError):
            pass
        self.end()
        return None

    def end(self) -> None:
        """It ends by itself when its socket does; a frozen one is killed."""
        if self._state == "ended":
            return
        self._state = "ended"
        self._socket.close()
        try:
            self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def serve(handle: int) -> None:
    """The judge itself: answer until the socket at `handle` ends."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # at a terminal it is meant for the parent, which ends the socket
    with socket.socket(fileno=handle) as parent, contextlib.suppress(EOFError, OSError):
        every = [rows.control(name) for name in pickle.loads(_receive(parent))]  # noqa: S301 (of our own parent)
        _send(parent, _print_of(every))
        policies: dict[bytes, list[Any]] = {}
        while True:
            made = []
            for content, packed in pickle.loads(_receive(parent)):  # noqa: S301
                if packed not in policies:
                    policies[packed] = pickle.loads(packed)  # noqa: S301
                snapshot = snapshot_from_bytes(content)
                pairs = zip(every, policies[packed], strict=True)
                made.append(
                    _judged([f for control, policy in pairs for f in assess(control, snapshot, policy)])[1]
                )
            _send(parent, pickle.dumps(made))


def _judged(found: list[Finding]) -> Judged:
    """With the blob as canonical JSON (RFC 8785)."""
    return found, msgspec.json.encode(found, order="deterministic")


def _print_of(controls: Sequence[Control]) -> bytes:
    """What two processes must agree on before one judges for the other."""
    rules = [(rule.id, rule.says) for control in controls for rule in control.rules]
    return hashlib.sha256(repr((sys.version, _PROGRAM, rules)).encode()).digest()


def _program() -> list[tuple[str, int, int]]:
    """Every file of this program, its size and when it was put on the disk: a server may be older than that."""
    top = Path(__file__).parents[1]
    made = []
    for folder, _, files in os.walk(top):
        for name in files:
            if name.endswith(".py"):
                told = os.stat(os.path.join(folder, name))
                made.append((os.path.relpath(folder, top) + "/" + name, told.st_ctime_ns, told.st_size))
    return sorted(made)


_PROGRAM = _program()  # as this process began


def _send(to: socket.socket, message: bytes) -> None:
    to.sendall(len(message).to_bytes(_LENGTH, "big"))
    to.sendall(message)


def _receive(source: socket.socket) -> bytes:
    return bytes(_exactly(source, int.from_bytes(_exactly(source, _LENGTH), "big")))


def _exactly(source: socket.socket, count: int) -> bytearray:
    data = bytearray(count)
    view, got = memoryview(data), 0
    while got < count:
        more = source.recv_into(view[got:])
        if not more:
            raise EOFError
        got += more
    return data
