"""A small row whose host is a folder: two settings in one file, an account-like act, and rules that cannot be mended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from wardkeep.core.changes import Act, Blocked, Change, OnHost, Setting, Step
from wardkeep.core.control import Control
from wardkeep.core.facts import Answer, Question
from wardkeep.core.findings import Seen, Severity, holds


def make_toy(folder: Path) -> Control:
    """The control of a host whose files are in `folder`: `toy.conf` is what is in force, `toy.d/wardkeep.conf` is ours."""
    in_force, ours = folder / "toy.conf", folder / "toy.d" / "wardkeep.conf"
    check = f"! grep -q broken {ours}"
    activate = f"cat {folder}/toy.d/*.conf > {in_force}"

    @dataclass(frozen=True)
    class InForce:
        lines: tuple[str, ...]
        ask: ClassVar[Question] = Question("toy", f"cat {in_force} && ls {folder}/guests | sed 's/^/guest /'")

        @classmethod
        def parse(cls, answer: Answer) -> Self:
            return cls(tuple(answer.text().splitlines()))

    row = Control("toy")
    serves = {"164.312(a)(1)": "A toy that is set right lets nobody in who should stay out."}

    def setting(key: str, line: str) -> Any:
        def check_line(toy: InForce) -> Iterator[Seen]:
            yield holds(
                line in toy.lines, "toy", f"{line} is {'' if line in toy.lines else 'not '}there", "Plan."
            )

        check_line.__annotations__ = {"toy": InForce}
        check_line.__name__ = key
        rule = row.rule(says=f"The toy has {line}.", severity=Severity.HIGH, serves=serves)(check_line)

        def mend(failing: list[Seen]) -> Iterator[Change]:
            yield Setting(str(ours), key, line, rule.id, "toy", check, activate)

        mend.__annotations__ = {"failing": list[Seen]}
        rule.mend(mend)
        return rule

    setting("walls", "walls high")
    setting("gate", "gate shut")

    def no_guests(toy: InForce) -> Iterator[Seen]:
        for line in toy.lines:
            if line.startswith("guest "):
                yield holds(False, f"guest:{line[6:]}", "is a guest", "Plan.")
        yield holds(True, "toy", "was looked at", "")

    no_guests.__annotations__ = {"toy": InForce}
    rule = row.rule(says="The toy has no guests.", severity=Severity.LOW, serves=serves)(no_guests)

    def send_home(failing: list[Seen]) -> Iterator[Change]:
        for seen in failing:
            name = seen.subject.partition(":")[2]
            if name == "owner":
                yield Blocked(
                    "Send owner home",
                    "nobody could enter any more",
                    "Name another owner.",
                    rule.id,
                    seen.subject,
                )
                continue
            place = f"{folder}/guests/{name}"
            yield Act(
                f"Send {name} home",
                f"rm -f {place}",
                f"touch {place}",
                rule.id,
                seen.subject,
                cuts_access=True,
            )

    send_home.__annotations__ = {"failing": list[Seen]}
    rule.mend(send_home)

    def has_moat(toy: InForce) -> Iterator[Seen]:
        yield holds("moat" in toy.lines, "toy", "there is no moat", "Dig one.")

    has_moat.__annotations__ = {"toy": InForce}
    row.rule(says="The toy has a moat.", severity=Severity.LOW, serves=serves)(has_moat).cannot_mend(
        "a person must dig"
    )

    def exercise(toy: InForce) -> Iterator[Step]:
        yield OnHost("Look at the walls", f"cat {in_force}", "toy.walls", expect_text="walls high")
        yield OnHost(
            "Knock at the gate",
            f"echo knock > {folder}/knocked; cat {in_force}",
            "toy.gate",
            expect_text="gate shut",
            undo=f"rm -f {folder}/knocked",
        )

    exercise.__annotations__ = {"toy": InForce}
    row.drilled_by(exercise)
    return row


def stage_toy(folder: Path) -> None:
    """A host that fails every rule."""
    for name in ("toy.d", "guests"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in ("toy.conf", "toy.d/00-first.conf"):
        (folder / name).write_text("sand\n")
    for name in ("eve", "owner"):
        (folder / "guests" / name).touch()
