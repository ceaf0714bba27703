"""The two sockets of a QEMU machine: its monitor (QMP) and the agent within it. One JSON object per line each way."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wardkeep.core.errors import Unavailable
from wardkeep.lab.podman import Ran

ENVIRONMENT = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "TERM=dumb", "USER=root"]


class Line:
    """One connection to a JSON socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        self.until = time.monotonic() + timeout
        self.path, self.rest = path, b""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise

    def send(self, told: dict[str, Any]) -> None:
        self._limit()
        self.socket.sendall(json.dumps(told).encode() + b"\n")

    def receive(self) -> dict[str, Any]:
        """The next object. Raises TimeoutError, ConnectionError."""
        while b"\n" not in self.rest:
            self._limit()
            piece = self.socket.recv(1 << 20)
            if not piece:
                raise ConnectionError("closed")
            self.rest += piece
        line, _, self.rest = self.rest.partition(b"\n")
        # The agent's parser is reset by a byte that is no JSON; what came before it belongs to somebody else.
        told = json.loads(line.lstrip(b"\xff") or b"{}")
        return told if isinstance(told, dict) else {}

    def _limit(self) -> None:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.socket.settimeout(left)


@contextlib.contextmanager
def _alone(path: Path, timeout: float) -> Iterator[Line]:
    """The socket serves one at a time: wait for the others, also of other processes."""
    with open(f"{path}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        line = Line(path, timeout)
        try:
            yield line
        finally:
            line.socket.close()


def listens(path: Path) -> bool:
    """Whether somebody takes connections: a socket's file is there a moment earlier."""
    try:
        with _alone(path, 10):
            return True
    except OSError:
        return False


def monitor(path: Path, *commands: tuple[str, dict[str, Any]], timeout: float = 60) -> Any:
    """Tell a machine's monitor these commands; returns what it said to the last. Raises Unavailable."""
    said: Any = None
    try:
        with _alone(path, timeout) as line:
            line.receive()
            for command, arguments in (("qmp_capabilities", {}), *commands):
                line.send({"execute": command, "arguments": arguments})
                while not ({"return", "error"} & set(told := line.receive())):
                    pass
                if "error" in told:
                    raise Unavailable(f"{command}: {told['error'].get('desc')}", where=str(path.name))
                said = told["return"]
    except (OSError, ValueError) as e:
        raise Unavailable(
            f"the machine's monitor does not answer ({e or type(e).__name__})", where=path.name
        ) from None
    return said


def _ask(path: Path, command: str, arguments: dict[str, Any], timeout: float) -> Any:
    with _alone(path, timeout) as line:
        number = secrets.randbits(31)
        line.send({"execute": "guest-sync", "arguments": {"id": number}})
        while line.receive().get("return") != number:
            pass
        line.send({"execute": command, "arguments": arguments})
        told = line.receive()
    if "error" in told:
        raise Unavailable(f"{command}: {told['error'].get('desc')}", where=path.name)
    return told.get("return")


def agent(path: Path, command: str, arguments: dict[str, Any], timeout: float = 60) -> Any:
    """Ask the agent within a machine. Raises Unavailable when it does not answer."""
    try:
        return _ask(path, command, arguments, timeout)
    except (OSError, ValueError) as e:
        raise Unavailable(
            f"the machine's agent does not answer ({e or type(e).__name__})", where=path.name
        ) from None


def execute(path: Path, script: str, stdin: str, timeout: float, where: str) -> Ran:
    """Run a shell script as root by the agent. Raises Unavailable when it does not end in time, or says too much."""
    until = time.monotonic() + timeout
    arguments: dict[str, Any] = {
        "path": "/bin/sh", "arg": ["-c", script], "env": ENVIRONMENT, "capture-output": True,
        "input-data": base64.b64encode(stdin.encode()).decode(),
    }  # fmt: skip
    pid = agent(path, "guest-exec", arguments, timeout)["pid"]
    pause = 0.01
    while True:
        told = agent(path, "guest-exec-status", {"pid": pid}, max(1.0, until - time.monotonic()))
        if told["exited"]:
            break
        if time.monotonic() > until:
            raise Unavailable(f"the command did not end within {timeout:.0f} s", where=where)
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)
    if told.get("out-truncated") or told.get("err-truncated"):
        raise Unavailable("the command said more than the agent carries (16 MiB)", where=where)
    out, err = (
        base64.b64decode(told.get(name, "")).decode(errors="replace") for name in ("out-data", "err-data")
    )
    # A signal's number becomes the exit status as a shell says it.
    return Ran(told.get("exitcode", 128 + told.get("signal", 0)), out, err)
