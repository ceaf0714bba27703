"""The notation of tests/scenarios/*.transcript: commands, what they print, how they end. See tests/scenarios/README.md.

Reading and comparing only: nothing is run here (tests/e2e/telling.py does that).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wardkeep.core.errors import BadInput

FOLDER = Path(__file__).parent / "scenarios"
ANY = "..."
MISSING, UNSAID = 3, 2  # what a fault weighs when two texts are laid beside each other
HERE = "$"  # the prompt of this machine; a host's is its name and `#`
_PROMPT = re.compile(r"(\$|[a-z][a-z0-9-]*#) (\S.*)")
_HOST = re.compile(r"host ([a-z][a-z0-9-]*):((?: [a-z0-9-]+)*)")
_WORD = re.compile(r"<([a-z]+)>")
_STATUS = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True)
class Said:
    """One command: where it is typed (`$` or a host's name), the lines it prints, its exit status."""

    line: int
    where: str
    command: str
    expected: tuple[str, ...]
    status: int


@dataclass(frozen=True)
class Transcript:
    """`hosts`: name → the staged states it is in. `debian`: on which versions all of it is played."""

    name: str
    says: str
    debian: tuple[str, ...]
    hosts: dict[str, tuple[str, ...]]
    said: tuple[Said, ...]


def read_transcript(file: Path) -> Transcript:
    """Raises BadInput with file and line."""
    return parse(file.read_text(), file.stem)


def parse(text: str, name: str) -> Transcript:
    debian: tuple[str, ...] = ()
    hosts: dict[str, tuple[str, ...]] = {}
    said: list[Said] = []
    prose: list[str] = []

    def bad(number: int, what: str) -> BadInput:
        return BadInput(what, where=f"{name}.transcript:{number}", todo="See tests/scenarios/README.md")

    open_block = False
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.rstrip()
        if not line:
            open_block = False
        elif prompt := _PROMPT.fullmatch(line):
            where = prompt[1].removesuffix("#")
            if where != HERE and where not in hosts:
                raise bad(number, f"there is no host `{where}`")
            said.append(Said(number, where, prompt[2], (), 0))
            open_block = True
        elif open_block and line.startswith("> ") and not said[-1].expected:
            said[-1] = _with(said[-1], command=f"{said[-1].command}\n{line[2:]}")
        elif open_block and (status := _STATUS.fullmatch(line)):
            said[-1] = _with(said[-1], status=int(status[1]))
        elif open_block:
            if said[-1].status:
                raise bad(number, "a command prints nothing after its exit status")
            said[-1] = _with(said[-1], expected=(*said[-1].expected, line))
        elif said:
            continue  # prose between the commands
        elif host := _HOST.fullmatch(line):
            hosts[host[1]] = tuple(host[2].split())
        elif line.startswith("debian:"):
            debian = tuple(line.removeprefix("debian:").split())
        elif not (hosts or debian):
            prose.append(line)
    if not (prose and hosts and debian and said):
        missing = [what for what, there in (("a first sentence", prose), ("`host NAME: STATE…`", hosts), ("`debian: 12 13`", debian), ("a command", said)) if not there]  # fmt: skip
        raise bad(1, f"{missing[0]} is missing")
    return Transcript(name, " ".join(prose), debian, hosts, tuple(said))


def _with(said: Said, **new: object) -> Said:
    return Said(**{**said.__dict__, **new})


def all_transcripts() -> list[Transcript]:
    return [read_transcript(file) for file in sorted(FOLDER.glob("*.transcript"))]


def lines_of(output: str) -> list[str]:
    """What is compared of an output: its lines without those that are empty, and without spaces at their ends."""
    return [line.rstrip() for line in output.splitlines() if line.strip()]


def fits(expected: str, line: str) -> bool:
    """Whether a line is the one expected. `...` stands for any text within it, `<name>` for a word."""
    return _pattern(expected).fullmatch(line) is not None


def _pattern(expected: str) -> re.Pattern[str]:
    pieces = re.split(r"(\.\.\.|<[a-z]+>)", expected)
    forms = (
        ".*" if p == ANY else rf"(?P<{p[1:-1]}>\S+?)" if _WORD.fullmatch(p) else re.escape(p) for p in pieces
    )
    return re.compile("".join(forms))


def fill(text: str, words: Mapping[str, str]) -> str:
    """The text with the words that were seen before in the place of their names."""
    return _WORD.sub(lambda m: words.get(m[1], m[0]), text)


def compare(said: Said, output: str, status: int, words: dict[str, str] | None = None) -> str:
    """ "" when the command did as it was said; else the difference, for a person.

    `-` did not come, `+` came unsaid, `.` is what a `...` stands for. The words that names stood for are added to `words`.
    """
    words = {} if words is None else words
    expected, seen = [fill(line, words) for line in said.expected], lines_of(output)
    if said.status or status:
        expected.append(f"[{said.status}]")
        seen.append(f"[{status}]")
    rows = _align(expected, seen)
    for mark, line, pattern in rows:
        if mark == " " and (found := _pattern(pattern).fullmatch(line)):
            words |= {name: value for name, value in found.groupdict().items() if name not in words}
    if all(mark in " ." for mark, _, _ in rows):
        return ""
    prompt = HERE if said.where == HERE else f"{said.where}#"
    shown = [f"  {mark} {line}" for mark, line, _ in rows]
    return "\n".join([f"line {said.line}: {prompt} {fill(said.command, words)}", *shown])


def _align(expected: Sequence[str], seen: Sequence[str]) -> list[tuple[str, str, str]]:
    """The two in one list with the fewest faults: (mark, line, what was expected there)."""
    m, n = len(expected), len(seen)
    same = [[e != ANY and fits(e, s) for s in seen] for e in expected]
    cost = [[0] * (n + 1) for _ in range(m + 1)]
    for i in range(m, -1, -1):
        for j in range(n, -1, -1):
            ways = []
            if i < m and j < n and same[i][j]:
                ways.append(cost[i + 1][j + 1])
            if i < m:
                ways.append(cost[i + 1][j] + (expected[i] != ANY) * MISSING)
            if j < n:
                ways.append(cost[i][j + 1] + (i == m or expected[i] != ANY) * UNSAID)
            cost[i][j] = min(ways, default=0)
    rows: list[tuple[str, str, str]] = []
    i = j = 0
    while i < m or j < n:
        if i < m and j < n and same[i][j] and cost[i][j] == cost[i + 1][j + 1]:
            rows.append((" ", seen[j], expected[i]))
            i, j = i + 1, j + 1
        elif i < m and j < n and expected[i] == ANY and cost[i][j] == cost[i][j + 1]:
            rows.append((".", seen[j], ANY))
            j += 1
        elif i < m and cost[i][j] == cost[i + 1][j] + (expected[i] != ANY) * MISSING:
            if expected[i] != ANY:
                rows.append(("-", expected[i], expected[i]))
            i += 1
        else:
            rows.append(("+", seen[j], ""))
            j += 1
    return rows
