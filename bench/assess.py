"""Assessing recorded hosts: reading the answers, every control, the ledger and the state, for 10, 100 and 1,000 hosts.

python -m bench.assess [database URL]      (default: SQLite in a temporary folder)

The hosts are the recordings of tests/hosts, each replayed under many names by the engine's own cycle. The yardstick of the
last column is the same run's smallest fleet: 1.00 is linear growth. A second cycle shows what an unchanged fleet costs.
"""

from __future__ import annotations

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
    cpu: float


def main() -> None:
    url = sys.argv[1] if len(sys.argv) > 1 else ""
    print(
        f"{len(RECORDINGS)} recordings; {'PostgreSQL' if url else 'SQLite'}; ledger and state on {tempfile.gettempdir()}"
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


def measure(n: int, url: str) -> Measured:
    """A new platform with `n` hosts, two cycles over all of them."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "state"
        folder.mkdir()
        if url:
            (folder / CONFIG).write_text(f'[database]\nurl = "{url}"\n')
        with open_platform(folder, create=True) as platform:
            take(platform, n)
            fleet = list_hosts(platform)
            began, cpu = time.perf_counter(), time.process_time()
            cycle = check(platform, "operator:bench", hosts=fleet)
            first, spent = time.perf_counter() - began, time.process_time() - cpu
            began = time.perf_counter()
            check(platform, "operator:bench", hosts=fleet)
            again = time.perf_counter() - began
            return Measured(n, told(cycle), first, again, spent)


def take(platform: Platform, n: int) -> None:
    """`n` hosts into the inventory at once: adding them one by one is not what is measured here."""
    at = timestamp()
    rows = [
        {"name": f"host-{i:04}", "url": f"recorded:{RECORDINGS[i % len(RECORDINGS)]}", "added": _time(at)}
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
