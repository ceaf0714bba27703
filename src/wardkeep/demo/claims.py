"""The claims that steps make, as sentences that are looked at: in the matrix, in the findings, in what was printed."""

from __future__ import annotations

import re

from wardkeep.demo.telling import Check, Ran, Scene


def row_is(row: str, verdict: str) -> Check:
    """The whole row stands so in the matrix."""

    def seen(scene: Scene, ran: Ran) -> str:
        now = scene.row(row)
        return "" if now == verdict else f"the row is {now}"

    return Check(f"In the matrix the row {row} is {verdict}.", seen)


def fail_on(host: str, *rules: str) -> Check:
    """These rules fail on the host."""
    return _stand(host, rules, "fail")


def pass_on(host: str, *rules: str) -> Check:
    """These rules pass on the host, for everything there that they speak of."""
    return _stand(host, rules, "pass")


def _stand(host: str, rules: tuple[str, ...], verdict: str) -> Check:
    def seen(scene: Scene, ran: Ran) -> str:
        now = {rule: scene.rule(host, rule) or "never judged" for rule in rules}
        return ", ".join(f"{rule} is {said}" for rule, said in now.items() if said != verdict)

    return Check(f"On {host}, {verdict}: {', '.join(rules)}.", seen)


def prints(text: str, says: str) -> Check:
    """The command's output has this text."""
    return Check(says, lambda scene, ran: "" if text in ran.output else f"no `{text}` in the output")


def prints_no(text: str, says: str) -> Check:
    """The command's output does not have this text."""
    return Check(says, lambda scene, ran: f"`{text}` in the output" if text in ran.output else "")


class Counter:
    """An nft counter that is read twice: what was counted in between was refused in between."""

    def __init__(self, name: str) -> None:
        self.name, self.before = name, -1

    def _packets(self, ran: Ran) -> int:
        found = re.search(rf"counter {self.name} {{\s*packets (\d+)", ran.output)
        return int(found[1]) if found else -1

    def noted(self, says: str) -> Check:
        """The counter is there; what it says now is remembered."""

        def seen(scene: Scene, ran: Ran) -> str:
            self.before = self._packets(ran)
            return "" if self.before >= 0 else "no such counter in the output"

        return Check(says, seen)

    def has_grown(self, says: str) -> Check:
        """It has counted packets since."""

        def seen(scene: Scene, ran: Ran) -> str:
            now = self._packets(ran)
            return (
                "" if now > self.before >= 0 else f"{max(now, 0)} packets, and {max(self.before, 0)} before"
            )

        return Check(says, seen)
