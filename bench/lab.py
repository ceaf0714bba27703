"""The lab: how long a host of each kind takes, and that none leaves anything behind.

`python -m bench.lab [N] [KIND…]` as root: N hosts of each kind (20) in a row, each started, asked and removed, then a fleet of
five. Processes, files, namespaces, mounts, links and podman's objects of the whole machine are counted before and
after, but for what is marked as of another lab that runs meanwhile; anything more than before is printed and is exit status 1.
The yardstick: what this machine takes to start `true`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from wardkeep.lab import Lab, Places, why_not
from wardkeep.lab.containers import listed
from wardkeep.lab.podman import storage
from wardkeep.lab.processes import MARK
from wardkeep.lab.records import all_books


def counted(places: Places) -> dict[str, set[str]]:
    """What is on this machine now, by kind of thing. Other people's processes come and go: only the lab's words count."""
    words = ("qemu-system", "swtpm", "conmon", "wardkeep.lab", "namespace_init", "delay_line")
    processes = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                command = (
                    Path(entry.path, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
                told = Path(entry.path, "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if any(word in command for word in words):
                mark = next((one.decode() for one in told if one.startswith(MARK.encode())), "")
                processes.add(f"{entry.name} {mark} {command}")
    netns = subprocess.run(
        ["ip", "netns", "list"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    files = {str(path) for path in (places.cache / "labs").rglob("*")} | {
        str(path) for path in places.run.glob("*")
    }
    return {
        "processes": processes,
        "namespaces": {line.split()[0] for line in netns if line},
        "mounts": {line.split()[4] for line in mounts},
        "links": set(os.listdir("/sys/class/net")),
        "containers": set(listed(places)),
        "files": files,
    }


def left_behind(
    before: dict[str, set[str]], after: dict[str, set[str]], others: set[str], storage: Path
) -> dict[str, set[str]]:
    """What is there after and was not before, but for what cannot be this lab's.

    That is what names one of the `others`, namespaces and links without the lab's letters, and, while there are others, what
    podman has mounted, which does not tell whose it is.
    """
    more = {
        what: {one for one in after[what] - before[what] if not any(lab in one for lab in others)}
        for what in before
    }
    for what in ("namespaces", "links"):
        more[what] = {one for one in more[what] if one.startswith("wkl")}
    more["mounts"] = {
        one for one in more["mounts"]
        if "/wkl-" in one or not (one.startswith("/run/netns/") or (others and Path(one).is_relative_to(storage)))
    }  # fmt: skip
    return {what: found for what, found in more.items() if found}


def timed(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def line(what: str, times: list[float]) -> None:
    ordered = sorted(times)
    print(
        f"  {what:34} median {statistics.median(ordered):6.2f} s   worst {ordered[-1]:6.2f} s   of {len(ordered)}"
    )


def main(words: list[str]) -> int:
    count = int(words.pop(0)) if words and words[0].isdigit() else 20
    places = Places.usual()
    print(
        f"  {'yardstick: start of `true`':34} {timed(lambda: subprocess.run(['true'], check=True)) * 1000:6.1f} ms"
    )
    more = 0
    for kind in words or ["namespace", "container", "vm"]:
        if said := why_not(kind):
            print(f"{kind}: left out, {said}")
            continue
        with Lab() as lab:  # images are made before anything is counted or timed
            print(f"{kind}: first host of this machine (builds its image if there is none): "
                  f"{timed(lambda kind=kind: lab.host(kind=kind, needs={'sshd'})):.1f} s")  # fmt: skip
        before = counted(places)
        starts, asks, ends = [], [], []
        with Lab() as lab:
            mine = lab.book.lab
            for number in range(count):
                starts.append(timed(lambda n=number, k=kind: lab.host(f"h{n}", kind=k, needs={"sshd"})))
                host = lab.find(f"h{number}")
                asks.append(timed(lambda h=host: h.run("true")))
                ends.append(timed(host.remove))
            fleet = timed(lambda k=kind: lab.fleet(5, kind=k, needs={"sshd"}))
            close = timed(lab.close)
        line("start, until sshd answers", starts)
        line("run a command", asks)
        line("remove", ends)
        print(f"  {'five side by side':34} {fleet:6.2f} s, removed together in {close:.2f} s")
        after, others = counted(places), {book.lab for book in all_books(places)} - {mine}
        left = left_behind(before, after, others, storage(places))
        beside = (
            f"; {len(others)} other labs beside it, so podman's mounts were not counted" if others else ""
        )
        print(
            f"  left behind: {left or 'nothing'}{beside} (before: { ({what: len(had) for what, had in before.items()}) })"
        )
        more += sum(map(len, left.values()))
    return 1 if more else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
