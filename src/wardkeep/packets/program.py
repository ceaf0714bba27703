"""The intermediate form of a rule set: what every reader builds and what the engine analyses.

A `Program` is chains of rules, each rule a `body` of parts that run from left to right: a condition that fails ends the rule
(the next rule runs), a statement acts. The kernel's own order of things is kept, nothing is simplified:

- base chains are entered by hook and priority; `accept` ends only its base chain, `drop` and `reject` are final;
- `goto` never comes back to the rule's chain; `return`, and the end of a chain, go back to the rule after the last `jump`;
  in a base chain they mean its policy;
- a condition on something a packet lacks (a port on ICMP, a flag on a later fragment) fails *also when negated*;
- what cannot be modelled (limit, recent, time, ...) is `Unknown`: it may hold or not, each time anew.

A reader must put everything it read into the body: a match left out makes a rule wider than it is, and every verdict about it
a lie. What it does not understand is `Unknown(text)`, never nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from wardkeep.packets.dimensions import DIMENSIONS, Row, Values

Fate: TypeAlias = Literal["accept", "drop", "reject"]
EVERYTHING: Final[tuple[Row, ...]] = ({},)


@dataclass(frozen=True, slots=True)
class Match:
    """Holds for packets in at least one of `rows`; `negated`: in none of them. No rows: an empty set.

    `tcp dport 22` is `Match(({"proto": ((6, 6),), "dport": ((22, 22),)},))`; several dimensions in one row are "and"; a
    concatenated set, or `multiport --ports`, is several rows. What a dimension needs (see `DIMENSIONS[...].needs`) is
    required by the engine by itself: of the dimensions of the row that holds; and under negation of every dimension in any
    row. So a negated port is two matches: `Match(({"proto": ((6, 6),)},)), Match(({"dport": ((22, 22),)},), negated=True)`.
    `absent_ok`: a negated match is no more than "not in any row", and so holds for packets that lack a dimension (ipset's
    `! --match-set`, iptables' `! --ctstate` with SNAT or DNAT in the list).
    """

    rows: tuple[Row, ...]
    negated: bool = False
    absent_ok: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """A condition that the engine cannot model. `text` says which (`limit rate 5/second`).

    It certainly fails outside `may`, certainly holds within `must`, and may do either elsewhere. A set that rules or
    programs fill at run time is `Unknown(text, may=EVERYTHING)`, or a `Match` of its present elements (a snapshot).
    """

    text: str
    may: tuple[Row, ...] = EVERYTHING
    must: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Effect:
    """A statement that changes no packet's way but is there on purpose: log, counter of quotas, set update, tee.

    `harmless`: taking it away loses nothing a person would miss (a bare counter). A rule with any other effect is never
    called removable because of its verdict; it can still be dead.
    """

    text: str
    harmless: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """`accept` (of this base chain), `drop`, `reject` (`detail`: with what), `return`, `queue` (a program decides: may accept
    or drop), or `continue` (the next rule runs; ends the rule)."""

    kind: Literal["accept", "drop", "reject", "return", "queue", "continue"]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Jump:
    """Run the chain with this id and come back to the next rule."""

    chain: str


@dataclass(frozen=True, slots=True)
class Goto:
    """Run the chain with this id; at its end go back to the rule after the last jump (base chain: its policy)."""

    chain: str


Decision: TypeAlias = Verdict | Jump | Goto


@dataclass(frozen=True, slots=True)
class Branches:
    """A verdict map: the first row that holds decides. In a map rows do not overlap, so the order means nothing.

    A packet in no row, or without the dimensions, falls through to the rest of the body (which in nftables is empty: the
    next rule runs).
    """

    branches: tuple[tuple[Row, Decision], ...]


@dataclass(frozen=True, slots=True)
class Assign:
    """Set a dimension (`mark`, `ctmark`, ...) for everything that follows, in later chains and hooks too.

    With `values`: to one of these values (one value: known; several or ANY: not known which). Otherwise to
    `(old & keep) ^ xor`, where old is the value of `source` (default: the dimension itself):
    `meta mark set 5` is `Assign("mark", xor=5)`, `--or-mark 0x4000` is `Assign("mark", keep=~0x4000 & 0xffffffff, xor=0x4000)`,
    `CONNMARK --restore-mark` is `Assign("mark", source="ctmark", keep=0xffffffff)`; where the kernel needs a connection for that
    (nft's `meta mark set ct mark` ends the rule without one) the reader puts `Match(({"state": ((1, 3),)},))` before it.
    """

    dimension: str
    keep: int = 0
    xor: int = 0
    source: str = ""
    values: Values | None = None


@dataclass(frozen=True, slots=True)
class NoTrack:
    """Take the packet out of connection tracking: its state becomes untracked, it has no status and no ct mark."""


@dataclass(frozen=True, slots=True)
class Nat:
    """Rewrite and accept (ends the base chain). `to` names the dimensions that change and what they may become.

    `dnat to 10.0.0.5:80` is `{"dst4": ((a, a),), "dport": ((80, 80),)}`; masquerade is `{"src4": ANY["src4"], "sport":
    ANY["sport"]}`, redirect to 8080 `{"dst4": ANY["dst4"], "dport": ((8080, 8080),)}`. `kind` is dnat, snat, masquerade,
    redirect, netmap.
    """

    kind: str
    to: Row


Part: TypeAlias = Match | Unknown | Effect | Verdict | Jump | Goto | Branches | Assign | NoTrack | Nat


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `id` is unique in the program and stable between two reads of an unchanged rule set where the source has
    something stable (handle; otherwise chain and position). `position` counts from 1 within the chain.

    `packets` and `octets` are its counter, None without one. `line` is the line of the file, 0 if the source has none.
    """

    id: str
    body: tuple[Part, ...]
    position: int = 0
    text: str = ""
    comment: str = ""
    packets: int | None = None
    octets: int | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """How packets come into a base chain. `hook` is prerouting, input, forward, output, postrouting, ingress or egress.

    `layer` is "ip" (families ip, ip6, inet), "bridge", "netdev" or "arp": layers are analysed apart. `families` are the
    packets that enter: (4,) for ip, (6,) for ip6, (4, 6) for inet. Chains of one hook run by rising `priority`, then in the
    program's order. `policy` is what packets meet at the end. `kind`: a "nat" chain sees only the first packet of a
    connection. `dormant`: the table is asleep, no packet enters. `device`: netdev chains, the interface(s) bound to.
    """

    hook: str
    families: tuple[int, ...]
    priority: int = 0
    policy: Fate = "accept"
    kind: Literal["filter", "nat", "route"] = "filter"
    layer: str = "ip"
    dormant: bool = False
    device: Values = ()


@dataclass(frozen=True, slots=True)
class Chain:
    """`id` is how jumps and reports name it ("inet filter input", "filter INPUT"); `entry` is None in a user chain.

    `counters` of the policy: `packets`, None without one.
    """

    id: str
    rules: tuple[Rule, ...]
    entry: Entry | None = None
    packets: int | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """A whole rule set.

    `conntrack`: whether connection tracking (and with it defragmentation) runs; None: it does if any rule uses it.
    `fragments`: whether later fragments are told apart where nothing puts them together; None: if a rule asks for them. iptables
    finds no port in them; nftables reads one out of their payload (measured on Linux 6.18), so that to its rules they are packets
    with any port, and telling them apart would be wrong.
    `notes`: what a reader wants said with every report ("3 tables of family arp not analysed").
    """

    chains: tuple[Chain, ...]
    name: str = ""
    conntrack: bool | None = None
    fragments: bool | None = None
    notes: tuple[str, ...] = ()

    def chain(self, chain_id: str) -> Chain:
        """The chain with this id. Raises KeyError."""
        for chain in self.chains:
            if chain.id == chain_id:
                return chain
        raise KeyError(chain_id)


_PLAIN: Final = frozenset({Match, Unknown, Effect, Verdict, Jump, Goto})


def is_plain(rule: Rule) -> bool:
    """Whether a rule changes nothing about packets, and what it decides is one thing."""
    return all(type(part) in _PLAIN for part in rule.body)


def faults(program: Program) -> list[str]:
    """What is wrong with a program as a reader made it: doubled ids, jumps to nowhere or in a ring, unknown dimensions.

    The engine refuses programs with faults (`BadInput`). At most 20 are told.
    """
    told: list[str] = []
    chains = {chain.id: chain for chain in program.chains}
    if len(chains) < len(program.chains):
        told.append("two chains have the same id")
    seen: set[str] = set()
    calls: dict[str, set[str]] = {}
    for chain in program.chains:
        calls[chain.id] = set()
        for rule in chain.rules:
            if rule.id in seen:
                told.append(f"two rules have the id {rule.id}")
            seen.add(rule.id)
            for part in rule.body:
                if type(part) is Verdict:
                    continue
                told += [f"rule {rule.id}: {w}" for w in _faults_of(part)]
                for target in _targets(part):
                    if target not in chains:
                        told.append(f"rule {rule.id}: jumps to {target}, which does not exist")
                    else:
                        calls[chain.id].add(target)
    told += [f"chain {c} calls itself" for c in _in_rings(calls)]
    return told[:20]


def _targets(part: Part) -> list[str]:
    if type(part) is Jump or type(part) is Goto:
        return [part.chain]
    if type(part) is Branches:
        return [d.chain for _, d in part.branches if isinstance(d, Jump | Goto)]
    return []


def _faults_of(part: Part) -> list[str]:
    rows: tuple[Row, ...] = ()
    if type(part) is Match:
        rows = part.rows
    elif type(part) is Unknown:
        rows = part.may + part.must
    elif type(part) is Branches:
        rows = tuple(row for row, _ in part.branches)
    elif type(part) is Nat:
        rows = (part.to,)
    elif type(part) is Assign:
        rows = ({part.dimension: part.values or ()}, {part.source or part.dimension: ()})
    return [f"no dimension {name}" for row in rows for name in row if name not in DIMENSIONS]


def _in_rings(calls: Mapping[str, set[str]]) -> list[str]:
    """Chains that can reach themselves."""
    done: set[str] = set()
    for start in calls:
        stack: list[tuple[str, list[str]]] = [(start, list(calls[start]))] if start not in done else []
        open_ = [start]
        while stack:
            name, left = stack[-1]
            if not left:
                stack.pop()
                open_.pop()
                done.add(name)
                continue
            following = left.pop()
            if following in open_:
                return [following]
            if following not in done and following in calls:
                stack.append((following, list(calls[following])))
                open_.append(following)
    return []
