"""Every bench, one after the other, and a short table of their goals at the end. `python -m bench [NAME …]`

A bench is a module of this folder that runs by itself. It prints what it likes, and one line for each goal it has:

    GOAL: kept (WHAT WAS SEEN; beside WHICH YARDSTICK)          or `NOT kept`, or `not measured` with the reason

Exit status: 0 when every goal that could be measured is kept, 1 when one is not or a bench broke.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FIRST = ("ledger", "assess", "console", "fleet")
PARTS = frozenset(
    {
        "__init__",
        "__main__",
        "many_findings",
        "fleet_others",
        "firewall_dumps",
        "firewall_kernel",
        "firewall_rules",
        "tiny_bdd",
        "wild_packets",
    }
)  # what benches are made of
GOAL = re.compile(r"(?P<goal>.{3,}?): (?P<verdict>kept|NOT kept|not measured)\b[:,]? ?(?P<seen>.*)")


@dataclass(frozen=True)
class Line:
    """One goal: kept, not kept, not measured, or `broken` where the bench ended in the middle."""

    bench: str
    goal: str
    verdict: str
    seen: str


def main() -> None:
    here = Path(__file__).parent
    found = sorted(path.stem for path in here.glob("*.py") if path.stem not in PARTS)
    names = sys.argv[1:] or [*FIRST, *(name for name in found if name not in FIRST)]
    if unknown := [name for name in names if name not in found]:
        raise SystemExit(f"no bench is called {unknown[0]}; there are: {', '.join(found)}")
    lines = [line for name in names for line in run(name, here.parent)]
    print(f"\n== {len(lines)} goals on {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    for line in lines:
        seen = f"  ({line.seen.strip('() ')})" if line.seen.strip("() ") else ""
        print(f"{line.verdict:13} {line.bench:12} {line.goal}{seen}")
    sys.exit(any(line.verdict in ("NOT kept", "broken") for line in lines))


def run(name: str, folder: Path) -> list[Line]:
    """One bench in a process of its own, shown as it goes; its goals as it told them."""
    print(f"\n== {name}", flush=True)
    told = []
    with subprocess.Popen(
        [sys.executable, "-u", "-m", f"bench.{name}"], stdout=subprocess.PIPE, text=True, cwd=folder
    ) as process:
        assert process.stdout
        for text in process.stdout:
            print(text, end="", flush=True)
            told.append(text.rstrip("\n"))
    lines = [Line(name, m["goal"], m["verdict"], m["seen"]) for text in told if (m := GOAL.fullmatch(text))]
    if process.returncode and not any(line.verdict == "NOT kept" for line in lines):
        lines.append(Line(name, "it ran to its end", "broken", f"exit status {process.returncode}"))
    return lines or [Line(name, "it ran to its end", "kept", "it names no goal")]


if __name__ == "__main__":
    main()
