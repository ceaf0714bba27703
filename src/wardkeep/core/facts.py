"""Questions put to a subject, the raw answers, and the facts that parsers read from them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Protocol, Self, TypeVar, runtime_checkable

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.memo import Memo

HOST = "host"
PLATFORM = "platform"
HEARD = "heard"
UNHEARD = 20.0  # seconds; for recordings from before it was noted
# By the answer's bytes; a fact takes up to about ten times the memory of the text it was read from.
_read_before = Memo(16 << 20)
# How dash, bash and BusyBox say on stderr which program they did not find; every question is asked with LC_ALL=C.
_NOT_FOUND = re.compile(rb"(?:^|[ /])([A-Za-z0-9][A-Za-z0-9._+-]{0,39}): (?:command )?not found\s*$")


@dataclass(frozen=True, slots=True)
class Question:
    """One question, as a POSIX shell script that only looks and never changes anything.

    The collector runs it by `/bin/sh` with `LC_ALL=C` and the system's `sbin` folders on the PATH.
    `ok` lists the exit statuses that make the output an answer; `tool` names the program that must exist
    (its absence is exit status 127); `timeout` is seconds, `limit` the largest stdout in bytes: beyond either,
    the answer is cut short and therefore no answer. `subject` is `HOST`, or `PLATFORM` for a question to Wardkeep itself.
    `root` says that only root sees the whole truth: asked without privilege, the answer is not whole. Only a question whose
    output is the same for every user may set it to false. `id` is letters, digits and `._:@+-` (it names a file).

    `shares` names what several slow questions make for themselves and can use together: they are asked one after the
    other, and find the folder `$WARDKEEP_ROUND`, which ends with the round.

    `keep` above 0 marks a long look, too dear for every cycle: it is asked by itself once in so many seconds, and its last
    answer stands in the snapshots until then. Such an answer says itself when it was taken. With no script, what is kept
    was seen from outside of the host.
    """

    id: str
    script: str
    tool: str = ""
    ok: frozenset[int] = frozenset({0})
    timeout: int = 20
    limit: int = 8 << 20
    subject: str = HOST
    root: bool = True
    keep: int = 0
    shares: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a subject said to one question, exactly as it said it. Kept as evidence.

    `whole` is true only if the frame's end mark arrived and its byte counts and digest agree.
    `exit` is None when the script did not end by itself. `problem` says why an answer is not whole.
    """

    question: str
    exit: int | None
    stdout: bytes
    stderr: bytes = b""
    whole: bool = True
    problem: str = ""
    seconds: float = 0.0

    def digest(self) -> str:
        return "sha256:" + hashlib.sha256(self.stdout).hexdigest()

    def text(self) -> str:
        """stdout as UTF-8. Raises NotUnderstood where it is not."""
        try:
            return self.stdout.decode()
        except UnicodeDecodeError as e:
            raise NotUnderstood(f"the answer is not UTF-8 at byte {e.start}", where=self.question) from None


@dataclass(frozen=True, slots=True)
class Unknown:
    """A fact we could not learn, and why. It can never count as a pass."""

    reason: str


@runtime_checkable
class Fact(Protocol):
    """Something a subject can be asked. `ask` is the question, `parse` reads the answer or raises NotUnderstood."""

    ask: ClassVar[Question]

    @classmethod
    def parse(cls, answer: Answer) -> Self: ...


F = TypeVar("F", bound=Fact)


@dataclass(frozen=True)
class Snapshot:
    """All answers of one subject at one time. `problem` is set when the subject could not be asked at all.

    `run` is what the collector said of itself: version, time (epoch seconds of the host's clock), boot, kernel, uid, sudo;
    and under `HEARD` how many seconds after `at` it was heard to run, by the controller's clock.
    """

    subject: str
    at: datetime  # UTC, the controller's clock when the asking began
    answers: Mapping[str, Answer]
    problem: str = ""
    run: Mapping[str, str] = field(default_factory=dict)
    _learned: dict[type, object] = field(default_factory=dict, repr=False, compare=False)

    def skew(self) -> tuple[float, float] | None:
        """The least and the most that the host's clock is ahead of the controller's, in seconds; None when it told no time.

        The host's clock was read after `at` and before the collector was heard, however slow the host or the way to it is.
        """
        told = self.run.get("time", "")
        if self.problem or not told.isdigit():
            return None
        try:
            heard = float(self.run.get(HEARD) or UNHEARD)
        except ValueError:
            return None
        ahead = int(told) - self.at.timestamp()
        return ahead - heard, ahead + 1  # whole seconds were told

    def learn(self, kind: type[F]) -> F | Unknown:
        """The fact, or why it is not known. Parsed once, however many controls want it."""
        if kind not in self._learned:
            self._learned[kind] = self._read(kind)
        return self._learned[kind]  # type: ignore[return-value]

    def _read(self, kind: type[F]) -> F | Unknown:
        ask = kind.ask
        if self.problem:
            return Unknown(self.problem)
        answer = self.answers.get(ask.id)
        if answer is None:
            return Unknown(f"{ask.id}: was not asked")
        if not answer.whole:
            return Unknown(f"{ask.id}: {answer.problem or 'the answer was cut short'}")
        if answer.exit == 127 and 127 not in ask.ok:
            tool = _missing(answer.stderr) or ask.tool or "a needed program"
            return Unknown(f"{ask.id}: {tool} is not installed there")
        if answer.exit not in ask.ok:
            said = " ".join(answer.stderr.decode(errors="replace").split())[:200]
            return Unknown(f"{ask.id}: exit status {answer.exit}" + (f", said: {said}" if said else ""))
        key = (kind, answer.exit, hashlib.sha256(answer.stdout).digest(), answer.stderr)
        try:
            return _read_before.get(key, len(answer.stdout), lambda: kind.parse(answer))  # type: ignore[return-value]
        except NotUnderstood as e:
            return Unknown(f"{ask.id}: cannot read the answer: {e.line()}")
        # Any other exception of a parser is a defect of ours; on real input it must still not stop the other
        # rules or pass for a clean look, so it becomes unknown and says that the defect is on our side.
        except Exception as e:  # noqa: BLE001
            return Unknown(
                f"{ask.id}: the parser failed ({type(e).__name__}); please report this as a defect"
            )


def _missing(stderr: bytes) -> str:
    """The program that the shell there did not find, as it said last; "" where it named none."""
    found = _NOT_FOUND.search(stderr)
    return found[1].decode() if found else ""
