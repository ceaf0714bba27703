"""The demonstration in the terminal: chapters, commands as they are typed, what they print, claims with their shape."""

from __future__ import annotations

import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from wardkeep.cli.terminal import SHAPES, console

if TYPE_CHECKING:
    from wardkeep.demo import Act, Check, Ran, Setting, Step, Told


class Shown:
    """Tells on stdout. The whole output of every command is written to `folder`, so that a cut one can be read there."""

    def __init__(self, folder: Path, pause: bool = False) -> None:
        self.out, self.folder, self.pause = console(), folder, pause
        self.commands = self.lines = 0
        self.is_last = False
        self.held_back: deque[str] = deque()

    def say(self, text: str = "", style: str = "") -> None:
        self.out.print(Text(text, style=style))

    def opening(self, setting: Setting) -> None:
        """What is about to happen, and what this machine leaves out of it."""
        self.say(
            "A small clinic on this machine: two hosts, a neighbour who attacks, patients who are invented.",
            "bold",
        )
        debian = f", Debian {setting.debian}" if setting.debian else ""
        self.say(
            f"The hosts are of the kind {setting.kind}{debian} (`wardkeep lab kinds`). Every command below is run as it stands there; "
            "what it prints is what it printed. Lines with ● or ▲ are the demo's own, looked up after the command."
        )
        if setting.why:
            self.say(f"○ Not the whole story: {setting.why}", "yellow")
        for sentence in setting.left_out:
            self.say(f"○ Left out: {sentence}", "yellow")

    def platform(self, state: Path, config: str) -> None:
        """The platform that watches: its folder and its configuration."""
        self.say(f"\nA new platform for it, with this wardkeep.toml in {state}:\n")
        for line in config.splitlines():
            self.say(f"    {line}", "dim")
        self.say("\nTo type along in another terminal:\n")
        self.say(f"    export WARDKEEP_STATE={state}")

    def act(self, number: int, of: int, act: Act) -> None:
        self.is_last = number == of
        self.say(f"\n{number}/{of}  {act.title}", "bold")
        self.say(act.says)

    def step(self, step: Step, typed: str) -> None:
        self.commands, self.lines = self.commands + 1, 0
        self.held_back.clear()
        self.say()
        if step.says:
            self.say(step.says)
        self.out.print(Text(typed, style="bold cyan"), soft_wrap=True)

    def line(self, step: Step, text: str) -> None:
        self.lines += 1
        if self.lines <= step.most or step.until:
            self._raw(text)
        else:
            self.held_back.append(text)

    def _raw(self, text: str) -> None:
        # As it was printed, colours and all.
        self.out.print(Text.from_ansi(text), soft_wrap=True)

    def ran(self, step: Step, ran: Ran, seconds: float) -> None:
        name = _keep(self.folder, self.commands, ran)
        cut = len(self.held_back) - step.last
        cut = cut if cut > 2 else 0  # a line that says so is no shorter
        if cut:
            self.say(f"   … {cut} lines more, in {self.folder / name}", "dim")
        for text in list(self.held_back)[cut:]:
            self._raw(text)
        self.say(f"[exit status {ran.exit}, {seconds:.1f} s]", "dim")

    def claim(self, check: Check, seen: str) -> None:
        shape, colour = SHAPES["fail" if seen else "pass"]
        self.say(f"{shape} {check.says}" + (f" But: {seen}." if seen else ""), colour)

    def act_ended(self, act: Act) -> None:
        if self.pause and not self.is_last:
            sys.stdout.write("\nEnter goes on: ")
            sys.stdout.flush()
            sys.stdin.readline()

    def ending(self, told: Told, seconds: float, *, kept: bool) -> None:
        """How it went."""
        self.say()
        took = f"{int(seconds) // 60} min {int(seconds) % 60} s"
        if told.broken:
            self.say(
                f"{SHAPES['fail'][0]} The story is not true here and ends. {told.broken} ({took})", "bold red"
            )
        else:
            self.say(f"{SHAPES['pass'][0]} All {told.held} claims held, in {took}.", "bold green")
        if kept:
            self.say(f"The pack and the outputs of all commands stay in {self.folder}.")


def _keep(folder: Path, number: int, ran: Ran) -> str:
    """Write the whole output of a command. Returns the file's name."""
    name = f"{number:02}.txt"
    (folder / name).write_text(ran.output)
    return name


class Recorder:
    """Tells nobody: keeps what was told, for `--json`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.commands = folder, 0
        self.acts: list[dict[str, Any]] = []

    def act(self, number: int, of: int, act: Act) -> None:
        self.acts.append({"title": act.title, "steps": []})

    def step(self, step: Step, typed: str) -> None:
        self.acts[-1]["steps"].append({"typed": typed, "claims": []})

    def line(self, step: Step, text: str) -> None:
        pass

    def ran(self, step: Step, ran: Ran, seconds: float) -> None:
        self.commands += 1
        _keep(self.folder, self.commands, ran)
        self.acts[-1]["steps"][-1].update(exit=ran.exit, seconds=round(seconds, 1), output=ran.output)

    def claim(self, check: Check, seen: str) -> None:
        self.acts[-1]["steps"][-1]["claims"].append({"says": check.says, "held": not seen, "seen": seen})

    def act_ended(self, act: Act) -> None:
        pass
