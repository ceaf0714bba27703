"""nftables' own rule set as a `Program`. What is not understood becomes an opaque condition, never nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network, summarize_address_range
from typing import Any, TypeAlias

from wardkeep.controls.firewall import from_iptables
from wardkeep.controls.firewall.program import (
    Condition,
    Hooked,
    Kind,
    Line,
    Network,
    Program,
    Redirect,
    Spans,
    Verdict,
)
from wardkeep.facts.iptables import Iptables
from wardkeep.facts.nftables import Nftables, Rule, Table

Expr: TypeAlias = Mapping[str, Any]
IP = frozenset({"ip", "ip6"})
FAMILIES = {"ip": frozenset({"ip"}), "ip6": frozenset({"ip6"}), "inet": IP}
# Statements that decide nothing about the packet at hand. `mangle` changes it, but only marks and the like can
# be told apart here, so a mangle of anything else is opaque.
SILENT = frozenset({"counter", "log", "notrack", "last", "ct helper", "ct timeout", "ct expectation"})
# Tests that a sender only has to wait for. Writing into a set is one: it fails when the set is full or its own limit says so.
WAITING = frozenset({"limit", "quota", "ct count", "set", "map", "meter"})
TRANSPORT = frozenset({"tcp", "udp", "sctp", "dccp", "udplite", "icmp", "icmpv6", "ipv6-icmp", "th"})


class Opaque(Exception):
    """An expression this version does not understand; the text says which."""


def program(rules: Nftables, tables: Iptables | None = None) -> Program:
    """All input chains of the families that carry IP, in the order of their priority.

    `tables` adds the old kernel tables, and stands in for nftables tables made by `iptables-nft` wherever nft itself
    could only print `xt`. Without it those stay opaque.
    """
    covered = _covered(rules, tables) if tables else frozenset()
    doubts = {(t.family, t.name): _doubt(t) for t in rules.tables}
    hooked: list[Hooked] = []
    redirects: list[Redirect] = []
    chains: dict[tuple[str, str], tuple[Line, ...]] = {}
    for chain in rules.chains:
        doubt = doubts.get((chain.family, chain.table), "its table is not listed")
        if chain.family not in FAMILIES or doubt == "dormant" or (chain.family, chain.table) in covered:
            continue
        scope = f"{chain.family} {chain.table}"
        lines = tuple(line for rule in rules.rules_of(chain) for line in translate(rules, rule))
        chains[(scope, chain.name)] = lines
        if chain.hook == "input" and chain.kind == "filter":
            reached = FAMILIES[chain.family]
            hooked.append(Hooked(scope, chain.name, reached, chain.priority, chain.policy, doubt))
    for rule in rules.rules:
        if (rule.family, rule.table) not in covered:
            redirects.extend(_redirects(rules, rule))
    untracked = any("notrack" in e for rule in rules.rules for e in rule.expr)
    if tables:
        hooked += from_iptables.hooked(tables, covered)
        chains |= from_iptables.chains(tables, covered)
        redirects += from_iptables.redirects(tables, covered)
        untracked = untracked or from_iptables.untracked(tables)
    order = sorted(hooked, key=lambda h: (h.priority, h.scope, h.name))
    return Program(tuple(order), chains, tuple(sorted(redirects, key=str)), untracked)


def _covered(rules: Nftables, tables: Iptables) -> frozenset[tuple[str, str]]:
    """The tables with an expression that only the iptables tools can print, and that these did print."""
    dark = {(r.family, r.table) for r in rules.rules if any("xt" in e for e in r.expr)}
    return frozenset(key for key in dark if tables.find("nft", *key))


def _doubt(table: Table) -> str:
    """Why a table might not be in force: "dormant" for certainly not, "" for certainly in force."""
    if "dormant" in table.flags:
        return "dormant"
    # nft 1.0.6 (Debian 12) prints stray memory for a table's flags in its JSON: that there is one is all we learn.
    stray = set(table.flags) - {"owner", "persist"}
    return f"whether the table `{table.name}` is dormant (its flags cannot be read)" if stray else ""


def translate(rules: Nftables, rule: Rule) -> Iterator[Line]:
    """A rule as lines: one, or one for each element of a verdict map."""
    conditions: list[Condition] = []
    says = f"rule {rule.handle} of {rule.family} {rule.table} {rule.chain}"
    for expr in rule.expr:
        ((name, body),) = expr.items()
        if name == "match":
            conditions.extend(_match(rules, rule, body))
        elif name in WAITING:
            conditions.append(Condition(Kind.SENDER, f"within a {name}"))
        elif name in ("accept", "drop", "return", "continue"):
            yield Line(tuple(conditions), Verdict(name), says)
            return
        elif name == "reject":
            yield Line(tuple(conditions), Verdict("drop"), says)
            return
        elif name in ("jump", "goto"):
            yield Line(tuple(conditions), Verdict(name, body["target"]), says)
            return
        elif name == "vmap":
            yield from _vmap(rules, rule, tuple(conditions), body, says)
        elif name == "xt" and isinstance(body, dict) and body.get("type") == "match":
            conditions.append(Condition(Kind.OPAQUE, f"the iptables match `{body.get('name')}`"))
        elif name in SILENT or (name == "mangle" and _only_marks(body)):
            continue
        else:
            yield Line(tuple(conditions), Verdict("opaque", name), f"`{name}` in {says}")
            return
    # A rule without a verdict only counts or logs, and the next one is tried.


def _match(rules: Nftables, rule: Rule, body: Expr) -> Iterator[Condition]:
    text = _text(body)
    try:
        yield from _implied(body["left"])
        if _text(body["left"]) == "ip6 nexthdr" and body["op"] == "==":
            # The first header of several: if it is TCP, the packet is TCP; a TCP packet may well begin with another.
            names = list(_values(rules, rule, body["right"]))
            yield replace(_asked(Kind.PROTOCOL, names), text=text)
            yield Condition(Kind.SENDER, "without extension headers")
            return
        yield replace(_condition(rules, rule, body), text=text)
    except Opaque:
        yield Condition(Kind.OPAQUE, text)


def _implied(left: Expr) -> Iterator[Condition]:
    """`tcp dport` asks for the protocol too, `ip saddr` for the family; nft leaves both unsaid."""
    if not isinstance(left, dict):
        raise Opaque(str(left))
    payload = left.get("payload", {})
    protocol = payload.get("protocol")
    if protocol in ("tcp", "udp"):
        yield Condition(Kind.PROTOCOL, protocol, frozenset({protocol}))
    elif protocol in ("icmp", "icmpv6"):
        yield Condition(Kind.PROTOCOL, protocol, frozenset({"icmp"}))
        yield Condition(Kind.FAMILY, protocol, frozenset({"ip" if protocol == "icmp" else "ip6"}))
    elif protocol in ("ip", "ip6"):
        yield Condition(Kind.FAMILY, protocol, frozenset({protocol}))


def _condition(rules: Nftables, rule: Rule, body: Expr) -> Condition:
    left, op = body["left"], body["op"]
    if op not in ("==", "!=", "in"):
        raise Opaque(op)
    negated = op == "!="
    kind = _kind(left)
    if kind in (Kind.SENDER, Kind.HERE):
        return Condition(kind, "")
    values = list(_values(rules, rule, body["right"]))
    return _asked(kind, values, negated)


def _asked(kind: Kind, values: list[Any], negated: bool = False) -> Condition:
    match kind:
        case Kind.PORT:
            return Condition(kind, "", spans=tuple(_span(v) for v in values), negated=negated)
        case Kind.SOURCE:
            nets = tuple(n for v in values for n in _networks(v))
            return Condition(kind, "", networks=nets, negated=negated)
        case Kind.PROTOCOL:
            return Condition(kind, "", frozenset(_protocol(v) for v in values), negated=negated)
        case Kind.FAMILY:
            return Condition(kind, "", frozenset(_nfproto(v) for v in values), negated=negated)
    return Condition(kind, "", frozenset(str(v) for v in values), negated=negated)


def _kind(left: Expr) -> Kind:
    ((what, body),) = left.items()
    if what == "payload" and "field" in body:
        protocol, field = body["protocol"], body["field"]
        if field == "dport" and protocol in ("tcp", "udp", "th"):
            return Kind.PORT
        if field == "saddr" and protocol in ("ip", "ip6"):
            return Kind.SOURCE
        if field == "daddr" and protocol in ("ip", "ip6"):
            return Kind.HERE
        if (protocol, field) in (("ip", "protocol"), ("ip6", "nexthdr")):
            return Kind.PROTOCOL if protocol == "ip" else Kind.OPAQUE
        if protocol in TRANSPORT and field != "dport":
            return Kind.SENDER
    elif what == "meta":
        kinds = {
            "l4proto": Kind.PROTOCOL,
            "nfproto": Kind.FAMILY,
            "protocol": Kind.FAMILY,
            "iif": Kind.INTERFACE,
            "iifname": Kind.INTERFACE,
            "pkttype": Kind.SENDER,
            "length": Kind.SENDER,
        }
        if body["key"] in kinds:
            return kinds[body["key"]]
    elif what == "ct" and body.get("key") == "state":
        return Kind.STATE
    raise Opaque(what)


def _values(rules: Nftables, rule: Rule, right: Any) -> Iterator[Any]:
    """The single values of a right-hand side: literals, the elements of a set, or of a named set."""
    if isinstance(right, str) and right.startswith("@"):
        named = rules.find(rule.family, rule.table, right[1:])
        if named is None or named.changes or right in _updated(rules):
            raise Opaque(right)
        for element in named.elements:
            yield from _values(rules, rule, element)
    elif isinstance(right, dict) and "set" in right:
        for element in right["set"]:
            yield from _values(rules, rule, element)
    elif isinstance(right, dict) and "elem" in right:
        yield from _values(rules, rule, right["elem"]["val"])
    elif isinstance(right, list):  # a bit mask, as in `ct state established,related`
        yield from right
    elif isinstance(right, dict) and "|" in right:  # the same in newer versions
        for part in right["|"]:
            yield from _values(rules, rule, part)
    elif isinstance(right, (str, int)) or (
        isinstance(right, dict) and ("prefix" in right or "range" in right)
    ):
        yield right
    else:
        raise Opaque(_text(right))


def _updated(rules: Nftables) -> set[str]:
    """Named sets that rules themselves write into."""
    return {e["set"]["set"] for rule in rules.rules for e in rule.expr if "set" in e}


def _vmap(
    rules: Nftables, rule: Rule, before: tuple[Condition, ...], body: Expr, says: str
) -> Iterator[Line]:
    try:
        pairs = _pairs(rules, rule, body["data"])
        kind = _kind(body["key"])
        implied = tuple(_implied(body["key"]))
        made = []
        for value, verdict in pairs:
            ((act, target),) = verdict.items()
            if act not in ("accept", "drop", "return", "continue", "jump", "goto"):
                raise Opaque(act)
            if kind in (Kind.SENDER, Kind.HERE):
                asked = Condition(kind, "")
            else:
                asked = _asked(kind, list(_values(rules, rule, value)))
            asked = replace(asked, text=f"{_text(body['key'])} {_text(value)}")
            to = target["target"] if act in ("jump", "goto") else ""
            made.append(Line((*before, *implied, asked), Verdict(act, to), says))
    except Opaque as e:
        yield Line(before, Verdict("opaque", str(e)), f"a verdict map in {says}")
        return
    yield from made


def _pairs(rules: Nftables, rule: Rule, data: Any) -> list[tuple[Any, Expr]]:
    if isinstance(data, str) and data.startswith("@"):
        named = rules.find(rule.family, rule.table, data[1:])
        if named is None or named.changes or not named.is_map:
            raise Opaque(data)
        elements = named.elements
    elif isinstance(data, dict) and "set" in data:
        elements = tuple(data["set"])
    else:
        raise Opaque(_text(data))
    if not all(isinstance(e, list) and len(e) == 2 and isinstance(e[1], dict) for e in elements):
        raise Opaque("a verdict map's element")
    return [(value, verdict) for value, verdict in elements]


def _redirects(rules: Nftables, rule: Rule) -> Iterator[Redirect]:
    """Rules that send arriving packets elsewhere. Without a port of their own they are taken to concern all."""
    names = [next(iter(e)) for e in rule.expr]
    if not {"dnat", "redirect", "tproxy"} & set(names):
        return
    protocols: frozenset[str] = frozenset({"tcp", "udp"})
    spans: Spans = ((0, 65535),)
    for expr in rule.expr:
        for condition in _match(rules, rule, expr["match"]) if "match" in expr else ():
            if condition.kind is Kind.PORT and not condition.negated:
                spans = condition.spans
            if condition.kind is Kind.PROTOCOL and not condition.negated:
                protocols = condition.values
    act = next(e for e in rule.expr if {"dnat", "redirect", "tproxy"} & set(e))
    yield Redirect(protocols, spans, f"{_text(act)} (rule {rule.handle} of {rule.table} {rule.chain})")


def _span(value: Any) -> tuple[int, int]:
    if isinstance(value, int) and not isinstance(value, bool):
        return value, value
    if isinstance(value, dict) and "range" in value:
        low, high = value["range"]
        if isinstance(low, int) and isinstance(high, int):
            return low, high
    raise Opaque(_text(value))


def _networks(value: Any) -> tuple[Network, ...]:
    try:
        if isinstance(value, str):
            return (ip_network(value),)
        if isinstance(value, dict) and "prefix" in value:
            return (ip_network(f"{value['prefix']['addr']}/{value['prefix']['len']}"),)
        if isinstance(value, dict) and "range" in value:
            low, high = (ip_address(end) for end in value["range"])
            return tuple(summarize_address_range(low, high))
    except (ValueError, TypeError, KeyError):
        pass
    raise Opaque(_text(value))


def _protocol(value: Any) -> str:
    names = {"ipv6-icmp": "icmp", "icmpv6": "icmp", "icmp": "icmp", "tcp": "tcp", "udp": "udp"}
    numbers = {1: "icmp", 58: "icmp", 6: "tcp", 17: "udp"}
    if isinstance(value, int):
        return numbers.get(value, str(value))
    if not isinstance(value, str):
        raise Opaque(_text(value))
    return names.get(value, value)


def _nfproto(value: Any) -> str:
    named = {"ipv4": "ip", "ipv6": "ip6", "ip": "ip", "ip6": "ip6"}.get(str(value))
    if named is None:
        raise Opaque(_text(value))
    return named


def _only_marks(body: Expr) -> bool:
    """Marks and priorities change the packet's company, not the packet: a later match on a mark is opaque anyway."""
    key = body.get("key", {})
    return any(key.get(what, {}).get("key") in ("mark", "priority") for what in ("meta", "ct"))


def _text(value: Any) -> str:
    """A short readable form: `ip saddr 192.0.2.0/24`."""
    if isinstance(value, dict):
        if {"left", "right", "op"} <= set(value):
            op = "" if value["op"] in ("==", "in") else f"{value['op']} "
            return f"{_text(value['left'])} {op}{_text(value['right'])}"
        if "payload" in value and "field" in value["payload"]:
            return f"{value['payload']['protocol']} {value['payload']['field']}"
        if "prefix" in value:
            return f"{value['prefix']['addr']}/{value['prefix']['len']}"
        if "range" in value:
            return "-".join(str(end) for end in value["range"])
        if "set" in value and isinstance(value["set"], list):
            return "{ " + ", ".join(_text(v) for v in value["set"][:6]) + " }"
        if len(value) == 1 and isinstance(next(iter(value.values())), dict):
            ((name, body),) = value.items()
            return f"{name} {body['key']}" if "key" in body else name
        return json.dumps(value, sort_keys=True)[:80]
    return str(value)
