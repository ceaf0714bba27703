"""Tables in the form of iptables-save as part of a `Program`. What is not understood becomes an opaque condition."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_network

from wardkeep.controls.firewall.program import Condition, Hooked, Kind, Line, Redirect, Spans, Verdict
from wardkeep.facts.iptables import IpRule, IpTable, Iptables

PRIORITIES = {"mangle": -150, "filter": 0, "security": 50}  # of INPUT; raw and nat have none that drops
PROTOCOLS = {"tcp": "tcp", "udp": "udp", "icmp": "icmp", "ipv6-icmp": "icmp", "icmpv6": "icmp", "6": "tcp"}
PROTOCOLS |= {"17": "udp", "1": "icmp", "58": "icmp"}
# Extensions that a sender can satisfy at will or by waiting: they restrict nobody.
SENDER = frozenset(
    {
        "--sport",
        "--source-port",
        "--sports",
        "--tcp-flags",
        "--icmp-type",
        "--icmpv6-type",
        "--limit",
        "--pkt-type",
    }
)
QUIET = frozenset({"--limit-burst", "--comment", "--reject-with", "--log-prefix", "--log-level"})
WORDS = {"--syn": 0, "-f": 0, "--tcp-flags": 2}  # how many words follow, where it is not one
CONTINUE = frozenset({"LOG", "NFLOG", "MARK", "CONNMARK", "CT", "TRACE"})


def scope(table: IpTable) -> str:
    return f"{table.family} {table.name} ({table.backend})"


def hooked(tables: Iptables, covered: frozenset[tuple[str, str]]) -> Iterator[Hooked]:
    """The INPUT chains of the old tables, and of those nftables tables (family, name) that nft could not print."""
    for table in wanted(tables, covered):
        for chain in table.chains:
            if chain.name == "INPUT" and table.name in PRIORITIES:
                families, priority = frozenset({table.family}), PRIORITIES[table.name]
                yield Hooked(scope(table), "INPUT", families, priority, chain.policy.lower())


def wanted(tables: Iptables, covered: frozenset[tuple[str, str]]) -> list[IpTable]:
    return [t for t in tables.tables if t.backend == "legacy" or (t.family, t.name) in covered]


def chains(tables: Iptables, covered: frozenset[tuple[str, str]]) -> dict[tuple[str, str], tuple[Line, ...]]:
    found = {}
    for table in wanted(tables, covered):
        for chain in table.chains:
            lines = tuple(_line(table, rule, chain.name) for rule in chain.rules)
            found[(scope(table), chain.name)] = lines
    return found


def redirects(tables: Iptables, covered: frozenset[tuple[str, str]]) -> Iterator[Redirect]:
    for table in wanted(tables, covered):
        for chain in table.chains:
            for rule in chain.rules if table.name == "nat" else ():
                target = rule.words[rule.words.index("-j") + 1] if "-j" in rule.words else ""
                if target in ("DNAT", "REDIRECT", "TPROXY"):
                    line = _line(table, rule, chain.name)
                    yield _redirect(line, f"{target} in {scope(table)} {chain.name}")


def untracked(tables: Iptables) -> bool:
    """Whether a rule takes packets out of connection tracking."""
    rules = [rule for table in tables.tables for chain in table.chains for rule in chain.rules]
    return any({"--notrack", "NOTRACK"} & set(rule.words) for rule in rules)


def _redirect(line: Line, says: str) -> Redirect:
    protocols: frozenset[str] = frozenset({"tcp", "udp"})
    spans: Spans = ((0, 65535),)
    for condition in line.conditions:
        if condition.kind is Kind.PORT and not condition.negated:
            spans = condition.spans
        if condition.kind is Kind.PROTOCOL and not condition.negated:
            protocols = condition.values
    return Redirect(protocols, spans, says)


def _line(table: IpTable, rule: IpRule, chain: str) -> Line:
    says = f"`{' '.join(rule.words)[:80]}` in {scope(table)} {chain}"
    conditions: list[Condition] = []
    verdict = Verdict("continue")
    words = list(rule.words)
    while words:
        word = words.pop(0)
        negated = word == "!"
        if negated:
            word = words.pop(0)
        if word in ("-j", "-g") and words:
            verdict = _target(words.pop(0), goto=word == "-g")
            if verdict.act != "opaque":
                continue
            break  # what follows belongs to a target that is not understood
        if word == "-m" and words:
            name = words.pop(0)
            if name not in KNOWN:
                conditions.append(Condition(Kind.OPAQUE, f"the iptables match `{name}`"))
                # Its options are unknown too: skip to the target.
                while words and words[0] not in ("-j", "-g", "-m"):
                    words.pop(0)
            continue
        count = WORDS.get(word, 1)
        values, words = words[:count], words[count:]
        if word in QUIET or not word.startswith("-"):
            continue
        conditions.append(_condition(word, values, negated))
    return Line(tuple(conditions), verdict, says)


KNOWN = frozenset(
    {
        "tcp",
        "udp",
        "icmp",
        "icmp6",
        "conntrack",
        "state",
        "multiport",
        "comment",
        "limit",
        "addrtype",
        "pkttype",
    }
)


def _target(name: str, *, goto: bool) -> Verdict:
    simple = {"ACCEPT": "accept", "DROP": "drop", "REJECT": "drop", "RETURN": "return"}
    if name in simple:
        return Verdict(simple[name])
    if name in CONTINUE:
        return Verdict("continue")
    if re.fullmatch(r"[A-Z]{2,}", name) and name in {
        "QUEUE",
        "NFQUEUE",
        "TPROXY",
        "DNAT",
        "REDIRECT",
        "SYNPROXY",
    }:
        return Verdict("opaque", name)
    return Verdict("goto" if goto else "jump", name)


def _condition(word: str, values: list[str], negated: bool) -> Condition:
    text = f"{'! ' if negated else ''}{word} {' '.join(values)}".strip()
    value = values[0] if values else ""
    if word == "-p":
        known = frozenset({PROTOCOLS.get(value, value)})
        everything = value == "all"
        return (
            Condition(Kind.PROTOCOL, text, known, negated=negated)
            if not everything
            else Condition(Kind.SENDER, text)
        )
    if word in ("--dport", "--destination-port", "--dports", "--destination-ports"):
        spans = _spans(value)
        if spans:
            return Condition(Kind.PORT, text, spans=spans, negated=negated)
    if word == "-s":
        networks = tuple(ip_network(part, strict=False) for part in value.split(",") if _is_network(part))
        if networks:
            return Condition(Kind.SOURCE, f"from {text}", networks=networks, negated=negated)
    if word == "-i":
        return Condition(Kind.INTERFACE, f"arriving {text}", frozenset({value}), negated=negated)
    if word in ("--ctstate", "--state"):
        states = frozenset(value.lower().split(","))
        if states & {"dnat", "snat"}:  # a status beside the state: a new packet may have it
            return Condition(Kind.OPAQUE, text)
        return Condition(Kind.STATE, text, states, negated=negated)
    if word == "-d" or word == "--dst-type":
        return Condition(Kind.HERE, text)
    if word in SENDER or word == "--syn":
        return Condition(Kind.SENDER, text)
    return Condition(Kind.OPAQUE, text)


def _spans(value: str) -> Spans:
    found = []
    for part in value.split(","):
        low, colon, high = part.partition(":")
        ends = (low or "0", (high or "65535") if colon else low)
        if not all(end.isdigit() for end in ends):
            return ()
        found.append((int(ends[0]), int(ends[1])))
    return tuple(found)


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True
