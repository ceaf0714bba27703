"""Run the scenarios on live hosts side by side: `python scripts/e2e.py [--workers N] [--minutes M] [--kinds FILE] [--again] [PATH…]`.

Each worker is a pytest of its own with a lab of its own. What is printed: which kinds of host this machine carries, every unit with its
time as it ends, the whole output of those that fail or skip, what was not run, and the sums. A file is one unit; a long one is split by
what stands before the colon in the parameter of its tests (or the whole parameter), and that again into pieces.

What failed is run again, with `--again`: at the end, one after the other, with nothing beside it. Both outcomes are printed.
With `--minutes` a part of the time is kept for that, and the transcripts and the lab's own contract come first.

Exit status 1 if one fails, or if nothing passed and something could have. With `--kinds` the file names the kinds that should be there,
one a line: one that this machine can carry, and whose Debian packages are missing all the same, is a fault too. A kind that the machine
itself cannot carry (no root, no overlay file system, another processor) is said with its reason, and its tests are counted as skipped.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

TREE = Path(__file__).parents[1]
LONG = 4  # tests; a file with more is split
PIECE = 8  # tests; what belongs together shares what is made for it, but no more than this
WORDS = ("failed", "error", "errors", "passed", "skipped")
SPARE = 0.15  # of the time, kept for what is run again
# First what says most, should the time run out; last what only builds the same images once more, which is slow.
FIRST = ("test_lab_contract", "test_scenarios", "test_demo_whole", "test_lab_machines")
LAST = ("test_lab_images",)
PYTEST = [sys.executable, "-m", "pytest", "-m", "e2e", "-p", "no:cacheprovider"]


@dataclass(frozen=True)
class Unit:
    """What is run together: a name and the ids of its tests."""

    name: str
    tests: tuple[str, ...]


@dataclass
class Run:
    """One run of all units, and what came of it."""

    until: float  # monotonic: what has not ended by then is not run
    again: float = 0  # monotonic: the same for what is run again; 0: nothing is
    counts: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)  # why → tests
    # What is to be run again, and how it was counted.
    failed: list[tuple[Unit, Counter[str]]] = field(default_factory=list)
    unsteady: list[str] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, unit: Unit) -> None:
        """Run one unit and say how it ended."""
        began = time.monotonic()
        if began >= self.until:
            return self._leave(unit, "no time was left")
        output, counts = carry_out(unit, self.until)
        if counts is None:
            return self._leave(unit, "it was still going on when the time was over", output)
        failed = counts["failed"] + counts["error"]
        later = "; once more at the end" if failed and self.again else ""
        text = f"{time.monotonic() - began:6.0f} s  {unit.name}: {summed(counts)}{later}\n"
        self._say(text + (output if failed or counts["skipped"] else ""))
        with self.lock:
            self.counts += counts
            for number, why in re.findall(r"^SKIPPED \[(\d+)\] [^:]+:\d+: (.*)$", output, re.MULTILINE):
                self.skipped[why] += int(number)
            if failed:
                once_more = named(unit, output)
                wrong = Counter({word: counts[word] for word in ("failed", "error")})
                self.failed.append((Unit(unit.name, once_more), counts if once_more == unit.tests else wrong))
        return None

    def take_again(self) -> None:
        """Run what failed once more, one after the other and nothing beside it: a second failure is one."""
        for unit, wrong in self.failed if self.again else ():
            began = time.monotonic()
            output, counts = carry_out(unit, self.again) if began < self.again else ("", None)
            if counts is None:
                self._say(f"not again {unit.name}: no time was left, so it has failed\n")
                continue
            failed = counts["failed"] + counts["error"]
            text = f"{time.monotonic() - began:6.0f} s  alone: {unit.name}: {summed(counts)}\n"
            self._say(text + (output if failed else ""))
            self.counts -= wrong
            self.counts += counts
            if not failed:
                self.unsteady.append(unit.name)

    def _leave(self, unit: Unit, why: str, output: str = "") -> None:
        with self.lock:
            self.not_run.append(unit.name)
            self.counts["not run"] += len(unit.tests)
        self._say(f"not run   {unit.name}: {why}\n" + (f"{output[-2000:].rstrip()}\n" if output else ""))

    def _say(self, text: str) -> None:
        with self.lock:
            sys.stdout.write(text)
            sys.stdout.flush()


def summed(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {word}" for word, number in sorted(counts.items()) if number)


def named(unit: Unit, output: str) -> tuple[str, ...]:
    """Those tests of a unit that its output names as failed; all when it names none."""
    told = [f"{line} - " for line in re.findall(r"^(?:FAILED|ERROR) (.*)$", output, re.MULTILINE)]
    return (
        tuple(test for test in unit.tests if any(line.startswith(f"{test} - ") for line in told))
        or unit.tests
    )


def carry_out(unit: Unit, until: float) -> tuple[str, Counter[str] | None]:
    """(what pytest printed, its counts); the counts are None when the time was over before it ended."""
    command = [*PYTEST, "-rfEs", "--durations=5", *unit.tests]
    child = subprocess.Popen(
        command, cwd=TREE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True
    )  # fmt: skip
    try:
        output, _ = child.communicate(
            timeout=None if math.isinf(until) else max(1.0, until - time.monotonic())
        )
    except subprocess.TimeoutExpired:
        # The lab's own watchdog removes its hosts.
        os.killpg(child.pid, signal.SIGKILL)
        return child.communicate()[0], None
    last = "".join(output.splitlines()[-1:])
    counts = Counter(
        {word.rstrip("s") if word == "errors" else word: int(n) for n, word in re.findall(r"(\d+) (\w+)", last) if word in WORDS}
    )  # fmt: skip
    if child.returncode and not counts["failed"] and not counts["error"]:
        counts["error"] += 1
    return output, counts


def units(paths: list[str]) -> list[Unit]:
    told = subprocess.run(
        [*PYTEST, "--collect-only", "-q", "-o", "addopts=", *paths], cwd=TREE, capture_output=True, text=True, check=False
    )  # fmt: skip
    files: dict[str, list[str]] = defaultdict(list)
    for line in told.stdout.splitlines():
        if "::" in line:
            files[line.partition("::")[0]].append(line)
    if not files:
        sys.exit(told.stdout + told.stderr + "no scenario was found")
    made: dict[str, list[str]] = defaultdict(list)
    for file, tests in files.items():
        for test in tests:
            found = re.search(r"\[(.*)\]$", test)
            part = found[1].partition(":")[0] if found and len(tests) > LONG else ""
            made[f"{file}[{part}]" if part else file].append(test)
    first = {name: at - len(FIRST) for at, name in enumerate(FIRST)} | dict.fromkeys(LAST, 1)
    order = sorted(made.items(), key=lambda unit: first.get(Path(unit[0].partition("[")[0]).stem, 0))
    return [one for name, tests in order for one in pieces(name, tests)]


def pieces(name: str, tests: list[str]) -> list[Unit]:
    """What one parameter brings together, in pieces that are not long either."""
    if "[" not in name or len(tests) <= PIECE:
        return [Unit(name, tuple(tests))]
    of = -(-len(tests) // PIECE)
    return [Unit(f"{name} {n + 1} of {of}", tuple(tests[n::of])) for n in range(of)]


def look_at_kinds(file: Path | None) -> list[str]:
    """Say which kinds of host work here; returns those that should be there and are not, with what is missing."""
    sys.path.insert(0, str(TREE / "src"))
    from wardkeep.lab import all_kinds

    wanted = [line.partition("#")[0].strip() for line in file.read_text().splitlines()] if file else []
    kinds = {kind.name: kind for kind in all_kinds()}
    if unknown := sorted({name for name in wanted if name} - set(kinds)):
        sys.exit(f"{file}: there is no kind of host `{unknown[0]}`; there are {', '.join(kinds)}")
    faults = []
    for kind in kinds.values():
        print(
            f"kind {kind.name}: {'works here' if not kind.why_not else 'does not work here: ' + kind.why_not}"
        )
        if kind.name in wanted and kind.packages:
            faults.append(f"{kind.name}: needs the Debian packages {' '.join(kind.packages)}")
    return faults


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--workers", type=int, default=min(3, os.cpu_count() or 1), help="how many run side by side"
    )
    parser.add_argument(
        "--minutes", type=float, default=0, help="what has not ended by then is not run; 0: no end"
    )
    parser.add_argument("--kinds", type=Path, help="the kinds of host that should be there")
    parser.add_argument(
        "--again", action="store_true", help="run what failed once more at the end, alone, and say so"
    )
    parser.add_argument("paths", nargs="*", default=["tests"])
    asked = parser.parse_args(words)
    began = time.monotonic()
    faults = look_at_kinds(asked.kinds)
    for fault in faults:
        print(f"a kind of host that should be there is not: {fault}")
    end = began + asked.minutes * 60 if asked.minutes else float("inf")
    spare = asked.minutes * 60 * SPARE if asked.again else 0
    run = Run(end - spare, end if asked.again else 0)
    with ThreadPoolExecutor(asked.workers) as pool:
        list(pool.map(run.take, units(asked.paths)))
    run.take_again()
    for why, number in sorted(run.skipped.items()):
        print(f"skipped: {number} × {why}")
    for name in run.unsteady:
        print(f"unsteady: {name} failed, and passed when it was run again alone")
    for name in run.not_run:
        print(f"not run for want of time: {name}")
    print(
        f"scenarios: {summed(run.counts)} in {time.monotonic() - began:.0f} s with {asked.workers} side by side"
    )
    broken = run.counts["failed"] or run.counts["error"]
    nothing = not run.counts["passed"] and not run.counts["skipped"] and not run.counts["not run"]
    return 1 if faults or broken or nothing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
