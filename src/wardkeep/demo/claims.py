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


def counts(counter: str, says: str) -> Check:
    """An nft counter of the output has counted packets."""

    def seen(scene: Scene, ran: Ran) -> str:
        found = re.search(rf"counter {counter} {{\s*packets (\d+)", ran.output)
        return "" if found and int(found[1]) else "it counts nothing"

    return Check(says, seen)
