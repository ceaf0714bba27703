"""The firewall engine: every rule's verdict, exact, for 1,000 to 100,000 rules. `python -m bench.packets [--quick]`

CPU seconds of one core (the machine may be busy), on rule sets of three characters with anomalies put in (bench/firewall_rules.py):
every rule dead by construction must be found dead. Each in a process of its own, which tells its memory. Then dumps of about 90
chains, and some with much NAT (bench/firewall_nat.py), from the text to the report, and to the service matrix. Beside it, on the sizes they manage, what others do: comparing rules in pairs,
and a decision diagram. Then the kernel judges: one witness frame for each live rule, one counter for each rule.
"""

from __future__ import annotations

import math
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.firewall_dumps import DUMPS, translating
from bench.firewall_kernel import host, in_prerouting, judge
from bench.firewall_nat import DUMPS as OF_NAT
from bench.firewall_rules import RuleSet, make
from bench.tiny_bdd import TooLarge, hidden

from wardkeep.packets.audit import Analysis, analyse
from wardkeep.packets.dimensions import holds
from wardkeep.packets.program import Match, Program
from wardkeep.rulesets.audit.audit import audit
from wardkeep.rulesets.audit.matrix import matrices
from wardkeep.rulesets.files import load

KINDS = ("acl", "fw", "ipc")
LIMITS = {10_000: 1.0, 100_000: 10.0}  # CPU seconds for live and dead with their reasons
MEMORY = 1024  # MB
GROWTH = 1.25  # of the time, as a power of the number of rules, from 10,000 to 100,000
OF_DUMP = 2.0  # CPU seconds to parse, unfold and audit one; and for its service matrix
DUMPED = 6_200  # rules of a dump
TRANSLATED = 1_600  # rules of one that has 200 of DNAT beside them
JUDGED = 50_000  # rules the kernel counts for
NODES = 2_000_000  # of the decision diagram before it is given up


@dataclass(frozen=True)
class Measured:
    made: RuleSet
    seconds: float
    removable: float
    dead: int
    union: int
    missed: int
    told: Analysis


def measure(kind: str, count: int) -> Measured:
    made = make(kind, count)
    began = time.process_time()
    told = analyse(made.program, removable=False)
    seconds = time.process_time() - began
    began = time.process_time()
    analyse(made.program, explained=False)
    removable = time.process_time() - began
    dead = {answer.rule for answer in told.rules if answer.verdict == "dead"}
    union = sum(1 for answer in told.rules if answer.verdict == "dead" and len(answer.cover) > 1)
    undecided = sum(answer.verdict == "undecided" for answer in told.rules)
    return Measured(made, seconds, removable, len(dead), union, len(made.dead - dead) + undecided, told)


@dataclass(frozen=True)
class Figures:
    """What one set took: seconds, and MB at the peak."""

    seconds: float
    removable: float
    dead: int
    union: int
    missed: int
    peak: int


def alone(kind: str, count: int) -> Figures:
    """The same in a process of its own, whose memory is that of this set."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_figures, (kind, count))


def _figures(kind: str, count: int) -> Figures:
    one = measure(kind, count)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return Figures(one.seconds, one.removable, one.dead, one.union, one.missed, peak)


def in_pairs(program: Program) -> set[str]:
    """What comparing each rule with each earlier one finds: those that a single rule hides."""
    rows = []
    for rule in program.chains[0].rules:
        row = dict(next(part.rows[0] for part in rule.body if isinstance(part, Match)))
        rows.append((rule.id, row))
    return {
        name
        for n, (name, row) in enumerate(rows)
        if any(
            all(key in row and _within(row[key], values) for key, values in other.items())
            for _, other in rows[:n]
        )
    }


def _within(inner: tuple, outer: tuple) -> bool:  # type: ignore[type-arg]
    return all(holds(outer, end) for span in inner for end in span)


def main() -> None:
    quick = "--quick" in sys.argv
    print(
        f"{'set':>12} {'live+dead':>10} {'µs/rule':>8} {'+removable':>10} {'dead':>6} {'by union':>8} {'missed':>6} {'peak':>8}"
    )
    told: dict[int, dict[str, Figures]] = {}
    for count in (1_000, 10_000) if quick else (1_000, 10_000, 100_000):
        for kind in KINDS:
            one = told.setdefault(count, {})[kind] = alone(kind, count)
            print(
                f"{kind:>5} {count:>6} {one.seconds:>8.2f} s {one.seconds / count * 1e6:>8.1f} {one.removable:>8.2f} s"
                f" {one.dead:>6} {one.union:>8} {one.missed:>6} {one.peak:>5} MB",
                flush=True,
            )
    missed = sum(one.missed for sets in told.values() for one in sets.values())
    slowest = {count: max(one.seconds for one in sets.values()) for count, sets in told.items()}
    whole = {kind: dump(kind, make_dump(DUMPED)) for kind, make_dump in DUMPS.items()}
    translated, _ = dump("translating", translating(TRANSLATED))
    natted = {kind: dump(kind, make_dump().text) for kind, make_dump in OF_NAT.items()}
    peak = max(one.peak for sets in told.values() for one in sets.values())
    beside = yardsticks()
    rules, wrong = kernel(2_000 if quick else JUDGED)
    goals = [
        (
            f"{count:,} rules in {limit:.0f} s of one core",
            slowest[count] <= limit,
            f"{slowest[count]:.2f} s; beside {beside}",
        )
        for count, limit in LIMITS.items()
        if count in slowest
    ]
    goals += [
        (
            f"a dump of {DUMPED:,} rules, {kind}, audited in {OF_DUMP:.0f} s",
            seconds <= OF_DUMP,
            f"{seconds:.2f} s",
        )
        for kind, (seconds, _) in whole.items()
    ]
    goals.append(
        (
            f"a dump of {TRANSLATED:,} rules with 200 of DNAT audited in {OF_DUMP:.0f} s",
            translated <= OF_DUMP,
            f"{translated:.2f} s",
        )
    )
    goals += [
        (
            f"a dump with much NAT, {kind}, audited in {OF_DUMP:.0f} s, its matrix too",
            max(one) <= OF_DUMP,
            f"{one[0]:.2f} s and {one[1]:.2f} s",
        )
        for kind, one in natted.items()
    ]
    goals += [
        (
            f"its service matrix, {kind}, in {OF_DUMP:.0f} s",
            seconds <= OF_DUMP,
            f"{seconds:.2f} s; beside fffuu 25 to 46 s for the matrix of such dumps",
        )
        for kind, (_, seconds) in whole.items()
    ]
    goals += [
        (
            f"{kind}: time grows with a power of at most {GROWTH} of the rules",
            power <= GROWTH,
            f"{power:.2f} from 10,000 to 100,000, memory {few.peak} to {many.peak} MB",
        )
        for kind in KINDS
        if 100_000 in told
        and (few := told[10_000][kind])
        and (many := told[100_000][kind])
        and (power := math.log10(many.seconds / few.seconds))
    ]
    goals += [
        ("at most 1 GB", peak <= MEMORY, f"{peak} MB"),
        ("every rule that is dead by construction is found", not missed, f"{missed} missed"),
        (
            "the kernel counts as foretold",
            not wrong and rules > 0,
            f"{wrong} of {rules:,} counters otherwise",
        ),
    ]
    for goal, kept, seen in goals:
        print(f"{goal}: {'kept' if kept else 'NOT kept'} ({seen})")
    sys.exit(not all(kept for _, kept, _ in goals))


def dump(kind: str, text: str) -> tuple[float, float]:
    """CPU seconds from the text of a dump to its report, and to its service matrix."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "iptables-save"
        path.write_text(text)
        began = time.process_time()
        (rule_set,) = load([path])
        read = time.process_time() - began
        report = audit(rule_set)
        seconds = time.process_time() - began
    began = time.process_time()
    pictures = len(matrices(rule_set))
    matrix = read + time.process_time() - began
    chains = len(rule_set.program.chains)
    told = ", ".join(f"{count} {verdict}" for verdict, count in report.counts.items() if count)
    print(
        f"dump {kind}: {len(report.rules)} rules in {chains} chains, read in {read:.2f} s, all in {seconds:.2f} s: {told};"
        f" matrix ({pictures} pictures) in {matrix:.2f} s",
        flush=True,
    )
    return seconds, matrix


def yardsticks() -> str:
    """The same question asked the usual ways, on 1,000 rules."""
    said = []
    for kind in KINDS:
        one = measure(kind, 1_000)
        began = time.process_time()
        paired = in_pairs(one.made.program)
        seconds = time.process_time() - began
        print(
            f"{kind} 1000, in pairs: {seconds:.2f} s, finds {len(paired)} of {one.dead} dead; ours {one.seconds:.2f} s"
        )
        said.append(f"{kind} 1,000 in pairs {seconds:.1f} s with {len(paired)} of {one.dead} found")
        began = time.process_time()
        try:
            same = hidden(one.made.program, NODES) == {a.rule for a in one.told.rules if a.verdict == "dead"}
            what = "the same verdicts" if same else "OTHER verdicts"
        except TooLarge:
            what = f"given up at {NODES:,} nodes"
        print(f"{kind} 1000, decision diagram: {time.process_time() - began:.2f} s, {what}")
    return ", ".join(said)


def kernel(wanted: int) -> tuple[int, int]:
    """Rules whose counters were read, at least so many, and how many counted otherwise than the engine foretold."""
    rules = mismatches = 0
    seed = 0
    began = time.monotonic()
    try:
        with host() as pair:
            while rules < wanted:
                seed += 1
                for kind in KINDS:
                    judged = judge(pair, in_prerouting(make(kind, min(9_000, wanted), seed).program))
                    rules += judged.live + judged.dead
                    mismatches += len(judged.mismatches)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"kernel: not asked ({error})")
        return 0, 0
    print(f"kernel: {rules} rules, {mismatches} counters not as foretold, {time.monotonic() - began:.0f} s")
    return rules, mismatches


if __name__ == "__main__":
    main()
