"""What a plan must know beside the facts: the present content of the files it would write, and what apt would do."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wardkeep.core.errors import NotUnderstood, Unavailable
from wardkeep.core.facts import Answer, Question
from wardkeep.fleet import Connector

ABSENT, NO_PLAIN_FILE = 44, 45
_INST = re.compile(r"Inst (\S+?)(?::\w+)?(?: \[([^\]]+)\])? \((\S+)")
_REMV = re.compile(r"(?:Remv|Purg) (\S+)")


@dataclass(frozen=True)
class Present:
    """A file as it is now: its text (None when there is none) and its mode in octal."""

    text: str | None
    mode: str = "644"


@dataclass(frozen=True)
class Simulated:
    """What apt would do for a request: (name, from, to) of each package, the packages it would remove, or why it would not."""

    moves: tuple[tuple[str, str, str], ...] = ()
    removes: tuple[str, ...] = ()
    problem: str = ""


async def ask_files(connector: Connector, paths: Sequence[str]) -> Mapping[str, Present]:
    """The present content of each file, in one round trip. Raises Unavailable or NotUnderstood, naming the file."""
    asks = [_file_question(n, path) for n, path in enumerate(paths)]
    if not asks:
        return {}
    snapshot = await connector.ask(asks)
    if snapshot.problem:
        raise Unavailable(
            snapshot.problem, where=connector.host, todo="Mend the connection, then plan again."
        )
    return {
        path: _present(connector.host, path, snapshot.answers[q.id])
        for q, path in zip(asks, paths, strict=True)
    }


def apt_command(packages: Sequence[tuple[str, str, str]], *, simulate: bool, downgrade: bool = False) -> str:
    """The one apt-get line for moving packages to the named versions: no removals, configuration files as they are."""
    wanted = " ".join(shlex.quote(f"{name}={to}") for name, _, to in packages)
    options = "-s -q" if simulate else "-y -q"
    if downgrade:
        options += " --allow-downgrades"
    return (
        f"DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get {options} --no-remove "
        "-o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-confdef -o DPkg::Lock::Timeout=120 "
        f"install {wanted}"
    )


async def simulate_upgrade(connector: Connector, packages: Sequence[tuple[str, str, str]]) -> Simulated:
    """What apt itself says it would do. Raises Unavailable when the host cannot be asked."""
    # Without --no-remove here, so that apt names what it would remove instead of only refusing.
    script = apt_command(packages, simulate=True).replace(" --no-remove", "")
    snapshot = await connector.ask(
        [Question("apt-simulate", script, "apt-get", frozenset({0, 100}), timeout=60)]
    )
    answer = snapshot.answers["apt-simulate"]
    if snapshot.problem or not answer.whole:
        raise Unavailable(snapshot.problem or answer.problem, where=connector.host)
    if answer.exit != 0:
        said = [line for line in answer.stderr.decode(errors="replace").splitlines() if line.startswith("E:")]
        return Simulated(problem=" ".join(said)[:300] or f"apt-get ended with {answer.exit}")
    text = answer.text()
    moves = tuple((name, before or "", to) for name, before, to in _INST.findall(text))
    return Simulated(moves, tuple(_REMV.findall(text)))


def _file_question(number: int, path: str) -> Question:
    script = (
        f"p={shlex.quote(path)}\n"
        '[ -e "$p" ] || [ -L "$p" ] || exit 44\n'
        'if [ -L "$p" ] || [ ! -f "$p" ]; then exit 45; fi\n'
        'stat -c %a -- "$p" && cat -- "$p"'
    )
    return Question(f"kept-file:{number}", script, ok=frozenset({0, ABSENT, NO_PLAIN_FILE}), limit=1 << 20)


def _present(host: str, path: str, answer: Answer) -> Present:
    if not answer.whole:
        raise Unavailable(f"{path} could not be read: {answer.problem}", where=host)
    if answer.exit == ABSENT:
        return Present(None)
    if answer.exit != 0:
        why = (
            "is a link or no plain file"
            if answer.exit == NO_PLAIN_FILE
            else f"could not be read ({answer.exit})"
        )
        raise NotUnderstood(
            f"{path} {why}", where=host, todo="Look at it by hand; Wardkeep writes only plain files."
        )
    mode, _, text = answer.text().partition("\n")
    return Present(text, mode)
