"""What listens on a host, from a file: the output of `ss -Hltnup`, or of `ss -ltnup` with its heading."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from wardkeep.core.errors import BadInput, NotUnderstood
from wardkeep.core.facts import Answer
from wardkeep.core.text_files import read_text_file
from wardkeep.facts.listeners import Listener, Listeners

TODO = "Give the output of `ss -Hltnup`"
Reached: TypeAlias = tuple[Listener, tuple[int, ...]]


def read_listeners(path: Path) -> list[Reached]:
    """The sockets that more than the loopback reaches, each with the IP versions (4, 6). Raises BadInput in one line.

    An empty file does not say that nothing listens: that is said by the heading of `ss -ltnup` alone.
    """
    lines = [line for line in read_text_file(path).splitlines() if line.strip()]
    headed = any(line.startswith("Netid ") and "Local Address:Port" in line for line in lines)
    kept = [line for line in lines if not line.startswith("Netid")]
    if not kept and not headed:
        todo = "If nothing listens there, give the output of `ss -ltnup`, whose heading says so"
        raise BadInput("has no socket in it", where=str(path), todo=todo)
    text = "\n".join(["= sockets", *(f"|{line}" for line in kept), "= end", ""])
    try:
        found = Listeners.parse(Answer("listeners", 0, text.encode()))
    except NotUnderstood as e:
        raise BadInput(e.what, where=str(path), todo=TODO) from None
    return reached(found)


def reached(found: Listeners) -> list[Reached]:
    """The sockets that more than the loopback reaches, each with the IP versions (4, 6)."""
    versions = {"ip": 4, "ip6": 6}
    return [(one, tuple(versions[family] for family in one.families)) for one in found.to_the_world()]
