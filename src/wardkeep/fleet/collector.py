"""The collector: all questions of a host as one POSIX sh script, needing only /bin/sh and coreutils.

It is sent over the standard input of one session (`exec /bin/sh -s`) and answers in the frames that `frames.py` reads.
How it works there, and why:

- Processes are what a look costs a host, so they are few: twelve for a round of quick questions, however many, beside
  those that the questions start themselves; and one for a question that is one plain command. The quick ones are asked by one shell under one `timeout`, each in a subshell
  of its own. When one does not end, the shell is ended with it and another asks the rest: it costs its own time and
  nobody's answer. Questions with more time than usual have a `timeout` each and run beside the quick ones, in `LANES`.
- stdout goes through a pipe to a file whose length is limited, so a flooding question costs the host no more than its
  allowance, and a full disk is seen. Answers wait in a folder of mode 700 (in memory where possible), removed by a
  trap, because the byte counts and digests of a frame must be known before its content is sent.
- What is sent goes through one `dd` that makes large pieces of it: the ssh server sends a packet for every small write it
  sees, and opening some twenty packets of a look costs the controller more than reading all its answers.
- Answers are sent after each group of quick questions (at most 22 s long, 2 s unless one of them hangs) and after each slow
  one: a host that dies in the middle has delivered most of the others. Only a slow one that ends within the first second waits
  for the quick ones: sending is four processes and a packet.
- Every mark carries a nonce of the run that no question knows, so nothing a question prints can pass for a frame.
- A login that is not root gets one `sudo -n /bin/sh -s`. If that is refused, the run goes on and says so in its header.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wardkeep.core.errors import BadInput
from wardkeep.core.facts import Question
from wardkeep.fleet.host_script import ASK, BODY, OUTER

VERSION = 2
LANES = 4
STDERR_LIMIT = 256 << 10  # bytes of stderr kept per question; more makes the answer not whole
COMMAND = "exec /bin/sh -s"  # what the session runs: every login shell understands it
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,99}")
# One argument of execve may be 128 KiB on Linux; a question travels as one.
_SCRIPT_LIMIT = 96 << 10
# A script that is one plain command of a program: no quotes, no patterns, no assignment, nothing for the shell to work out.
_PLAIN = re.compile(r"([a-z][a-z0-9._-]*|/[A-Za-z0-9._/-]+)( +[A-Za-z0-9._/:=,@%+-]+)*")
# Of what begins so, words that a shell takes for its own: there `exec` would mean something else.
_OF_THE_SHELL = frozenset(
    [
        "alias",
        "bg",
        "bind",
        "break",
        "builtin",
        "caller",
        "case",
        "cd",
        "chdir",
        "command",
        "compgen",
        "complete",
        "compopt",
        "continue",
        "coproc",
        "declare",
        "dirs",
        "disown",
        "do",
        "done",
        "echo",
        "elif",
        "else",
        "enable",
        "esac",
        "eval",
        "exec",
        "exit",
        "export",
        "false",
        "fc",
        "fg",
        "fi",
        "for",
        "function",
        "getopts",
        "hash",
        "help",
        "history",
        "if",
        "in",
        "jobs",
        "kill",
        "let",
        "local",
        "logout",
        "mapfile",
        "popd",
        "printf",
        "pushd",
        "pwd",
        "read",
        "readarray",
        "readonly",
        "return",
        "select",
        "set",
        "shift",
        "shopt",
        "source",
        "suspend",
        "test",
        "then",
        "time",
        "times",
        "trap",
        "true",
        "type",
        "typeset",
        "ulimit",
        "umask",
        "unalias",
        "unset",
        "until",
        "wait",
        "while",
    ]
)
QUICK = 20  # seconds: what a question is given unless it says otherwise
_GROUP_LIMIT = 1 << 20  # bytes: all arguments together may be 2 MiB with the usual stack


@dataclass(frozen=True, slots=True)
class Group:
    """Questions of one time limit, asked by one shell one after the other."""

    questions: tuple[Question, ...]

    @property
    def seconds(self) -> int:
        """What each of them may take."""
        return self.questions[0].timeout

    @property
    def slack(self) -> int:
        """After so many seconds the shell ends and another goes on, so that each has its whole time under one `timeout`."""
        return min(2, self.seconds // 4)

    @property
    def longest(self) -> int:
        """Seconds until all have ended or been ended, at worst."""
        return sum(self.seconds + self.slack + 3 for _ in self.questions)

    def command(self, numbers: Sequence[int]) -> str:
        most = max(STDERR_LIMIT, *(q.limit for q in self.questions)) + 1
        words = [self.seconds, self.slack, -(-most // 512), *numbers]
        return "group " + " ".join(map(str, words))


def plan_lanes(questions: Sequence[Question], lanes: int = LANES) -> list[list[Group]]:
    """What is asked side by side: in each lane groups, one after the other.

    A question that is given more time than usual is expected to need it: alone in its group, in the lanes but the
    last, those that share something one after the other. The quick ones have the last lane.
    """
    slow: dict[str, list[Question]] = {}
    for question in questions:
        if question.timeout > QUICK:
            slow.setdefault(f"shared {question.shares}" if question.shares else question.id, []).append(
                question
            )
    quick: dict[int, list[Question]] = {}
    for question in questions:
        if question.timeout <= QUICK:
            quick.setdefault(question.timeout, []).append(question)
    groups = [Group(some) for _, group in sorted(quick.items()) for some in _in_pieces(group)]
    count = max(1, min(lanes - bool(quick), len(slow)))
    alone: list[list[Group]] = [[] for _ in range(count)]
    for some in sorted(slow.values(), key=lambda some: -sum(q.timeout for q in some)):
        loads = [sum(group.seconds for group in lane) for lane in alone]
        place = min(range(count), key=lambda n: (loads[n], -n if loads[n] else n))
        alone[place] += [Group((question,)) for question in some]
    return [lane for lane in [*alone, groups] if lane]


def _in_pieces(questions: Sequence[Question]) -> Iterator[tuple[Question, ...]]:
    piece: list[Question] = []
    size = 0
    for question in questions:
        if piece and size + len(question.script.encode()) > _GROUP_LIMIT:
            yield tuple(piece)
            piece, size = [], 0
        piece.append(question)
        size += len(question.script.encode())
    yield tuple(piece)


def longest(questions: Sequence[Question], lanes: int = LANES) -> int:
    """Seconds until the slowest lane has ended, at worst."""
    return _longest(tuple(questions), lanes)


@functools.lru_cache(maxsize=16)  # a fleet is asked the same questions, host by host
def _longest(questions: tuple[Question, ...], lanes: int) -> int:
    return max((sum(g.longest for g in lane) for lane in plan_lanes(questions, lanes)), default=0)


def new_nonce() -> str:
    """32 hex digits nobody on the host can have known before the run."""
    return secrets.token_hex(16)


def quote(text: str) -> str:
    """`text` as one word for a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def in_place(script: str) -> str:
    """The script, to be evaluated in a shell that it has to itself: where it is one plain command, that takes the shell's place,
    a process less for the host."""
    said = script.strip(" \n")
    if (plain := _PLAIN.fullmatch(said)) and plain[1] not in _OF_THE_SHELL:
        return f"exec {said}"
    return script


def compose(
    questions: Sequence[Question],
    nonce: str,
    *,
    lanes: int = LANES,
    stdin: bytes = b"",
    needs_root: bool = False,
) -> bytes:
    """The script for one run. `stdin` is what every question reads (nothing, unless a change is carried out).

    With `needs_root` nothing is asked when privilege is refused. Raises BadInput for ids that could not name a frame or a
    file, for two different questions of one id, and for scripts too long for one argument (96 KiB).
    """
    asked = _ready(tuple(questions), lanes)
    feed = ""
    if stdin:
        data = base64.encodebytes(stdin).decode()
        feed = f"  input=$d/input; base64 -d >\"$input\" <<'{nonce}'\n{data}{nonce}"
    body = BODY
    for name, value in (
        ("ASK", quote(ASK)),
        ("VERSION", str(VERSION)),
        ("NONCE", nonce),
        # Seen by everybody on the host; nobody can tell the nonce from it.
        ("FOLDER", hashlib.sha256(nonce.encode()).hexdigest()[:12]),
        ("COUNT", str(asked.count)),
        ("NEEDS", "root" if needs_root else "any"),
        ("STDERR", str(STDERR_LIMIT + 1)),
        ("EMPTY", hashlib.sha256().hexdigest()),
        ("LANES", asked.lanes),
        ("ALONE", asked.alone),
        ("INPUT", feed),
    ):
        body = body.replace(f"@{name}@", value)
    # The questions last, and ready made: what is inserted is not looked at again.
    before, after = quote(body).split("@QUESTIONS@")
    return OUTER.replace("@BODY@", before + asked.cases + after).encode()


@dataclass(frozen=True, slots=True)
class _Ready:
    """What the questions alone make of a script. `cases` stands within quotes already."""

    count: int
    lanes: str
    alone: str  # the numbers of those that have a shell to themselves
    cases: str


@functools.lru_cache(maxsize=16)  # a fleet is asked the same questions, host by host
def _ready(questions: tuple[Question, ...], lanes: int) -> _Ready:
    cases, seen = [], dict[str, Question]()
    for question in questions:
        if not _ID.fullmatch(question.id):
            raise BadInput(
                f"{question.id!r} cannot be a question's id", todo="Use letters, digits and ._:@+-"
            )
        if "\0" in question.script or len(question.script.encode()) > _SCRIPT_LIMIT:
            raise BadInput("the script is longer than 96 KiB or holds a NUL", where=question.id)
        if seen.setdefault(question.id, question) != question:
            raise BadInput("two different questions have this id", where=question.id)
    numbers = {question.id: n for n, question in enumerate(seen.values(), 1)}
    for name, question in seen.items():
        script = quote(in_place(question.script))
        cases.append(f"{numbers[name]}) id={name} l={question.limit + 1} s={script} ;;")
    plan = plan_lanes(list(seen.values()), lanes)
    work = [
        "; ".join(group.command([numbers[q.id] for q in group.questions]) for group in lane) for lane in plan
    ]
    alone = [group.questions[0].id for lane in plan for group in lane if len(group.questions) == 1]
    # The last lane needs no process of its own.
    waits = "waits=1; " if plan and plan[-1][-1].seconds <= QUICK else ""
    lines = [f"{{ {waits}{lane}; }} &" for lane in work[:-1]] + work[-1:]
    return _Ready(
        len(seen),
        "\n".join(lines),
        " ".join(str(numbers[name]) for name in alone),
        quote("\n".join(cases))[1:-1],
    )
