"""A scene that is played from a script: what each command prints is given, nothing runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from wardkeep.demo import Act, Check, Ran, Step


@dataclass
class Scripted:
    """Every command ends as `ends` says (exit status 0 and no output by default); every verdict is `verdict`."""

    ends: dict[str, Ran] = field(default_factory=dict)
    verdict: str = "pass"
    played: list[str] = field(default_factory=list)

    def _play(self, typed: str) -> Ran:
        self.played.append(typed)
        return next((ran for start, ran in self.ends.items() if typed.startswith(start)), Ran(0, ""))

    def wardkeep(self, words: Sequence[str], line: Callable[[str], None]) -> Ran:
        ran = self._play(" ".join(words))
        for text in ran.output.splitlines():
            line(text)
        return ran

    def background(self, words: Sequence[str], until: str) -> Ran:
        return self._play(" ".join(words))

    def on_host(self, host: str, script: str) -> Ran:
        return self._play(f"{host}: {script}")

    def row(self, row: str) -> str:
        return self.verdict

    def rule(self, host: str, rule: str) -> str:
        return self.verdict


class Silent:
    """A teller that tells nobody, and remembers the claims that did not hold."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        self.typed: list[str] = []

    def act(self, number: int, of: int, act: Act) -> None: ...
    def line(self, step: Step, text: str) -> None: ...
    def ran(self, step: Step, ran: Ran, seconds: float) -> None: ...
    def act_ended(self, act: Act) -> None: ...

    def step(self, step: Step, typed: str) -> None:
        self.typed.append(typed)

    def claim(self, check: Check, seen: str) -> None:
        if seen:
            self.broken.append(check.says)
