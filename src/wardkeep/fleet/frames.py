"""The frames of a collector run: an incremental parser that believes nothing it cannot check.

A run looks like this (N is the nonce, D are SHA-256 digests in hex):

    begun N
    wardkeep N D-of-next-line
    version=2 time=... boot=... kernel=... uid=0 sudo=no folder=/dev/shm questions=2
    answer N D-of-stdout D-of-stderr
    id=sshd exit=0 ended=0 from=10.01 to=10.05 out=120 err=0
    id=sshd exit=0 ended=0 from=10.01 to=10.05 out=120 err=0
    <120 bytes of stdout><0 bytes of stderr>
    end N
    done N 2

Whatever is cut, flipped, missing or too long makes that answer not whole, with the reason; the parser then looks
for the next mark that carries the nonce, so the other answers stay good. An answer's line is there twice and counts only if
both are the same: that finds damage as a digest of it would, which would cost the host a file more for each answer.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wardkeep.core.facts import Answer, Question
from wardkeep.fleet.collector import STDERR_LIMIT, VERSION

_LINE_LIMIT = 4096  # bytes; no line of the protocol is longer
_MARK_LIMIT = 512  # bytes; no mark is longer
_GREETING_LIMIT = 1 << 20  # bytes a host may say before the run's header
_DIGEST = rb"([0-9a-f]{64})"
_UNREADABLE = re.compile(rb"[^ -~]+")
_NOTHING = hashlib.sha256().hexdigest()
_MARK = re.compile(
    rb"(wardkeep|answer|done|missing|begun|full) ([0-9a-f]{32})"
    rb"(?: %s(?: %s)?| (\d{1,6})| ([a-z0-9 ]{1,200}))?\n" % (_DIGEST, _DIGEST)
)
# A whole head at once: mark, line, and the line again.
_HEAD = re.compile(
    rb"answer ([0-9a-f]{32}) %s %s\n"
    rb"(id=([A-Za-z0-9][A-Za-z0-9._:@+-]{0,99}) exit=(-|\d{1,3}) ended=(\d{1,3}) "
    rb"from=(-|[\d.]{1,20}) to=(-|[\d.]{1,20}) out=(\d{1,12}) err=(\d{1,12})\n)\4" % (_DIGEST, _DIGEST)
)


def _seconds(start: bytes, end: bytes) -> float:
    try:
        return max(0.0, round(float(end) - float(start), 2))
    except ValueError:
        return 0.0


@dataclass(slots=True)
class _Head:
    """An answer's head, checked: what must follow it."""

    question: Question
    exit: int | None
    ended: int
    seconds: float
    out: int
    err: int
    out_digest: str
    err_digest: str


@dataclass
class FrameReader:
    """Reads one run. Feed it with `push` as bytes come; ask `answers()` at the end, whenever that is.

    Memory stays below the largest single answer allowed plus its buffer, whatever the other side sends. `overflow` becomes
    true once more has come than all questions together may say, or than a greeting before the run: the caller should
    cut the connection then.
    """

    questions: Sequence[Question]
    nonce: str
    run: dict[str, str] = field(default_factory=dict)
    problem: str = ""  # why the run as a whole gave nothing
    begun: bool = False  # the collector runs there, whether or not it has said anything yet
    done: bool = False
    full: bool = False  # what was not sent could not be kept there
    received: int = 0
    _got: dict[str, Answer] = field(default_factory=dict)
    _buffer: bytearray = field(default_factory=bytearray)
    _head: _Head | None = None
    _first: bytes = b""  # the first bytes that were no frame: they tell a person what is wrong there

    def __post_init__(self) -> None:
        self._asked = {question.id: question for question in self.questions}
        self._mark_nonce = self.nonce.encode()
        self._end = b"\nend " + self._mark_nonce + b"\n"
        self._limit = sum(question.limit + STDERR_LIMIT + _LINE_LIMIT for question in self.questions) + 65536

    @property
    def overflow(self) -> bool:
        # Who has not even begun after so much will not begin: greetings are short.
        return self.received > (self._limit if self.run else _GREETING_LIMIT)

    @property
    def answered(self) -> int:
        """How many answers have come."""
        return len(self._got)

    @property
    def progress(self) -> tuple[int, ...]:
        """Differs once something came that counts: the beginning, the header, a whole answer, or a piece of one."""
        return self.begun, bool(self.run), len(self._got), self.received if self._head else 0

    def push(self, data: bytes) -> None:
        """Take the next bytes of the stream, in pieces of any size."""
        refuse = self.done or self.overflow
        self.received += len(data)
        if refuse:
            return
        self._buffer += data
        while not self.done and (self._content() if self._head else self._mark()):
            pass

    def _mark(self) -> bool:
        """Find the next mark and its line. True if something was taken from the buffer."""
        if self._take_head(0):
            return True
        found = _MARK.search(self._buffer)
        while found and found[2] != self._mark_nonce:  # another run's, or a forger's
            found = _MARK.search(self._buffer, found.start() + 1)
        if not self.begun and len(self._first) < 200:
            self._first = bytes(self._buffer[: min(200, found.start() if found else 200)])
        if found is None:
            # A mark may have begun in the last bytes; everything before them is noise.
            del self._buffer[:-_MARK_LIMIT]
            return False
        start, kind, digests, count, tools = found.span(), found[1], found.group(3, 4), found[5], found[6]
        self.begun = True
        if kind == b"done" and count:
            self.done = int(count) == len(self._asked)
            del self._buffer[: start[1]]
            return True
        if kind == b"missing" and (tools or count):
            self.problem = f"coreutils are not complete there: {(tools or count).decode().strip()} missing"
            self.done = True
            return True
        if kind in (b"begun", b"full"):
            self.full = self.full or kind == b"full"
            del self._buffer[: start[1]]
            return True
        if kind == b"answer" and self._take_head(start[0]):
            return True
        newline = self._buffer.find(b"\n", start[1])
        if kind == b"answer" and newline >= 0:
            newline = self._buffer.find(b"\n", newline + 1)
        if newline < 0:
            if len(self._buffer) - start[1] > 2 * _LINE_LIMIT:
                del self._buffer[: start[1]]
                return True
            return False
        line = bytes(self._buffer[start[1] : newline + 1])
        # On any doubt only the mark itself is dropped: what follows may hold the next one. Marks need no line of
        # their own, so a lost line break costs nothing: nobody but the collector knows the nonce.
        if kind == b"wardkeep" and not self.run and hashlib.sha256(line).hexdigest().encode() == digests[0]:
            self.run = dict(
                part.split("=", 1) for part in line.decode("ascii", "replace").split() if "=" in part
            )
            del self._buffer[: newline + 1]
        else:
            del self._buffer[: start[1]]
        return True

    def _take_head(self, start: int) -> bool:
        """Take an answer's head from the buffer, if a whole one that can be believed is there."""
        found = _HEAD.match(self._buffer, start) if self.run else None
        if found is None or found[1] != self._mark_nonce:
            return False
        name = found[5].decode()
        question = self._asked.get(name)
        if question is None or name in self._got:
            return False
        out, err = int(found[10]), int(found[11])
        if out > question.limit + 1 or err > STDERR_LIMIT + 1:
            return False  # the collector cannot say so: not to be believed, and not to be waited for
        exit_status = None if found[6] == b"-" else int(found[6])
        self._head = _Head(
            question, exit_status, int(found[7]), _seconds(found[8], found[9]), out, err,
            found[2].decode(), found[3].decode(),
        )  # fmt: skip
        del self._buffer[: found.end()]
        return True

    def _content(self) -> bool:
        """Take the content of the answer whose head was read, once all of it is here."""
        head = self._head
        assert head is not None
        total = head.out + head.err
        if len(self._buffer) < total + len(self._end):
            return False
        self._head = None
        stdout, stderr = bytes(self._buffer[: head.out]), bytes(self._buffer[head.out : total])
        problem = self._doubt(head, stdout, stderr, bytes(self._buffer[total : total + len(self._end)]))
        name = head.question.id
        if problem.startswith("garbled"):
            # The counts were signed by the digest of their line, so bytes were lost or added: search from here.
            self._got[name] = Answer(name, None, b"", whole=False, problem=problem)
            return True
        self._got[name] = Answer(name, head.exit, stdout, stderr, not problem, problem, head.seconds)
        del self._buffer[: total + len(self._end)]
        return True

    def _doubt(self, head: _Head, stdout: bytes, stderr: bytes, end: bytes) -> str:
        """Why the answer is not whole, or ""."""
        if hashlib.sha256(stdout).hexdigest() != head.out_digest:
            return "garbled on the way: the digest of stdout does not agree"
        if (hashlib.sha256(stderr).hexdigest() if stderr else _NOTHING) != head.err_digest:
            return "garbled on the way: the digest of stderr does not agree"
        if end != self._end:
            return "garbled on the way: the end mark is missing"
        if head.out > head.question.limit:
            return f"longer than its limit of {head.question.limit} bytes"
        if head.err > STDERR_LIMIT:
            return f"its stderr is longer than {STDERR_LIMIT} bytes"
        if head.ended == 75:
            return f"could not be kept there: {self.run.get('folder')} is full"
        if head.ended == 127:
            return "could not be asked: `timeout` (coreutils) is not installed there"
        if head.ended in (137, 143) and head.seconds < head.question.timeout:
            return f"was ended there by a signal ({head.ended - 128}), before its time was over"
        if head.ended in (124, 137, 143):
            return f"did not end within {head.question.timeout} s"
        if head.ended != 0 or head.exit is None:
            return f"the collector could not run or keep it (status {head.ended})"
        return needs_root(head.question, self.run)

    def answers(self, *, cut: str = "") -> dict[str, Answer]:
        """One answer for every question asked. `cut` says why the stream ended early, where the caller knows."""
        version = self.run.get("version")
        if version not in (None, str(VERSION)):
            self.problem = f"the collector there speaks version {version}, this is version {VERSION}"
        elif self.run and not self.problem and self.run.get("folder") == "-":
            self.problem = "no folder to write to there (tried /dev/shm, /run, /tmp, /var/tmp)"
        elif not self.run and self.begun and not self.problem:
            self.problem = f"the collector there did not get to its first answer{': ' + cut if cut else ''}"
        elif not self.run and not self.problem:
            # What a person can read of it: a hostile host has no say in what a terminal does.
            noise = " ".join(_UNREADABLE.sub(b" ", self._first).decode().split())[:120]
            said = f"; it said: {noise}" if noise else "; it said nothing that is text" if self._first else ""
            if not said and not cut:
                said = ": the shell there ended without a word (look at the account's login shell and its start files)"
            self.problem = f"the collector did not start there{': ' + cut if cut else ''}{said}"
        full = f"could not be kept there: {self.run.get('folder', 'the folder')} is full" if self.full else ""
        why = (
            self.problem
            or cut
            or full
            or ("lost on the way" if self.done else "the stream ended before its end mark")
        )
        got = self._got if not self.problem else {}
        return {
            name: got.get(name) or Answer(name, None, b"", whole=False, problem=why) for name in self._asked
        }


def needs_root(question: Question, run: Mapping[str, str]) -> str:
    """Why an answer given without privilege is not the whole one, or ""."""
    if run.get("uid") == "0" or not question.root:
        return ""
    refused = {"refused": ": `sudo -n` was refused", "missing": ": there is no sudo there"}
    return (
        f"needs root, and was asked as uid {run.get('uid', 'unknown')}{refused.get(run.get('sudo', ''), '')}"
    )
