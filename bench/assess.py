"""Assessing recorded hosts: reading the answers, every control, the ledger and the state, for 10, 100 and 1,000 hosts.

python -m bench.assess [database URL]      (default: SQLite in a temporary folder)

The hosts are the recordings of tests/hosts, each replayed under many names by the engine's own cycle. The yardstick of the
last column is the same run's smallest fleet: 1.00 is linear growth. A second cycle shows what an unchanged fleet costs.

Equal answers are read and judged once, and such a fleet has many: their share is said. What a fleet costs in which no two hosts
answer alike is measured beside it: there each answer has a line of its own on stderr, so that nothing read before is met again.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import insert

from wardkeep.engine.cycle import Cycle, check
from wardkeep.engine.folder import CONFIG
from wardkeep.engine.hosts import list_hosts
from wardkeep.engine.platform import Platform, open_platform, timestamp
from wardkeep.store.schema import hosts

RECORDINGS = sorted(
    path.parent for path in (Path(__file__).parents[1] / "tests" / "hosts").glob("*/provenance*")
)
FLEETS = (10, 100, 1000)
DIFFERENT = 300  # hosts
LIMIT = 10.0  # seconds for 1,000 hosts
STEEPEST = (
    1.5  # times the time of a host in the fleet of 100; ten hosts are mostly what comes before the first
)


@dataclass(frozen=True)
class Measured:
    n: int
    findings: int
    first: float  # seconds
    again: float
    cpu: float  # of this process and of its judges


def main() -> None:
    url = sys.argv[1] if len(sys.argv) > 1 else ""
    print(
        f"{len(RECORDINGS)} recordings; {'PostgreSQL' if url else 'SQLite'}; ledger and state on {tempfile.gettempdir()};"
        f" {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}"
    )
    every, distinct = answers()
    print(
        f"of the answers of {FLEETS[-1]:,} hosts {1 - distinct / (every * FLEETS[-1] / len(RECORDINGS)):.1%} are equal to another"
    )
    print(
        f"{'hosts':>6} {'findings':>9} {'first cycle':>12} {'again':>8} {'ms a host':>10} {'growth':>7} {'CPU':>8}"
    )
    measured = []
    for n in FLEETS:
        one = measure(n, url)
        measured.append(one)
        each, base = one.first / n, measured[0].first / measured[0].n
        print(
            f"{one.n:>6} {one.findings:>9} {one.first:>10.2f} s {one.again:>6.2f} s {each * 1000:>10.2f}"
            f" {each / base:>7.2f} {one.cpu:>6.2f} s"
        )
    with tempfile.TemporaryDirectory() as scratch:
        unlike = measure(DIFFERENT, url, told_apart(Path(scratch), DIFFERENT))
    print(
        f"{unlike.n:>6} {unlike.findings:>9} {unlike.first:>10.2f} s {unlike.again:>6.2f} s {unlike.first / unlike.n * 1000:>10.2f}"
        f" {'':>7} {unlike.cpu:>6.2f} s   no two hosts alike"
    )
    middle, worst = measured[1:]
    growth = worst.first / worst.n / (middle.first / middle.n)
    quick, linear = worst.first <= LIMIT, growth <= STEEPEST
    print(
        f"1,000 hosts assessed under {LIMIT:.0f} s: {'kept' if quick else 'NOT kept'}"
        f" ({worst.first:.2f} s, {worst.cpu:.2f} s of CPU; again {worst.again:.2f} s)"
    )
    print(
        f"linear growth: {'kept' if linear else 'NOT kept'}"
        f" ({growth:.2f} times the time of a host in a fleet of {middle.n})"
    )
    sys.exit(not (quick and linear))


def measure(n: int, url: str, recordings: list[Path] = RECORDINGS) -> Measured:
    """A new platform with `n` hosts, two cycles over all of them."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "state"
        folder.mkdir()
        if url:
            (folder / CONFIG).write_text(f'[database]\nurl = "{url}"\n')
        with open_platform(folder, create=True) as platform:
            take(platform, n, recordings)
            fleet = list_hosts(platform)
            began, cpu = time.perf_counter(), spent_so_far()
            cycle = check(platform, "operator:bench", hosts=fleet)
            first, spent = time.perf_counter() - began, spent_so_far() - cpu
            began = time.perf_counter()
            check(platform, "operator:bench", hosts=fleet)
            again = time.perf_counter() - began
            return Measured(n, told(cycle), first, again, spent)


def spent_so_far() -> float:
    """Seconds of CPU, of ended children too."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))


def answers() -> tuple[int, int]:
    """How many answers the recordings hold, and how many different ones."""
    told = [
        (name, row["out"]["sha256"], row["err"]["sha256"])
        for folder in RECORDINGS
        for name, row in json.loads((folder / "provenance.json").read_bytes())["answers"].items()
    ]
    return len(told), len(set(told))


def told_apart(folder: Path, n: int) -> list[Path]:
    """`n` recordings of which each answer has a line of its own on stderr."""
    made = []
    for i in range(n):
        source, here = RECORDINGS[i % len(RECORDINGS)], folder / f"{i:04}"
        here.mkdir()
        provenance = json.loads((source / "provenance.json").read_bytes())
        for name, row in provenance["answers"].items():
            if (source / f"{name}.out").exists():
                (here / f"{name}.out").symlink_to(source / f"{name}.out")
            said = source / f"{name}.err"
            data = (said.read_bytes() if said.exists() else b"") + f"host {i}\n".encode()
            (here / f"{name}.err").write_bytes(data)
            row["err"] |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        (here / "provenance.json").write_text(json.dumps(provenance))
        made.append(here)
    return made


def take(platform: Platform, n: int, recordings: list[Path] = RECORDINGS) -> None:
    """`n` hosts into the inventory at once: adding them one by one is not what is measured here."""
    at = timestamp()
    rows = [
        {"name": f"host-{i:04}", "url": f"recorded:{recordings[i % len(recordings)]}", "added": _time(at)}
        for i in range(n)
    ]
    with platform.store.begin() as connection:
        connection.execute(insert(hosts), rows)


def told(cycle: Cycle) -> int:
    blind = [one.subject for one in cycle.checked if one.problem]
    if blind:
        raise SystemExit(f"not a fair run: {blind[0]} could not be asked: {cycle.checked[0].problem}")
    return len(cycle.findings)


def _time(text: str) -> object:
    from datetime import datetime

    return datetime.fromisoformat(text)


if __name__ == "__main__":
    main()
