"""One concrete packet through a program, step by step, as the kernel does it: slow, plain, and the engine's judge in tests.

It shares nothing with the engine but the words of `dimensions` and `program`, and in which order base chains run. Where a condition is unknown, or a value is
rewritten to one of several, it takes every way there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from wardkeep.packets.dimensions import ABSENT, ANY, DESTINATION, DIMENSIONS, SOURCE, Row, Values, holds
from wardkeep.packets.order import (
    CONNTRACK,
    DEFRAGMENT,
    PATHS,
    base_chains,
    rewritten,
    tells_fragments,
    uses_conntrack,
)
from wardkeep.packets.program import (
    Assign,
    Branches,
    Chain,
    Decision,
    Effect,
    Goto,
    Jump,
    Match,
    Nat,
    NoTrack,
    Part,
    Program,
    Rule,
    Unknown,
    Verdict,
)

# Dimension → value, with "family" and "route"; what is left out is 0, or "" for a name, or ABSENT.
Packet: TypeAlias = Mapping[str, int | str]


@dataclass(frozen=True)
class Way:
    """One way a packet can take: its fate ("accept", "drop", "reject", "queue" is both of the first two, "gone": a fragment
    that was put together) and the rules it matched."""

    fate: str
    matched: frozenset[str]


@dataclass(frozen=True)
class _State:
    now: tuple[tuple[str, int | str], ...]  # the packet as it is now, sorted
    matched: frozenset[str]

    def get(self, name: str) -> int | str:
        return dict(self.now)[name]

    def with_value(self, name: str, value: int | str) -> _State:
        return _State(tuple(sorted({**dict(self.now), name: value}.items())), self.matched)

    def having(self, rule: str) -> _State:
        return _State(self.now, self.matched | {rule})


def ways(
    program: Program, packet: Packet, domain: Mapping[str, tuple[int | str, ...]] | None = None
) -> set[Way]:
    """Every way the packet can take through the layer "ip".

    `domain` lists the values a rewritten dimension can become (default: the end points of the ranges given).
    """
    return _Run(program, packet, domain or {}).all()


class _Run:
    def __init__(self, program: Program, packet: Packet, domain: Mapping[str, tuple[int | str, ...]]) -> None:
        self.chains = {chain.id: chain for chain in program.chains}
        self.program, self.packet, self.domain = program, dict(packet), domain
        self.tracked = uses_conntrack(program)
        self.rewritten = rewritten(program)

    def all(self) -> set[Way]:
        start: dict[str, int | str] = {
            name: "" if d.shape == "name" else ABSENT.get(name, 0) for name, d in DIMENSIONS.items()
        }
        start.update(self.packet)
        if not tells_fragments(self.program):
            start["fragment"] = 0
        start["in"] = "" if start["route"] == "output" else start["in"]
        # Not dimensions: what conntrack will say, what routing will say, and whether a rule forbade to track.
        start.update(true_state=start["state"], true_out=start["out"], untracked=0, raw=0)
        state = _State(tuple(sorted(start.items())), frozenset())
        return set(self.hooks(list(PATHS["ip"][str(start["route"])]), state))

    def hooks(self, left: list[str], state: _State) -> Iterator[Way]:
        if not left:
            gone = self.tracked and state.get("fragment")
            yield Way("gone" if gone else "accept", state.matched)
            return
        entered = base_chains(self.program, left[0], state.get("family"))
        yield from self.bases(left[0], entered, 0, state, left[1:])

    def bases(
        self, hook: str, chains: list[Chain], at: int, state: _State, later: list[str]
    ) -> Iterator[Way]:
        """The base chains of one hook from number `at`, then the hooks of `later`."""
        if at == len(chains):
            yield from self.hooks(later, state)
            return
        chain = chains[at]
        assert chain.entry
        early = hook in ("prerouting", "output")
        if self.tracked and state.get("fragment") and not (early and chain.entry.priority <= DEFRAGMENT):
            yield Way("gone", state.matched)
            return
        raw = self.tracked and early and chain.entry.kind != "nat" and chain.entry.priority < CONNTRACK
        seen = 4 if state.get("untracked") else 0 if raw else state.get("true_state")
        state = state.with_value("state", seen).with_value("raw", int(raw))
        state = state.with_value("out", "" if hook in ("prerouting", "input") else state.get("true_out"))
        nat = chain.entry.kind == "nat"
        outcomes: set[tuple[str, _State]] = set()
        if not nat or seen in (2, 3):
            outcomes |= set(self.chain(chain, 0, state, True))
        if nat and seen != 3:
            outcomes.add(("accept", state))
        for fate, after in outcomes:
            following = at + 1
            if fate == "nat":
                while following < len(chains) and (e := chains[following].entry) and e.kind == "nat":
                    following += 1
            if (chain.entry.policy if fate == "policy" else fate) in ("drop", "reject"):
                yield Way(chain.entry.policy if fate == "policy" else fate, after.matched)
                continue
            if fate == "queue":
                yield Way("drop", after.matched)
            afters = [after]
            is_last = following == len(chains) or ((e := chains[following].entry) and e.kind != "nat")
            if nat and is_last and seen in (1, 2):
                # What the connection's first packet was given is done to the others, and undone to the answers.
                for name in DESTINATION if early else SOURCE:
                    if name in self.rewritten:
                        afters = [
                            a.with_value(name, v) for a in afters for v in self.choices(name, ANY[name])
                        ]
            for one in afters:
                yield from self.bases(hook, chains, following, one, later)

    def chain(self, chain: Chain, at: int, state: _State, base: bool) -> Iterator[tuple[str, _State]]:
        """Outcomes of a chain from rule `at`: a fate of the base chain, "policy" for its end, "nat", or "back"."""
        if at == len(chain.rules):
            yield ("policy" if base else "back", state)
            return
        for outcome, after in set(self.body(chain.rules[at], chain.rules[at].body, state)):
            if outcome == "next":
                yield from self.chain(chain, at + 1, after, base)
            elif outcome == "return":
                yield ("policy" if base else "back", after)
            elif outcome.startswith("jump "):
                for inner, then in set(self.chain(self.chains[outcome[5:]], 0, after, False)):
                    if inner == "back":
                        yield from self.chain(chain, at + 1, then, base)
                    else:
                        yield inner, then
            elif outcome.startswith("goto "):
                for inner, then in set(self.chain(self.chains[outcome[5:]], 0, after, False)):
                    yield ("policy" if base else "back") if inner == "back" else inner, then
            else:
                yield outcome, after

    def body(
        self, rule: Rule, parts: tuple[Part, ...], state: _State, missed: bool = False
    ) -> Iterator[tuple[str, _State]]:
        """Outcomes of the parts that are left: next, return, jump X, goto X, or a fate. `missed`: a map had no row."""
        if not parts:
            yield "next", state if missed else state.having(rule.id)
            return
        part, rest = parts[0], parts[1:]
        if isinstance(part, Match):
            if self.matches(part, state):
                yield from self.body(rule, rest, state, missed)
            else:
                yield "next", state
        elif isinstance(part, Unknown):
            if self.any_row(part.may, state):
                yield from self.body(rule, rest, state, missed)
            if not self.any_row(part.must, state):
                yield "next", state
        elif isinstance(part, Effect):
            yield from self.body(rule, rest, state, missed)
        elif isinstance(part, Verdict | Jump | Goto):
            yield self.decided(part), state.having(rule.id)
        elif isinstance(part, Branches):
            for row, decision in part.branches:
                if self.row(row, state):
                    yield self.decided(decision), state.having(rule.id)
                    return
            yield from self.body(rule, rest, state, True)
        elif isinstance(part, Nat):
            afters = [state.having(rule.id)]
            for name, values in part.to.items():
                family = DIMENSIONS[name].needs.get("family")
                if family and not holds(family, state.get("family")):
                    continue
                afters = [a.with_value(name, v) for a in afters for v in self.choices(name, values)]
            for after in afters:
                yield "nat", after
        elif isinstance(part, NoTrack):
            if state.get("raw"):  # later the packet has its connection already, and notrack does nothing
                state = state.with_value("state", 4).with_value("untracked", 1)
            yield from self.body(rule, rest, state, missed)
        else:
            yield from self.assigned(rule, part, rest, state, missed)

    def assigned(
        self, rule: Rule, part: Assign, rest: tuple[Part, ...], state: _State, missed: bool
    ) -> Iterator[tuple[str, _State]]:
        if part.values is None:
            old = state.get(part.source or part.dimension)
            assert isinstance(old, int)
            news: tuple[int | str, ...] = ((old & part.keep) ^ part.xor,)
        else:
            news = self.choices(part.dimension, part.values)
        for new in news:
            yield from self.body(rule, rest, state.with_value(part.dimension, new), missed)

    def choices(self, name: str, values: Values) -> tuple[int | str, ...]:
        if name in self.domain:
            return tuple(v for v in self.domain[name] if holds(values, v))
        ends = {e for v in values if isinstance(v, tuple) for e in v}
        return tuple(sorted(ends)) or tuple(v for v in values if isinstance(v, str)) or (0,)

    @staticmethod
    def decided(decision: Decision) -> str:
        if isinstance(decision, Jump):
            return f"jump {decision.chain}"
        if isinstance(decision, Goto):
            return f"goto {decision.chain}"
        return "next" if decision.kind == "continue" else decision.kind

    def matches(self, match: Match, state: _State) -> bool:
        needed = [] if not match.negated or match.absent_ok else [name for row in match.rows for name in row]
        if not all(self.exists(name, state) for name in needed):
            return False
        return self.any_row(match.rows, state) != match.negated

    def any_row(self, rows: tuple[Row, ...], state: _State) -> bool:
        return any(self.row(row, state) for row in rows)

    def row(self, row: Row, state: _State) -> bool:
        return all(self.exists(n, state) and holds(v, state.get(n)) for n, v in row.items())

    def exists(self, name: str, state: _State) -> bool:
        return all(holds(v, state.get(n)) for n, v in DIMENSIONS[name].needs.items())
