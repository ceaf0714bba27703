"""How a story is told: acts of steps, each a command that is run as it is shown, each claim looked at before the next.

A story that is not true ends: `tell` stops at the first claim that does not hold, and says what was seen instead.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

# What a command prints and a later one is given: a plan's id, the key that verifies a pack.
TAKEN = {
    "plan": re.compile(r"^Plan (p-[0-9a-f]+)\.", re.M),
    "verifier": re.compile(r"^(\S+\+[0-9a-f]{8}\+\S+)$", re.M),
}


@dataclass(frozen=True)
class Ran:
    """How a command ended: its exit status and all that it printed."""

    exit: int
    output: str


class Scene(Protocol):
    """What the steps are played on."""

    def wardkeep(self, words: Sequence[str], line: Callable[[str], None]) -> Ran:
        """Run the program with these words; every line of its output is given as it comes."""

    def background(self, words: Sequence[str], until: str) -> Ran:
        """Start the program with these words beside the story; returns when it has printed `until`, or ended."""

    def on_host(self, host: str, script: str) -> Ran:
        """Run a line as root on a host of the clinic."""

    def row(self, row: str) -> str:
        """The row's verdict in the matrix now: pass, fail or unknown."""

    def rule(self, host: str, rule: str) -> str:
        """The rule's worst verdict on the host now; "" when there is none."""


@dataclass(frozen=True)
class Check:
    """A claim of the story. `seen` says what is seen instead; "" when the claim holds."""

    says: str
    seen: Callable[[Scene, Ran], str]


@dataclass(frozen=True)
class Step:
    """One command. `words` follow `wardkeep`; with `on`, `words` is one line that is typed on that host.

    Names in angle brackets are filled in: what a command printed last (`TAKEN`), or what `tell` was given.
    With `until` the program stays beside the story, once it has printed that.
    `exits` are the exit statuses that the story expects, `most` and `last` the first and
    last lines of the output that are shown.
    """

    says: str
    words: tuple[str, ...]
    checks: tuple[Check, ...] = ()
    on: str = ""
    exits: tuple[int, ...] = (0,)
    most: int = 24
    last: int = 2
    until: str = ""


@dataclass(frozen=True)
class Act:
    """A chapter: a title, a paragraph, steps."""

    title: str
    says: str
    steps: tuple[Step, ...] = ()


class Teller(Protocol):
    """Who shows it: a terminal, or a test."""

    def act(self, number: int, of: int, act: Act) -> None: ...
    def step(self, step: Step, typed: str) -> None: ...
    def line(self, step: Step, text: str) -> None: ...
    def ran(self, step: Step, ran: Ran, seconds: float) -> None: ...
    def claim(self, check: Check, seen: str) -> None: ...
    def act_ended(self, act: Act) -> None: ...


@dataclass
class Told:
    """How far the story came: claims that held, and the one that did not ("" when all did)."""

    held: int = 0
    broken: str = ""


def tell(acts: Sequence[Act], scene: Scene, teller: Teller, names: dict[str, str]) -> Told:
    """Play every act. Returns at the first command that ends otherwise, or claim that does not hold."""
    told, known = Told(), dict(names)
    for number, act in enumerate(acts, start=1):
        teller.act(number, len(acts), act)
        for step in act.steps:
            if not _play(step, scene, teller, known, told):
                return told
        teller.act_ended(act)
    return told


def _play(step: Step, scene: Scene, teller: Teller, known: dict[str, str], told: Told) -> bool:
    words = [_filled(word, known) for word in step.words]
    typed = f"{step.on}# {words[0]}" if step.on else "$ wardkeep " + " ".join(_quoted(word) for word in words)
    typed += " &" if step.until else ""
    teller.step(step, typed)
    began = time.monotonic()
    if step.on or step.until:
        ran = scene.on_host(step.on, words[0]) if step.on else scene.background(words, step.until)
        for text in ran.output.splitlines():
            teller.line(step, text)
    else:
        ran = scene.wardkeep(words, lambda text: teller.line(step, text))
    teller.ran(step, ran, time.monotonic() - began)
    for name, pattern in TAKEN.items():
        if found := pattern.findall(ran.output):
            known[name] = found[-1]
    wanted = " or ".join(str(status) for status in step.exits)
    checks = (Check(f"The command ends with exit status {wanted}.", _exits(step.exits)), *step.checks)
    for check in checks:
        seen = check.seen(scene, ran)
        if seen or check is not checks[0]:
            teller.claim(check, seen)
        if seen:
            told.broken = f"{check.says} Seen: {seen}"
            return False
        told.held += 1
    return True


def _exits(wanted: tuple[int, ...]) -> Callable[[Scene, Ran], str]:
    return lambda scene, ran: "" if ran.exit in wanted else f"exit status {ran.exit}"


def _filled(word: str, known: dict[str, str]) -> str:
    # Not str.format: what is typed on a host is full of braces.
    return re.sub(r"<(\w+)>", lambda found: known.get(found[1], found[0]), word)


def _quoted(word: str) -> str:
    return f"'{word}'" if re.search(r"[\s;&|<>*?$\"]", word) else word
