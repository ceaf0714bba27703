"""Run the scenarios on live hosts side by side: `python scripts/e2e.py [WORKERS] [PATH…]`. Exit status 1 if one fails.

Each worker is a pytest of its own with a lab of its own. What is printed: every unit with its time as it ends, the whole
output of those that fail or skip, and the sums. A file is one unit; a long one is split by the parameter of its tests.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TREE = Path(__file__).parents[1]
LONG = 8  # tests; a file with more is split
WORDS = ("failed", "error", "errors", "passed", "skipped")
# Begun first: they build the machines' images and boot them, which is slow and mostly one processor's work.
SLOW_FIRST = ("test_lab_machines", "test_lab_images", "test_lab_contract", "test_firewall_scenario")


def pytest(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-m", "e2e", "-p", "no:cacheprovider", *words]
    return subprocess.run(command, cwd=TREE, capture_output=True, text=True, errors="replace", check=False)


def units(paths: list[str]) -> list[tuple[str, list[str]]]:
    """(name, test ids) of what is run together."""
    told = pytest("--collect-only", "-q", "-o", "addopts=", *paths)
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
            made[f"{file}[{found[1]}]" if found and len(tests) > LONG else file].append(test)
    first = {name: at for at, name in enumerate(SLOW_FIRST)}
    return sorted(made.items(), key=lambda unit: first.get(Path(unit[0].partition("[")[0]).stem, len(first)))


def run(unit: tuple[str, list[str]]) -> Counter[str]:
    """Run one unit and say how it ended."""
    name, tests = unit
    began = time.monotonic()
    done = pytest("-rs", "--durations=5", *tests)
    counts = Counter({word.rstrip("s") if word == "errors" else word: int(number)
                      for number, word in re.findall(r"(\d+) (\w+)", "".join(done.stdout.splitlines()[-1:])) if word in WORDS})  # fmt: skip
    if done.returncode and not counts["failed"] and not counts["error"]:
        counts["error"] += 1
    sums = ", ".join(f"{number} {word}" for word, number in sorted(counts.items()))
    text = f"{time.monotonic() - began:6.0f} s  {name}: {sums}\n"
    if done.returncode or counts["skipped"]:
        text += done.stdout + done.stderr
    sys.stdout.write(text)
    sys.stdout.flush()
    return counts


def main(words: list[str]) -> int:
    workers = int(words.pop(0)) if words and words[0].isdigit() else min(3, os.cpu_count() or 1)
    began = time.monotonic()
    with ThreadPoolExecutor(workers) as pool:
        total = sum(pool.map(run, units(words or ["tests"])), Counter[str]())
    sums = ", ".join(f"{number} {word}" for word, number in sorted(total.items()))
    print(f"scenarios: {sums} in {time.monotonic() - began:.0f} s with {workers} side by side")
    return 1 if total["failed"] or total["error"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
