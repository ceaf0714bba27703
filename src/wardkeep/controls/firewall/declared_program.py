"""The compiled policy as a program of the packet engine, and what differs between it and the table in the kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from wardkeep.controls.firewall.allowed import Opening, Permit
from wardkeep.controls.firewall.own_table import (
    TABLE,
    by_family,
    chain_of,
    counter_of,
    limited,
    noted_protocols,
    noting,
    rule_lines,
    steps,
)
from wardkeep.controls.firewall.program import Network
from wardkeep.facts.nftables import Nftables
from wardkeep.packets.dimensions import Row, Values, states
from wardkeep.packets.program import (
    Branches,
    Chain,
    Effect,
    Entry,
    Goto,
    Match,
    Part,
    Program,
    Rule,
    Unknown,
    Verdict,
)
from wardkeep.rulesets.nft import objects as nft
from wardkeep.rulesets.nft.reader import read_nft

FAMILY, NAME = TABLE.split()
ACCEPT, DROP = Verdict("accept"), Verdict("drop")
PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
ICMP = (3, 8, 11, 12)
ICMP6 = (1, 2, 3, 4, 128, 130, 134, 135, 136)
# The one hook and the one place that our table has.
ENTRY = Entry("input", (4, 6), -10, "drop")

Body = tuple[Part, ...]


def declared_program(permit: Permit) -> Program:
    """What the kernel should have: the table of `own_table.ruleset` and nothing beside it."""
    return _declared(permit, older=False)


def older_program(permit: Permit) -> Program:
    """The same policy as Wardkeep compiled it until it told TCP from UDP in its record of who came. Hosts have such tables
    until somebody applies a plan; what they let in is the same, but for limits, which were everybody's of a port."""
    return _declared(permit, older=True)


def _declared(permit: Permit, older: bool) -> Program:
    rules = chain_of(permit)
    names = {p: f"via_{p}" if older else noting(p) for p in noted_protocols(permit)}
    chains = [_chain(name, [*_recorded(p, older), (ACCEPT,)]) for p, name in names.items()]
    chains.append(_chain(rules, _bodies(permit, older), rule_lines(permit, older)))
    chains.append(replace(_chain("input", [(Goto(f"{TABLE} {rules}"),)]), entry=ENTRY))
    return Program(tuple(chains), "the declared policy")


def kernel_program(rules: Nftables) -> Program | None:
    """Our own table as it is in the kernel; None where there is none. Raises NotUnderstood."""
    return _read(rules, TABLE, _ours) if rules.has_table(FAMILY, NAME) else None


def whole_program(rules: Nftables) -> Program:
    """All tables of the kernel. Raises NotUnderstood."""
    return _read(rules, "the host's rules", lambda family, table: True)


def _read(rules: Nftables, name: str, wanted: Callable[[str, str], bool]) -> Program:
    found = nft.Objects(
        tuple(nft.Table(t.family, t.name, t.flags) for t in rules.tables if wanted(t.family, t.name)),
        tuple(
            nft.Chain(c.family, c.table, c.name, c.hook, c.kind, c.priority, c.policy)
            for c in rules.chains
            if wanted(c.family, c.table)
        ),
        tuple(
            nft.Rule(r.family, r.table, r.chain, r.handle, r.expr, r.comment)
            for r in rules.rules
            if wanted(r.family, r.table)
        ),
        tuple(
            nft.Collection(c.family, c.table, c.name, c.is_map, c.elements, c.changes)
            for c in rules.collections
            if wanted(c.family, c.table)
        ),
    )
    chains, notes = read_nft(found, name)
    return Program(tuple(chains), name, notes=tuple(notes))


@dataclass(frozen=True, slots=True)
class Drift:
    """What is in the kernel and not declared (`added`), or declared and not in the kernel (`missing`), as rules in words."""

    added: tuple[str, ...]
    missing: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.added) + len(self.missing)

    def __str__(self) -> str:
        told = [f"added: {_few(self.added)}"] if self.added else []
        return "; ".join(told + ([f"missing: {_few(self.missing)}"] if self.missing else []))


def drift(declared: Program, kernel: Program) -> Drift:
    """Rule by rule, in their order. The chain of the rules may have any name; chains that no rule leads to are no drift.

    Not seen: how high a rate is, which nft 1.0.6 does not tell in its JSON.
    """
    added: list[str] = []
    missing: list[str] = []
    reached = {chain.id: chain for chain in kernel.chains}
    bases = [chain for chain in kernel.chains if chain.entry]
    wanted = next(chain for chain in declared.chains if chain.entry)
    base = next((chain for chain in bases if chain.id == wanted.id), None)
    added += [f"the base chain {chain.id}" for chain in bases if chain is not base]
    if base is None:
        return Drift(tuple(added), (f"the base chain {wanted.id}",))
    if base.entry != wanted.entry:
        added.append(f"a base chain of another place or policy ({base.entry and base.entry.policy})")
    target = _only_goto(base)
    if target is None or target not in reached:
        return Drift(
            (*added, *(rule.text for rule in base.rules)), ("one rule that goes to the policy's rules",)
        )
    pairs = [(_rules_of(declared, _only_goto(wanted) or ""), reached[target].rules)]
    for chain in declared.chains:
        if chain.id.startswith((f"{TABLE} note_", f"{TABLE} via_")):
            pairs.append((chain.rules, reached[chain.id].rules if chain.id in reached else ()))
    for ours, theirs in pairs:
        more, less = _unlike(ours, theirs)
        added += more
        missing += less
    return Drift(tuple(added), tuple(missing))


def _unlike(ours: Iterable[Rule], theirs: Iterable[Rule]) -> tuple[list[str], list[str]]:
    left, right = list(ours), list(theirs)
    one, other = [_key(rule.body) for rule in left], [_key(rule.body) for rule in right]
    more: list[str] = []
    less: list[str] = []
    for tag, a, b, c, d in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if tag != "equal":
            less += [rule.text for rule in left[a:b]]
            more += [rule.text for rule in right[c:d]]
    return more, less


def _key(body: Body) -> str:
    """A body for comparison: the order of a set's values says nothing, nor does how much was counted."""
    told = []
    for part in body:
        if isinstance(part, Match):
            rows = [{name: _joined(values) for name, values in sorted(row.items())} for row in part.rows]
            told.append(f"match {part.negated} {rows}")
        elif isinstance(part, Branches):
            split = sorted(
                f"{name}={value}:{d}"
                for row, d in part.branches
                for name, values in row.items()
                for value in values
            )
            told.append(f"map {split}")
        else:
            told.append(str(part))
    return "|".join(told)


def _joined(values: Values) -> list[str]:
    """The kernel may tell two neighbouring ranges as one."""
    spans = sorted(value for value in values if isinstance(value, tuple))
    made: list[tuple[int, int]] = []
    for low, high in spans:
        if made and low <= made[-1][1] + 1:
            made[-1] = (made[-1][0], max(high, made[-1][1]))
        else:
            made.append((low, high))
    return [*map(str, made), *sorted(str(value) for value in values if not isinstance(value, tuple))]


def _only_goto(chain: Chain) -> str | None:
    bodies = [rule.body for rule in chain.rules]
    if len(bodies) == 1 and len(bodies[0]) == 1 and isinstance(bodies[0][0], Goto):
        return bodies[0][0].chain
    return None


def _rules_of(program: Program, name: str) -> tuple[Rule, ...]:
    return program.chain(name).rules


def _ours(family: str, table: str) -> bool:
    return (family, table) == (FAMILY, NAME)


def _few(texts: tuple[str, ...]) -> str:
    shown = ", ".join(f"`{text}`" for text in texts[:3])
    return shown + (f" and {len(texts) - 3} more" if len(texts) > 3 else "")


def _chain(name: str, bodies: list[Body], texts: list[str] | None = None) -> Chain:
    known = f"{TABLE} {name}"
    told = texts or [f"rule {n} of {name}" for n in range(1, len(bodies) + 1)]
    pairs = zip(bodies, told, strict=True)
    return Chain(known, tuple(Rule(f"{known} {n}", body, n, text) for n, (body, text) in enumerate(pairs, 1)))


def _bodies(permit: Permit, older: bool) -> list[Body]:
    made: list[Body] = [(Match(({"in": ("lo",)},)), ACCEPT)]
    for family, name in (("ip", "banned4"), ("ip6", "banned6")):
        may: Row = {"family": ((4, 4),) if family == "ip" else ((6, 6),)}
        made.append((Unknown(f"{family} saddr @{name}", (may,)), Effect('counter name "banned"'), DROP))
    kept = {"state": states("established", "related")}
    made.append((Branches((({"state": states("invalid")}, DROP), (kept, ACCEPT))),))
    made.append((Match((_icmp(4, 1, "icmp_type", ICMP),)), ACCEPT))
    made.append((Match((_icmp(6, 58, "icmp6_type", ICMP6),)), ACCEPT))
    for denial in permit.denials:
        made += [(*source, _ports(denial), DROP) for source in _sources(denial.sources)]
    if older:
        made += [body for opening in permit.openings for body in _opened_before(opening)]
    else:
        made += [body for rate, opening in steps(permit.openings) for body in _opened(rate, opening)]
    if permit.interfaces:
        made.append((Match(({"in": tuple(sorted(permit.interfaces))},)), ACCEPT))
    made += [(*source, ACCEPT) for source in _sources(permit.networks) if source]
    made.append((Effect('counter name "refused"'), DROP))
    return made


def _opened(rate: bool, opening: Opening) -> Iterator[Body]:
    ports, name = _ports(opening), counter_of(opening)
    if rate:
        for networks, version in limited(opening):
            yield (*_source(networks), ports, *_too_fast(name, version))
        return
    counted = Effect(f'counter name "{name}"')
    for source in _sources(opening.sources):
        yield (*source, ports, counted, Goto(f"{TABLE} {noting(opening.protocol)}") if source else ACCEPT)


def _opened_before(opening: Opening) -> Iterator[Body]:
    ports, name = _ports(opening), counter_of(opening)
    if opening.limit:
        for version in (4, 6):
            yield (ports, *_too_fast(name, version))
    counted = Effect(f'counter name "{name}"')
    for source in _sources(opening.sources):
        yield (*source, ports, counted, Goto(f"{TABLE} via_{opening.protocol}") if source else ACCEPT)


def _too_fast(name: str, version: int) -> Body:
    text = f"update @{name}_rate{version} {{ {'ip' if version == 4 else 'ip6'} saddr }}"
    return (Effect(text), Unknown(f"{text} (fails when the set is full)"), DROP)


def _recorded(protocol: str, older: bool) -> list[Body]:
    made: list[Body] = []
    for family, version in (("ip", 4), ("ip6", 6)):
        name = f"seen{version}" if older else f"seen{version}_{protocol}"
        text = f"update @{name} {{ {family} saddr . {protocol} dport }}"
        # Nothing behind it decides, so that it is an effect like any other (rulesets/nft/statements.py).
        made.append((Effect(text), Effect(f"{text} (fails when the set is full)")))
    return made


def _icmp(family: int, protocol: int, name: str, types: tuple[int, ...]) -> Row:
    return {
        "family": ((family, family),),
        "proto": ((protocol, protocol),),
        name: tuple((one, one) for one in types),
    }


def _ports(opening: Opening) -> Match:
    number = PROTOCOLS[opening.protocol]
    return Match(({"proto": ((number, number),), "dport": ((opening.low, opening.high),)},))


def _sources(networks: tuple[Network, ...]) -> list[tuple[Match, ...]]:
    """One match for each family that is named; one empty one for everybody."""
    return [_source(same) for same in by_family(networks)] or [()]


def _source(same: list[Network]) -> tuple[Match, ...]:
    """Networks of one family as a match; none for everybody."""
    if not same:
        return ()
    version = same[0].version
    values = tuple((int(n.network_address), int(n.broadcast_address)) for n in same)
    return (Match(({"family": ((version, version),), f"src{version}": values},)),)
