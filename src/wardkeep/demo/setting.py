"""On which kind of host the clinic can stand on this machine, and what the story leaves out there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wardkeep.core.errors import BadInput, Unavailable
from wardkeep.lab import why_not
from wardkeep.lab.recipes import SUITES

# What the hosts need besides what every host of the lab has: an image of their own, built once.
PACKAGES = ("curl", "postgresql", "python3", "sshpass")
# The best first. A virtual machine would show no more of this story, and be many times slower.
LEFT_OUT = {
    "container": (),
    "namespace": (
        "closing the firewall and sshd: systemd puts both into force, and a namespace has none",
        "the neighbour's log-in by a guessed password: the hosts have no accounts of their own",
        "a Debian of the hosts' own: they borrow the programs of this machine, which stays as it is",
    ),
}


@dataclass(frozen=True)
class Setting:
    """Where the clinic stands. `left_out` says what that kind of host cannot show, a sentence each; `why` no better one."""

    kind: str
    left_out: tuple[str, ...] = ()
    why: str = ""
    debian: str = ""  # of the hosts; "" where they borrow this machine's

    @property
    def is_whole(self) -> bool:
        """Whether the whole story can be told here."""
        return not self.left_out


def find_setting(wanted: str = "", why: Callable[[str], str] | None = None, debian: str = "") -> Setting:
    """The best kind that works here, or `wanted`; `why` says why a kind does not work, "" when it does.

    `debian` is the hosts' version, 12 when left out. Raises BadInput for a kind that the demo does not use or a version that
    it cannot have, Unavailable with the reasons when none works.
    """
    if debian and debian not in SUITES:
        raise BadInput(f"the clinic has no Debian {debian}", todo=f"Ask for {' or '.join(SUITES)}")
    if wanted and wanted not in LEFT_OUT:
        raise BadInput(
            f"the clinic cannot stand on `{wanted}`", todo=f"It can on a {' or a '.join(LEFT_OUT)}"
        )
    reasons: dict[str, str] = {}
    for kind in (wanted,) if wanted else LEFT_OUT:
        reason = (why or why_no_clinic)(kind)
        if not reason and debian and kind == "namespace":
            reason = "has the Debian of this machine, whichever is asked for"
        if not reason:
            told = "; ".join(f"a {one} {said}" for one, said in reasons.items())
            return Setting(
                kind, LEFT_OUT[kind], told, "" if kind == "namespace" else debian or next(iter(SUITES))
            )
        reasons[kind] = reason
    if set(reasons.values()) == {"needs root"}:
        raise Unavailable(
            "the demonstration makes hosts, and needs root",
            todo="Run it as root, or with sudo. Without root, `wardkeep up` looks at this machine itself",
        )
    told = "; ".join(f"a {kind} {reason}" for kind, reason in reasons.items())
    raise Unavailable(f"no kind of host works on this machine: {told}", todo="See `wardkeep lab kinds`")


def why_no_clinic(kind: str) -> str:
    """Why the clinic cannot stand on this kind of host here; "" when it can."""
    if reason := why_not(kind):
        return reason
    if kind != "namespace":
        return ""
    # The hosts have this machine's programs.
    absent = [package for package, there in (
        ("curl", shutil.which("curl")), ("postgresql", list(Path("/usr/lib/postgresql").glob("*/bin/initdb"))),
    ) if not there]  # fmt: skip
    return f"needs the Debian packages {' '.join(absent)}" if absent else ""
