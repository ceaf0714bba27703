"""Auditing allowlists: reading the file and finding every seeded defect, for 1,000, 10,000 and 100,000 entries.

python -m bench.allowlists      (CPU seconds of one core; the machine may be busy)

The lists have defects of every kind put in with known truth (tests/allowlists/seeded.py): what is not found, or found and not
put in, fails the run. The yardstick of the growth is the same run's smallest list: 1.00 is linear.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from tests.allowlists.seeded import TODAY, seeded

from wardkeep.allowlists import Surroundings, audit, read_toml

SIZES = (1_000, 10_000, 100_000)
LIMIT = 5.0  # CPU seconds for 100,000 entries


@dataclass(frozen=True)
class Measured:
    entries: int
    defects: int
    precision: float
    recall: float
    read: float  # CPU seconds
    audited: float

    @property
    def seconds(self) -> float:
        return self.read + self.audited


def main() -> None:
    print(
        f"{'entries':>8} {'defects':>8} {'precision':>10} {'recall':>7} {'read':>8} {'audit':>8} {'growth':>7}"
    )
    measured: list[Measured] = []
    for size in SIZES:
        one = measure(size)
        measured.append(one)
        base = measured[0].seconds / measured[0].entries
        print(
            f"{one.entries:>8} {one.defects:>8} {one.precision:>10.4f} {one.recall:>7.4f} {one.read:>6.2f} s {one.audited:>6.2f} s"
            f" {one.seconds / one.entries / base:>7.2f}"
        )
    last = measured[-1]
    exact = all(one.precision == one.recall == 1 for one in measured)
    kept = last.seconds <= LIMIT and exact
    print(
        f"100,000 entries under {LIMIT:.0f} s, all defects and no other: {'kept' if kept else 'NOT kept'} ({last.seconds:.2f} s)"
    )
    sys.exit(not kept)


def measure(entries: int, seed: int = 1) -> Measured:
    made = seeded(seed, entries)
    text = made.text
    around = Surroundings(TODAY, listeners=made.listeners, providers=made.providers)
    began = time.process_time()
    allowlist = read_toml(text, "allowlist.toml")
    read = time.process_time() - began
    found = {(defect.kind, defect.entry.line) for defect in audit(allowlist, around)}
    spent = time.process_time() - began
    right = len(found & made.truth)
    return Measured(
        len(allowlist.entries),
        len(made.truth),
        right / len(found),
        right / len(made.truth),
        read,
        spent - read,
    )


if __name__ == "__main__":
    main()
