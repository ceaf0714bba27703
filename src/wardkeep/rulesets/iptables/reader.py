"""iptables-save and ip6tables-save as a program of the packet engine. No match is silently left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from wardkeep.core.errors import BadInput
from wardkeep.packets.dimensions import Row
from wardkeep.packets.program import EVERYTHING, Chain, Entry, Goto, Jump, Rule, Unknown
from wardkeep.rulesets.ipset import Ipset
from wardkeep.rulesets.iptables.dump import RawChain, RawRule, RawTable, cut_note, read_dump
from wardkeep.rulesets.iptables.matches import GENERAL, LONG, MODULES, Draft, Garbled, Reader, settle
from wardkeep.rulesets.iptables.targets import parts_of

# Where the kernel hooks each built-in chain (NF_IP_PRI_* of linux/netfilter_ipv4.h; nat INPUT since Linux 2.6.36).
PRIORITIES: Final = {"raw": -300, "mangle": -150, "filter": 0, "security": 50, "rawpost": 150, "broute": -300}
SOURCE_NAT: Final = 100
DESTINATION_NAT: Final = -100
# A module that needs no option and what it says then; every other module without a known option is unknown.
IMPLIED = frozenset(
    {"tcp", "udp", "sctp", "dccp", "udplite", "icmp", "icmp6", "icmpv6", "ipv6-icmp", "comment"}
)
# Modules that look into an extension header of IPv6: packets without any never match.
HEADERS: Final = frozenset({"rt", "frag", "hbh", "dst"})
HEADED: Final[tuple[Row, ...]] = ({"extension": ((1, 1),)}, {"fragment": ((1, 1),)})


def read_iptables(text: str, name: str, sets: Mapping[str, Ipset]) -> tuple[list[Chain], list[str]]:
    """The chains of one dump, and notes for whoever reads the report. Raises BadInput `NAME:LINE: …`."""
    tables = read_dump(text, name)
    notes = []
    unsure = [t for t in tables if not t.sure]
    if unsure:
        told = "IPv6" if unsure[0].family == "ip6" else "IPv4"
        notes.append(f"{name}: taken for {told}, since nothing in it tells the family")
    if told := cut_note(text, tables):
        notes.append(f"{name}: {told}")
    translates = any(rewrites(table) for table in tables)
    chains = [
        chain_of(table, chain, name, sets, translates) for table in tables for chain in table.chains.values()
    ]
    return chains, notes


def chain_of(
    table: RawTable, chain: RawChain, name: str, sets: Mapping[str, Ipset], translates: bool
) -> Chain:
    known = f"{table.family} {table.name} {chain.name}"
    asks = any("addrtype" in rule.words for rule in chain.rules)
    hooks = hooks_of(table, chain.name) if asks else frozenset[str]()
    rules = tuple(
        _rule(table, rule, position, known, name, sets, translates, hooks)
        for position, rule in enumerate(chain.rules, 1)
    )
    return Chain(known, rules, _entry(table, chain), chain.packets)


def _entry(table: RawTable, chain: RawChain) -> Entry | None:
    if not chain.policy:
        return None
    hook = chain.name.lower()
    priority = PRIORITIES.get(table.name, 0)
    if table.name == "nat":
        priority = DESTINATION_NAT if hook in ("prerouting", "output") else SOURCE_NAT
    return Entry(
        hook,
        (4,) if table.family == "ip" else (6,),
        priority,
        "drop" if chain.policy == "DROP" else "accept",
        "nat" if table.name == "nat" else "route" if (table.name, hook) == ("mangle", "output") else "filter",
    )


def rewrites(table: RawTable) -> bool:
    """Whether a rule rewrites destinations, so that a new packet's is not the connection's original one any more."""
    return any(
        target in rule.words
        for chain in table.chains.values()
        for rule in chain.rules
        for target in ("DNAT", "REDIRECT", "NETMAP", "DNPT")
    )


def hooks_of(table: RawTable, chain: str) -> frozenset[str]:
    """The built-in chains from which packets may come to a chain, itself among them."""
    found, new = {chain}, [chain]
    while new:
        name = new.pop()
        callers = {
            c.name
            for c in table.chains.values()
            if any(w in ("-j", "-g") and name == n for r in c.rules for w, n in pairwise(r.words))
        }
        new += callers - found
        found |= callers
    return frozenset(name for name in found if table.chains[name].policy)


def _rule(
    table: RawTable,
    raw: RawRule,
    position: int,
    chain: str,
    name: str,
    sets: Mapping[str, Ipset],
    translates: bool,
    hooks: frozenset[str],
) -> Rule:
    arriving = bool(hooks) and hooks <= {"PREROUTING", "OUTPUT"} and table.name in ("raw", "mangle", "nat")
    draft = Draft(4 if table.family == "ip" else 6, sets, hooks=hooks, arriving=arriving)
    try:
        target, options = _read_words(draft, raw.words)
        settle(draft, translates)
        if target is not None:
            word, aim = target
            if aim in table.chains:
                chain_id = f"{table.family} {table.name} {aim}"
                draft.parts.append(Goto(chain_id) if word == "-g" else Jump(chain_id))
            elif word == "-g":
                raise Garbled(f"goes to the chain {aim}, which is not declared")
            else:
                draft.parts += parts_of(aim, options, draft.version)
    except Garbled as e:
        raise BadInput(
            str(e), where=f"{name}:{raw.line}", todo="Give the output of the save tool as it is"
        ) from None
    return Rule(
        f"{chain} {position}",
        tuple(draft.parts),
        position,
        raw.text,
        draft.comment,
        raw.packets,
        raw.octets,
        raw.line,
    )


def _read_words(draft: Draft, words: Sequence[str]) -> tuple[tuple[str, str] | None, list[str]]:
    """Fill the draft; give the target (`-j` or `-g`, name) and its words. Raises Garbled."""
    target: tuple[str, str] | None = None
    options: list[str] = []
    modules: dict[str, bool] = {}  # → whether some option of it was read
    unread: dict[str, list[str]] = {}
    protocol = ""
    at, current, negated = 0, "", False
    while at < len(words):
        word = LONG.get(words[at], words[at])
        at += 1
        if word == "!":
            negated = True
            continue
        if word in ("-j", "-g", "-m", "-c"):
            count = 2 if word == "-c" else 1
            values = words[at : at + count]
            if len(values) < count:
                raise Garbled(f"`{word}` without a name")
            at += count
            if word == "-m":
                current = values[0]
                modules.setdefault(current, current in IMPLIED)
            elif word != "-c":
                target, current = (word, values[0]), ""
        elif found := _find(word, current, modules, protocol):
            module, (count, reader) = found
            if at < len(words) and words[at] == "!" and count:  # the old way: `--dport ! 22`
                negated, at = True, at + 1
            values = words[at : at + count]
            if len(values) < count:
                raise Garbled(f"`{word}` lacks its value")
            at += count
            if word == "-p" and not negated:
                protocol = values[0]
            reader(draft, values, negated)
            if module:
                modules[module] = True
        elif target is not None:
            options.append(word)
        elif current:
            unread.setdefault(current, []).append(f"{'! ' if negated else ''}{word}")
        else:
            unread.setdefault("", []).append(word)
        negated = False
    _doubt(draft, modules, unread)
    return target, options


def _doubt(draft: Draft, modules: Mapping[str, bool], unread: Mapping[str, Sequence[str]]) -> None:
    for module, told in unread.items():
        may = HEADED if module in HEADERS and draft.version == 6 and told[0][0] != "!" else EVERYTHING
        draft.doubt(f"-m {module} {' '.join(told)}" if module else " ".join(told), False, may)
    for module, read in modules.items():
        if not read and module not in unread:
            draft.parts.append(Unknown(f"-m {module}"))


def _find(
    word: str, current: str, modules: Mapping[str, bool], protocol: str
) -> tuple[str, tuple[int, Reader]] | None:
    """The reader of an option: of the module named last, of an earlier one, of the protocol, or a general one."""
    if word in GENERAL:
        return "", GENERAL[word]
    for module in (current, *modules, protocol):
        if word in MODULES.get(module, ()):
            return module, MODULES[module][word]
    return None
