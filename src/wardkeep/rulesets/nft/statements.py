"""What an nft statement does, as parts of the engine's rule body."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from wardkeep.packets.dimensions import ANY, DESTINATION, SOURCE, Row, Values
from wardkeep.packets.program import Assign, Effect, Goto, Jump, Match, Nat, NoTrack, Part, Unknown, Verdict
from wardkeep.rulesets.nft.conditions import Scope, branch_parts, match_parts
from wardkeep.rulesets.nft.keys import (
    CONNECTION,
    METAS,
    PAYLOADS,
    V4,
    V6,
    Expr,
    NotModelled,
    implied_by,
    number_of,
    value_of,
)
from wardkeep.rulesets.nft.properties import ARRIVED, FORWARDED, LATER
from wardkeep.rulesets.nft.wording import expression, value
from wardkeep.rulesets.spans import join, meet

FULL: Final = 0xFFFFFFFF
# What nft 1.0.6 has no JSON for and prints as text: writing into a map, and a jump to a chain without a name.
WRITES: Final = re.compile(r"(?:add|update|delete) @(\S+) ")
# Statements after which the rest of the rule runs, and no packet's way changes.
HARMLESS: Final = frozenset({"last", "comment"})
GOES_ON: Final = frozenset(
    {"log", "ct helper", "ct timeout", "ct expectation", "flow", "secmark", "dup", "ct zone", "nftrace"}
)
# Statements that let some packets pass to the rest of the rule and not others: by rate, by count, by what a set can still hold.
WAITING: Final = frozenset({"limit", "quota", "ct count", "meter", "tproxy", "socket"})
# Of these, what a rule loses where nothing behind them decides: its log line or its counter, and no packet's way.
IDLE: Final = frozenset({"limit", "quota", "ct count", "meter", "set", "map"})


def body_of(scope: Scope, expressions: Sequence[Expr]) -> list[Part]:
    """A rule's expressions up to its verdict. Waiting statements before nothing that decides are effects like any other."""
    parts: list[tuple[str, Part]] = []
    for expr in expressions:
        parts += [(next(iter(expr)), part) for part in parts_of(scope, expr)]
        if parts and isinstance(parts[-1][1], Verdict):
            break
    decides, body = False, []
    # What a packet is handed to shows to who asks for its socket later, and to nobody else.
    idle = IDLE if scope.objects.asks_sockets else IDLE | {"tproxy"}
    for name, part in reversed(parts):
        if isinstance(part, Unknown) and name in idle and not decides:
            part = Effect(part.text)
        decides |= not isinstance(part, Match | Unknown | Effect) and part != Verdict("continue")
        body.append(part)
    return body[::-1]


def parts_of(scope: Scope, expr: Expr) -> list[Part]:
    """One expression of a rule. Whatever is not understood stays in the rule as Unknown."""
    ((name, body),) = expr.items()
    match name:
        case "match":
            return match_parts(scope, body)
        case "vmap":
            return branch_parts(scope, body)
        case "accept" | "drop" | "return" | "continue":
            return [Verdict(name)]
        case "reject":
            told = expression(expr).removeprefix("reject").strip()
            return [*_of_family((body or {}).get("type")), Verdict("reject", told)]
        case "jump":
            return [Jump(_chain(scope, body))]
        case "goto":
            return [Goto(_chain(scope, body))]
        case "counter" | "quota" | "limit" if isinstance(body, dict) and "map" in body:
            # A packet whose key the map does not hold ends the rule.
            held = _in_map(scope, body["map"])
            told = f"{name} name {value(body['map']['key'])} map"
            return [*held, Effect(told) if name == "counter" else Unknown(told)]
        case "counter":
            return [Effect(expression(expr), harmless=not isinstance(body, str))]
        case "notrack":
            return [NoTrack()]
        case "queue" | "synproxy" | "fwd":
            return [Verdict("queue", expression(expr))]
        case "mangle":
            return _mangled(scope, body)
        case "dnat" | "snat" | "masquerade" | "redirect":
            body = body or {}
            return [
                *_of_family(body.get("family")),
                *_looked_up(scope, body),
                Nat(name, _rewritten(name, body, scope)),
            ]
        case "set" | "map":
            # Writing fails, and ends the rule, when the set is full or its own limit says so.
            return [Effect(expression(expr)), Unknown(f"{expression(expr)} (fails when the set is full)")]
        case "xt":
            return _xt(body)
        case "unprinted" if WRITES.match(body):
            return [Effect(body), Unknown(f"{body} (fails when the set is full)")]
    if name in HARMLESS:
        return [Effect(expression(expr), harmless=True)]
    if name in WAITING:
        family = body.get("family") if name == "tproxy" and isinstance(body, dict) else None
        return [*_of_family(family), Unknown(expression(expr))]
    if name in GOES_ON:
        return [Effect(expression(expr))]
    told = f"the statement {expression(expr)}"
    return [Unknown(told), Verdict("queue", told)]


def _of_family(told: Any) -> list[Part]:
    """`reject with icmp`, `tproxy ip to`: packets of the other family go on, as if the rule ended before it.

    nft puts a test of the family before such a reject and does not list it; `tproxy` asks itself.
    """
    row = {"icmp": V4, "ip": V4, "icmpv6": V6, "ip6": V6}.get(told) if isinstance(told, str) else None
    return [Match((row,))] if row else []


def _chain(scope: Scope, body: Expr) -> str:
    return f"{scope.rule.family} {scope.rule.table} {body['target']}"


def _xt(body: Any) -> list[Part]:
    """A match or target of iptables that nft cannot print. `iptables-save` beside this file tells what it is."""
    kind = body.get("type", "") if isinstance(body, dict) else ""
    name = body.get("name", "") if isinstance(body, dict) else str(body)
    told = f"the iptables {kind or 'extension'} `{name}`, which nft does not print"
    return [Unknown(told)] if kind == "match" else [Unknown(told), Verdict("queue", told)]


@dataclass(frozen=True, slots=True)
class _Line:
    """A value as `(source & keep) ^ xor`; no source is a constant."""

    source: str
    keep: int
    xor: int


def _mangled(scope: Scope, body: Expr) -> list[Part]:
    """A field that is set: within what nft tests first, the address family and the protocol."""
    implied = implied_by(body["key"])
    before: list[Part] = [Match((implied,))] if implied else []
    return [*before, *_set(scope, body)]


def _set(scope: Scope, body: Expr) -> list[Part]:
    goal = _assigned_to(body["key"])
    told = f"{value(body['key'])} set {value(body['value'])}"
    if goal is None:
        return [Effect(told)]
    if goal in FORWARDED:
        return _lowered(scope, goal, body)
    if goal in ("mark", "ctmark"):
        try:
            made = _line(body["value"])
        except NotModelled:
            return [Assign(goal, values=ANY[goal])]
        if not made.source:
            return [Assign(goal, xor=made.xor)]
        return [Assign(goal, made.keep, made.xor, "" if made.source == goal else made.source)]
    try:
        values: Values = value_of(goal, body["value"])
    except (NotModelled, KeyError, TypeError, ValueError):
        values = ANY[goal]
    return [Assign(goal, values=values)]


def _lowered(scope: Scope, goal: str, body: Expr) -> list[Part]:
    """The time to live as set here; behind routing, if that is still to come, it is another."""
    try:
        values: Values = value_of(goal, body["value"])
    except (NotModelled, KeyError, TypeError, ValueError):
        values = ANY[goal]
    hooks, later = scope.objects.hooks_of(scope.rule), FORWARDED[goal]
    if hooks <= LATER:
        return [Assign(later, values=values)]
    return [Assign(goal, values=values if hooks <= ARRIVED else ANY[goal]), Assign(later, values=ANY[later])]


def _assigned_to(key: Any) -> str | None:
    """The dimension that a mangle changes; None if it is none of the engine's."""
    ((what, body),) = key.items()
    if what == "meta" and body.get("key") == "mark":
        return "mark"
    if what == "ct" and body.get("key") == "mark":
        return "ctmark"
    if what == "payload":
        known = PAYLOADS.get((body.get("protocol"), body.get("field")))
        return known.dimension if known and known.dimension != "family" else None
    return None


def _line(told: Any) -> _Line:
    """Raises NotModelled for anything but masks, bits and copies of a mark."""
    if isinstance(told, int | str) and not isinstance(told, bool):
        return _Line("", 0, number_of("mark", told) & FULL)
    if isinstance(told, dict) and len(told) == 1:
        ((what, body),) = told.items()
        if what == "meta" and METAS.get(body.get("key")) == "mark":
            return _Line("mark", FULL, 0)
        if what == "ct" and CONNECTION.get(body.get("key")) == "ctmark":
            return _Line("ctmark", FULL, 0)
        if what in ("&", "|", "^") and isinstance(body, list) and len(body) == 2:
            one, other = _line(body[0]), _line(body[1])
            if not one.source:
                one, other = other, one
            if other.source:
                raise NotModelled("two marks in one value")
            bits = other.xor
            if what == "&":
                return _Line(one.source, one.keep & bits, one.xor & bits)
            if what == "|":
                return _Line(one.source, one.keep & ~bits & FULL, one.xor | bits)
            return _Line(one.source, one.keep, one.xor ^ bits)
    raise NotModelled("a value that is computed")


def _looked_up(scope: Scope, body: Expr) -> list[Part]:
    """`dnat to tcp dport map @m`: a packet whose key the map does not hold is not rewritten; the rule ends for it."""
    address = body.get("addr")
    if not isinstance(address, dict) or "map" not in address:
        return []
    return _in_map(scope, address["map"])


def _in_map(scope: Scope, body: Expr) -> list[Part]:
    """That a map holds the packet's key."""
    key, data = body["key"], body["data"]
    try:
        held = scope.elements(data) if isinstance(data, str) else data["set"]
        keys = [pair[0] for pair in held]
        if _covers(key, keys):
            return []
        if not keys:
            return [Match(())]
    except (NotModelled, KeyError, TypeError, IndexError):
        return [Unknown(f"{value(key)} is in the map")]
    return match_parts(scope, {"op": "==", "left": key, "right": {"set": keys}})


def _covers(key: Any, keys: Sequence[Any]) -> bool:
    """Whether a map of numbers drawn (`numgen`, `jhash`, `symhash`) holds every one that can be drawn."""
    ((kind, body),) = key.items() if isinstance(key, dict) and len(key) == 1 else (("", None),)
    if kind not in ("numgen", "jhash", "symhash") or not isinstance(body, dict):
        return False
    spans = join(s for one in keys for s in value_of("mark", one) if isinstance(s, tuple))
    first = int(body.get("offset", 0))
    drawn = ((first, first + int(body["mod"]) - 1),)
    return meet(drawn, spans) == drawn


def _rewritten(name: str, body: Expr, scope: Scope) -> Row:
    destination = name in ("dnat", "redirect")
    side, port = ("dst", "dport") if destination else ("src", "sport")
    family = body.get("family", scope.rule.family)
    versions = {"ip": ("4",), "ip6": ("6",)}.get(family, ("4", "6"))
    row: dict[str, Values] = {}
    if (name != "dnat" and name != "snat") or "addr" in body:
        for version in versions:
            try:
                row[f"{side}{version}"] = value_of(f"{side}{version}", body["addr"])
            except (NotModelled, KeyError, TypeError, ValueError):
                row[f"{side}{version}"] = ANY[f"{side}{version}"]
    address = body.get("addr")
    if isinstance(address, dict) and "map" in address:
        row |= _mapped(scope, address["map"], [f"{side}{version}" for version in versions], port)
    if "port" in body:
        try:
            row[port] = value_of(port, body["port"])
        except (NotModelled, KeyError, TypeError, ValueError):
            row[port] = ANY[port]
    elif not destination:
        row[port] = ANY[port]  # a translated source may always get another port
    if scope.objects.asks_routes:
        row |= {n: ANY[n] for n in (DESTINATION if destination else SOURCE)[3:]}
    return row


def _mapped(scope: Scope, body: Expr, addresses: Sequence[str], port: str) -> Row:
    """What a map's values make of a packet: one of its addresses, and of its ports where it holds those too (`a . p`).

    nft prints no more of the port than that; the kernel takes it from the map (`proto_min` in the rule's bytecode).
    """
    data = body["data"]
    try:
        held = scope.elements(data) if isinstance(data, str) else data["set"]
        given = [one["concat"] if isinstance(one, dict) and "concat" in one else [one] for _, one in held]
        row = dict.fromkeys(
            addresses, tuple(span for one in given for span in value_of(addresses[0], one[0]))
        )
        if any(len(one) > 1 for one in given):
            row[port] = tuple(span for one in given for span in value_of(port, one[1]))
    except (NotModelled, KeyError, TypeError, ValueError, IndexError):
        return {name: ANY[name] for name in (*addresses, port)}
    return row if len(addresses) == 1 and given else {name: ANY[name] for name in (*addresses, port)}
