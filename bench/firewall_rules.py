"""Rule sets to measure with: of the characters known from ClassBench (Taylor and Turner, 2007), with anomalies put in.

`acl`: access lists of routers, mostly exact services between prefixes. `fw`: firewalls, many wildcards and port ranges that
cross. `ipc`: chains of hosts, in between. Every set tells which of its rules are dead by construction, and which of those are
hidden only by several rules together.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from wardkeep.packets.dimensions import Row, Values
from wardkeep.packets.program import Chain, Entry, Match, Program, Rule, Verdict

# Share of rules with any source, any destination; lengths of the other prefixes; shares of port kinds (any, exact, range);
# shares of protocols (tcp, udp, icmp, any).
CHARACTERS = {
    "acl": (0.04, 0.03, (16, 24, 28, 30, 32, 32, 32), (0.25, 0.70, 0.05), (0.75, 0.15, 0.05, 0.05)),
    "fw": (0.35, 0.18, (8, 16, 20, 24, 24, 28, 32, 32), (0.35, 0.35, 0.30), (0.60, 0.25, 0.05, 0.10)),
    "ipc": (0.08, 0.10, (16, 24, 24, 28, 32, 32), (0.40, 0.50, 0.10), (0.55, 0.25, 0.10, 0.10)),
}
SERVICES = (
    20,
    21,
    22,
    25,
    53,
    80,
    110,
    111,
    123,
    135,
    139,
    143,
    161,
    389,
    443,
    445,
    514,
    636,
    993,
    1433,
    1521,
    3306,
    3389,
    5432,
    8080,
)
RANGES = (
    (1024, 65535),
    (0, 1023),
    (6000, 6063),
    (137, 139),
    (33434, 33600),
    (8000, 8999),
    (5900, 5999),
    (49152, 65535),
)
PLAIN_SHARE = 0.01  # of rules that are put in as each kind of anomaly


@dataclass(frozen=True)
class RuleSet:
    """`program` has one base chain; `dead` are ids of rules dead by construction, `by_union` those no single rule hides."""

    program: Program
    dead: frozenset[str]
    by_union: frozenset[str]


Fields = tuple[
    tuple[int, int], tuple[int, int], int, tuple[int, int], str
]  # source, destination, protocol, ports, verdict


def make(kind: str, count: int, seed: int = 1) -> RuleSet:
    """`count` rules of one character."""
    rng = random.Random(f"{kind}{count}{seed}")
    any_source, any_target, lengths, ports, protocols = CHARACTERS[kind]
    # Addresses cluster: a few hundred networks for ten thousand rules.
    networks = [rng.randrange(1 << 24) << 8 for _ in range(max(8, count // 40))]

    def prefix(wild: float) -> tuple[int, int]:
        if rng.random() < wild:
            return (0, 2**32 - 1)
        length = rng.choice(lengths)
        size = 1 << (32 - length)
        base = (rng.choice(networks) + rng.randrange(256)) & ~(size - 1) & 0xFFFFFFFF
        return (base, base + size - 1)

    def fields() -> Fields:
        protocol = rng.choices((6, 17, 1, 0), protocols)[0]
        span = (0, 65535)
        if protocol in (6, 17):
            how = rng.choices(("any", "exact", "range"), ports)[0]
            if how == "exact":
                port = rng.choice(SERVICES) if rng.random() < 0.7 else rng.randrange(65536)
                span = (port, port)
            elif how == "range":
                low = rng.randrange(60000)
                span = rng.choice(RANGES) if rng.random() < 0.6 else (low, low + rng.randrange(1, 5000))
        source, target = prefix(any_source), prefix(any_target)
        while width(source) + width(target) > 40 or (
            width(source) + width(target) > 32 and span == (0, 65535)
        ):
            # Rules between two very wide ends would hide half of the set; real sets have a handful, at their end.
            source, target = prefix(any_source), prefix(any_target)
        return source, target, protocol, span, rng.choice(("accept", "accept", "drop"))

    rows: list[tuple[Fields, str]] = []
    while len(rows) < count:
        one = fields()
        roll = rng.random()
        if roll < PLAIN_SHARE and rows:
            copied = rng.choice(rows)[0]
            rows.append(((*copied[:4], rng.choice(("accept", "drop"))), "hidden"))
        elif roll < 2 * PLAIN_SHARE and one[0][1] > one[0][0]:
            (low, high), rest = one[0], one[1:]
            middle = (low + high) // 2
            rows += [(((low, middle), *rest), ""), (((middle + 1, high), *rest), ""), (one, "union")]
        else:
            rows.append((one, ""))
    rows = rows[:count]
    rules = tuple(rule(n, one) for n, (one, _) in enumerate(rows, 1))
    chain = Chain("filter FORWARD", rules, Entry("forward", (4,), 0, "drop"))
    union = frozenset(f"r{n}" for n, (_, how) in enumerate(rows, 1) if how == "union")
    hidden = frozenset(f"r{n}" for n, (_, how) in enumerate(rows, 1) if how == "hidden")
    return RuleSet(Program((chain,), f"{kind}-{count}"), union | hidden, union)


def width(span: tuple[int, int]) -> int:
    """How many bits of an address a prefix leaves open."""
    return (span[1] - span[0]).bit_length()


def rule(number: int, one: Fields) -> Rule:
    source, target, protocol, ports, verdict = one
    row: dict[str, Values] = {}
    if source != (0, 2**32 - 1):
        row["src4"] = (source,)
    if target != (0, 2**32 - 1):
        row["dst4"] = (target,)
    if protocol:
        row["proto"] = ((protocol, protocol),)
        if protocol != 1 and ports != (0, 65535):
            row["dport"] = (ports,)
    whole: Row = row
    return Rule(f"r{number}", (Match((whole,)), Verdict(verdict)), number)  # type: ignore[arg-type]
