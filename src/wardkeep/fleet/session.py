"""One collector run over any transport: the transport moves bytes, this decides what they are worth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from wardkeep.core.errors import WardkeepError
from wardkeep.core.facts import HEARD, Answer, Question, Snapshot
from wardkeep.fleet.collector import compose, longest, new_nonce
from wardkeep.fleet.connector import unreachable, utc_now
from wardkeep.fleet.frames import FrameReader

# Opens a session, sends the script to its standard input and yields its standard output as it comes.
# Raises WardkeepError (its `what` becomes the problem) when there is no session.
Transport = Callable[[bytes], AbstractAsyncContextManager[AsyncIterator[bytes]]]
START = 20.0  # seconds allowed for connecting and starting, on top of what the questions may take
# Seconds of silence that end a run: before the collector says that it runs; and beyond the longest time of one question.
BEGINNING, SILENCE = 60.0, 30.0


def deadline_of(questions: Sequence[Question]) -> float:
    """Seconds after which a run is cut: what its questions may take at worst in their lanes, and the start."""
    return START + longest(questions) + 5


async def hold_session(
    transport: Transport,
    host: str,
    questions: Sequence[Question],
    at: datetime,
    *,
    deadline: float | None = None,
    stdin: bytes = b"",
    needs_root: bool = False,
) -> Snapshot:
    """Ask over the transport, within `deadline` seconds. What came before a fault is kept; the fault is said."""
    nonce = new_nonce()
    reader = FrameReader(questions, nonce)
    script = compose(questions, nonce, stdin=stdin, needs_root=needs_root)
    cut = ""
    seconds = deadline or deadline_of(questions)
    quiet = SILENCE + max((question.timeout for question in questions), default=0)
    now = asyncio.get_running_loop().time
    end = patience = now() + seconds
    entered, heard = False, ""
    try:
        async with asyncio.timeout_at(end) as limit, transport(script) as stream:
            entered = True
            patience = min(end, now() + BEGINNING)
            limit.reschedule(patience)
            before = reader.progress
            async for data in stream:
                reader.push(data)
                if reader.begun and not heard:
                    heard = f"{(utc_now() - at).total_seconds():.3f}"
                if reader.done:
                    break
                if reader.overflow:
                    cut = f"cut off: {_flooding(reader)}"
                    break
                # Only what counts earns more time: who drips or talks nonsense has what silence has.
                if reader.progress != before:
                    before = reader.progress
                    patience = min(end, now() + quiet)
                    limit.reschedule(patience)
    except TimeoutError:
        within = f"within {seconds:.0f} s"
        if patience < end:
            within = f"and then nothing for {quiet:.0f} s" if reader.begun else f"within {BEGINNING:.0f} s"
        cut = f"cut off: {_unfinished(entered, reader)} {within}"
    except WardkeepError as e:
        cut = e.line()
    if needs_root and reader.run and reader.run.get("uid") != "0":
        refused = "there is no sudo" if reader.run.get("sudo") == "missing" else "`sudo -n` was refused"
        reader.problem = f"needs root: the login is not root and {refused} there"
    answers = reader.answers(cut=cut)
    if not reader.run and cut:
        return unreachable(host, at, questions, cut)
    return Snapshot(host, at, answers, reader.problem, {**reader.run, HEARD: heard} if reader.run else {})


def _unfinished(entered: bool, reader: FrameReader) -> str:
    """Whether it is the way in, the host's shell or the questions that took too long."""
    if not entered:
        return "the login was not finished"
    if not reader.begun:
        return "the login was finished, but the collector did not start there"
    return f"the login was finished, but only {reader.answered} of {len(reader.questions)} questions were answered"


def _flooding(reader: FrameReader) -> str:
    if reader.run:
        return "the host sent more than all questions together may say"
    return f"the host sent {reader.received >> 20} MiB that are no answers, and the collector did not start there"


async def run_script(
    transport: Transport, host: str, script: str, at: datetime, *, stdin: bytes, timeout: float
) -> Answer:
    """Run one script as root over the transport, framed like a question."""
    seconds = max(1, round(timeout))
    question = Question("run", script, ok=frozenset(range(256)), timeout=seconds, limit=16 << 20)
    snapshot = await hold_session(
        transport, host, [question], at, deadline=START + seconds + 5, stdin=stdin, needs_root=True
    )
    return snapshot.answers["run"]
