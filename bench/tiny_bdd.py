"""A small binary decision diagram, as an independent judge of rule sets: which rules are hidden by those before them.

The way analysers with BDDs go: unmatched := unmatched minus rule, one rule after the other. It shares nothing with the engine, and
it shows why the product has none: on sets with many crossing wildcards it explodes.
"""

from __future__ import annotations

from collections.abc import Iterable

from wardkeep.packets.program import Match, Program

WIDTHS = {"proto": 8, "dst4": 32, "dport": 16, "src4": 32}  # in the order of the variables, highest bit first
PORTS = (6, 17, 33, 132, 136)


class TooLarge(Exception):
    """The diagram passed its limit of nodes."""


class Diagram:
    """Nodes are numbers; 0 is false, 1 is true."""

    def __init__(self, most: int = 5_000_000) -> None:
        self.nodes: list[tuple[int, int, int]] = [(999, 0, 0), (999, 1, 1)]
        self.known: dict[tuple[int, int, int], int] = {}
        self.most = most

    def node(self, level: int, low: int, high: int) -> int:
        if low == high:
            return low
        key = (level, low, high)
        found = self.known.get(key)
        if found is None:
            if len(self.nodes) >= self.most:
                raise TooLarge
            found = self.known[key] = len(self.nodes)
            self.nodes.append(key)
        return found

    def both(self, a: int, b: int, memo: dict[tuple[int, int], int]) -> int:
        if not a or not b:
            return 0
        if a == 1 or b == 1 or a == b:
            return b if a == 1 else a
        key = (a, b) if a < b else (b, a)
        found = memo.get(key)
        if found is None:
            level = min(self.nodes[a][0], self.nodes[b][0])
            a0, a1 = self.nodes[a][1:] if self.nodes[a][0] == level else (a, a)
            b0, b1 = self.nodes[b][1:] if self.nodes[b][0] == level else (b, b)
            found = memo[key] = self.node(level, self.both(a0, b0, memo), self.both(a1, b1, memo))
        return found

    def inverse(self, a: int, memo: dict[int, int]) -> int:
        if a < 2:
            return 1 - a
        if a not in memo:
            level, low, high = self.nodes[a]
            memo[a] = self.node(level, self.inverse(low, memo), self.inverse(high, memo))
        return memo[a]

    def span(self, first: int, width: int, low: int, high: int) -> int:
        """Numbers of `width` bits, whose highest is variable `first`, from low to high."""
        top = (1 << width) - 1
        if low == 0 and high == top:
            return 1
        if low > high:
            return 0
        half = 1 << (width - 1)
        below = self.span(first + 1, width - 1, low, min(high, half - 1)) if low < half else 0
        above = self.span(first + 1, width - 1, max(low, half) - half, high - half) if high >= half else 0
        return self.node(first, below, above)

    def spans(self, name: str, values: Iterable[object]) -> int:
        first = 0
        for other, width in WIDTHS.items():
            if other == name:
                out = 0
                for low, high in values:  # type: ignore[misc]
                    one = self.span(first, width, low, high)
                    out = self.inverse(self.both(self.inverse(out, {}), self.inverse(one, {}), {}), {})
                return out
            first += width
        raise KeyError(name)


def hidden(program: Program, most: int = 5_000_000) -> set[str]:
    """The rules of the program's one chain that no packet reaches. Raises TooLarge."""
    diagram = Diagram(most)
    left = 1
    out = set()
    ports = diagram.spans("proto", [(p, p) for p in PORTS])
    for rule in program.chains[0].rules:
        box = 1
        for part in rule.body:
            if isinstance(part, Match):
                for name, values in part.rows[0].items():
                    box = diagram.both(box, diagram.spans(name, values), {})
                    if name == "dport":
                        box = diagram.both(box, ports, {})
        if not diagram.both(left, box, {}):
            out.add(rule.id)
        else:
            left = diagram.both(left, diagram.inverse(box, {}), {})
    return out
