"""The machine Wardkeep runs on: the same collector, in a process of our own instead of an ssh session."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from wardkeep.core.errors import Unavailable
from wardkeep.core.facts import Answer, Question, Snapshot
from wardkeep.fleet.connector import Clock, utc_now
from wardkeep.fleet.session import hold_session, run_script

_PIECE = 1 << 16


class LocalConnector:
    """Asks this machine. Without root, `sudo -n` is tried once; answers that need root are not whole otherwise.

    `shell` is the shell that runs the collector; the tests run it with others.
    """

    def __init__(
        self,
        host: str = "localhost",
        *,
        shell: Sequence[str] = ("/bin/sh", "-s"),
        deadline: float | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self.host = host
        self._shell, self._deadline, self._clock = tuple(shell), deadline, clock

    async def ask(self, questions: Sequence[Question]) -> Snapshot:
        return await hold_session(
            self._transport, self.host, questions, self._clock(), deadline=self._deadline
        )

    async def run(self, script: str, *, stdin: bytes = b"", timeout: float = 60) -> Answer:
        return await run_script(
            self._transport, self.host, script, self._clock(), stdin=stdin, timeout=timeout
        )

    async def close(self) -> None:
        return None

    @asynccontextmanager
    async def _transport(self, script: bytes) -> AsyncIterator[AsyncIterator[bytes]]:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._shell,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,  # so that all of it can be ended together
            )
        except OSError as e:
            raise Unavailable(f"cannot start {self._shell[0]}: {e.strerror}") from None
        assert process.stdin is not None
        assert process.stdout is not None
        sending = asyncio.create_task(_send(process.stdin, script))
        try:
            yield _pieces(process.stdout)
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending
            try:
                await _end(process)
            finally:
                # Whoever is cancelled once more while it waits leaves nothing running, either.
                if process.returncode is None:
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    await _reap(process)


async def _send(pipe: asyncio.StreamWriter, script: bytes) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):
        pipe.write(script)
        await pipe.drain()
        pipe.close()


async def _pieces(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while data := await stream.read(_PIECE):
        yield data


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the collector: first so that its trap removes its folder, then for good."""
    with suppress(ProcessLookupError):
        if process.returncode is None:
            try:
                async with asyncio.timeout(0.5):
                    await process.wait()
            except TimeoutError:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    async with asyncio.timeout(2):
                        await process.wait()
                except TimeoutError:
                    os.killpg(process.pid, signal.SIGKILL)
                    await process.wait()


async def _reap(process: asyncio.subprocess.Process) -> None:
    """Take note that a killed process has ended, before the loop may close; whoever cancels meanwhile waits for that moment."""
    ended = asyncio.ensure_future(process.wait())
    until = time.monotonic() + 2
    while not ended.done() and (left := until - time.monotonic()) > 0:
        with suppress(asyncio.CancelledError):
            await asyncio.wait([ended], timeout=left)
