"""What an nft match and an nft verdict map test, as parts of the engine's rule body."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wardkeep.packets.dimensions import ANY, DIMENSIONS, PORT_PROTOCOLS, STATES, AnyBit, Bits, Row, Values
from wardkeep.packets.program import Branches, Decision, Goto, Jump, Match, Part, Unknown, Verdict
from wardkeep.rulesets.nft.keys import (
    V6,
    WITH_HEADERS,
    Expr,
    Key,
    NotModelled,
    bits_of,
    implied_by,
    key_of,
    number_of,
    under_mask,
    value_of,
    within,
)
from wardkeep.rulesets.nft.objects import Objects, Rule
from wardkeep.rulesets.nft.other_words import in_other_words
from wardkeep.rulesets.nft.properties import ARRIVED, ETHER_TYPES, LATER
from wardkeep.rulesets.nft.wording import value
from wardkeep.rulesets.spans import Spans, join, meet, outside

FULL: Spans = ((0, 255),)
WITH_PORTS = join(v for v in PORT_PROTOCOLS if isinstance(v, tuple))
MOST_NUMBERS = 64  # of bits that are compared as a number (`tcp flags & (fin | syn) < fin`)


@dataclass(slots=True)
class Scope:
    """The rule being read, and which protocols its matches so far leave: `th dport` means ports only on those with ports."""

    objects: Objects
    rule: Rule
    protocols: Spans = field(default=FULL)

    def key(self, left: Any) -> Key:
        """What the left side of a match looks at, in this chain. Raises NotModelled."""
        found = within(key_of(left), self.rule.family, self.objects.hooks_of(self.rule))
        if found.dimension == "mss" and self.objects.clamps:
            raise NotModelled("a size that rules change")
        if found.dimension == "src_route_marked" and self.objects.marks:
            raise NotModelled("a route by a mark that rules change")
        return found

    @property
    def routed(self) -> bool:
        """Whether only packets that IP has taken come here."""
        return (
            self.rule.family in ("ip", "ip6", "inet") and self.objects.hooks_of(self.rule) <= ARRIVED | LATER
        )

    def elements(self, name: str) -> Sequence[Any]:
        """What the set or map `@name` holds. Raises NotModelled if that can change by itself."""
        key = (self.rule.family, self.rule.table, name.removeprefix("@"))
        found = self.objects.find(*key)
        if found is None:
            raise NotModelled(f"the set {name}, which is not listed")
        if found.changes or key in self.objects.written:
            raise NotModelled(f"the set {name}, which changes")
        return found.elements

    def values(self, right: Any) -> list[Any]:
        """The single values of a right-hand side."""
        if isinstance(right, str) and right.startswith("@"):
            return list(self.elements(right))
        if isinstance(right, dict) and "set" in right:
            inner = right["set"]
            return list(inner) if isinstance(inner, list) else [inner]
        return [right]


def match_parts(scope: Scope, body: Expr) -> list[Part]:
    """One `match`. What is not modelled is Unknown, within what nft tests before it."""
    left, op, right = body["left"], body["op"], body["right"]
    try:
        if (told := in_other_words(body, scope.routed)) is not None:
            return told
        if isinstance(left, dict) and "concat" in left:
            keys = [scope.key(one) for one in left["concat"]]
            implied, rows = _joined(scope, keys, [_split(v, len(keys)) for v in scope.values(right)])
            if op not in ("==", "!="):
                raise NotModelled(op)
            return [*_before(implied), Match(tuple(rows), op == "!=")]
        return _single(scope, scope.key(left), op, right)
    except (NotModelled, KeyError, TypeError, ValueError, IndexError):
        # A field that nft prints in a form we do not know is as unknown as a field we do not know.
        return [Unknown(_text(body), may=_may(left, right))]


def _may(left: Any, right: Any) -> tuple[Row, ...]:
    """The packets that can match what is not modelled. A field of an extension header: those with one (`missing`: any)."""
    implied = _implied(left)
    if isinstance(left, dict) and "exthdr" in left and right is not False:
        return tuple({**implied, name: ((1, 1),)} for name in ("extension", "fragment"))
    return (implied,)


def _text(body: Expr) -> str:
    op = "" if body["op"] in ("==", "in") else f"{body['op']} "
    right = body["right"]
    if isinstance(right, bool):
        return f"{value(body['left'])} {'exists' if right else 'missing'}"
    return f"{value(body['left'])} {op}{value(right)}"


def _implied(left: Any) -> Row:
    if isinstance(left, dict) and "concat" in left:
        return {}
    try:
        return key_of(left).implied if "ip6 nexthdr" not in value(left) else V6
    except NotModelled:
        return implied_by(left)


def _before(implied: Row) -> list[Part]:
    return [Match((implied,))] if implied else []


def _single(scope: Scope, key: Key, op: str, right: Any) -> list[Part]:
    negated = op in ("!=", "!")
    if key.dimension == "family" and key.implied:
        right = _ether_types(right)
    values = _values(scope, key, op, right)
    if key.dimension == "proto" and not key.exact:
        return _next_header(scope, values, negated)
    if not key.exact:
        return _transport(scope, key, values, negated, f"th {key.dimension}")
    if not negated:
        _learn(scope, key, values)
        return [Match(({**key.implied, key.dimension: values},))] if values else [Match(())]
    if key.implied:
        scope.protocols = meet(scope.protocols, _spans(key.implied.get("proto", FULL)))
    return [*_before(key.implied), Match(({key.dimension: values},) if values else (), negated=True)]


def _ether_types(right: Any) -> Any:
    """`ether type ip` as a family. Raises NotModelled for other types: behind the bridge they are none of IP's packets."""
    told = right["set"] if isinstance(right, dict) and "set" in right else [right]
    if not isinstance(told, list) or any(one not in ETHER_TYPES for one in told):
        raise NotModelled("an ether type")
    return {"set": [{4: "ipv4", 6: "ipv6"}[ETHER_TYPES[one]] for one in told]}


def _spans(values: Values) -> Spans:
    return join(v for v in values if isinstance(v, tuple))


def _learn(scope: Scope, key: Key, values: Values) -> None:
    row = {**key.implied, key.dimension: values}
    if "proto" in row:
        scope.protocols = meet(scope.protocols, _spans(row["proto"]))


def _values(scope: Scope, key: Key, op: str, right: Any) -> Values:
    """The values that meet `op right`; for a negated operator, those that do not."""
    dimension = key.dimension
    shape, highest = DIMENSIONS[dimension].shape, DIMENSIONS[dimension].highest
    if op in ("in", "!"):
        bits = bits_of(dimension, right)
        if dimension == "state":
            return tuple((n, n) for n in range(len(STATES)) if bits >> n & 1)
        if shape != "bits":
            raise NotModelled(op)
        return (AnyBit(bits if key.mask is None else bits & key.mask),)
    if op in ("<", ">", "<=", ">=") and shape == "bits":
        return _numbers(key, op, bits_of(dimension, right))
    if op in ("<", ">", "<=", ">="):
        if key.mask is not None or shape != "range":
            raise NotModelled(op)
        number = number_of(dimension, right)
        low, high = {
            "<": (0, number - 1),
            "<=": (0, number),
            ">": (number + 1, highest),
            ">=": (number, highest),
        }[op]
        return ((low, high),) if low <= high else ()
    if op not in ("==", "!="):
        raise NotModelled(op)
    found: list[Any] = []
    for one in scope.values(right):
        if key.mask is None:
            found += value_of(dimension, one)
        elif shape == "bits":
            found.append(Bits(key.mask, bits_of(dimension, one)))
        else:
            found += under_mask(dimension, key.mask, bits_of(dimension, one))
    return tuple(found)


def _numbers(key: Key, op: str, bound: int) -> Values:
    """Bits compared as a number: each number under the mask that compares so. Raises NotModelled if they are too many."""
    mask = DIMENSIONS[key.dimension].highest if key.mask is None else key.mask
    kept = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}[op]
    if mask > 255:
        raise NotModelled(
            "a mark compared as a number"
        )  # the kernel compares it in the machine's order of bytes
    found = [n for n in range(256) if n & ~mask == 0 and kept(n, bound)]
    if len(found) > MOST_NUMBERS:
        raise NotModelled("too many numbers")
    return tuple(Bits(mask, n) for n in found)


def _next_header(scope: Scope, values: Values, negated: bool) -> list[Part]:
    """`ip6 nexthdr tcp`: the first header of several. Only without extension headers is it the protocol."""
    spans = _spans(values)
    if any(low <= number <= high for low, high in spans for number in WITH_HEADERS):
        row: Row = {"family": ((6, 6),), "extension": ((0, 0),), "proto": spans}
        return (
            [Unknown("ip6 nexthdr of an extension header", may=(row, {**V6, "extension": ((1, 1),)}))]
            if (not negated)
            else [Unknown("ip6 nexthdr != an extension header", may=(V6,))]
        )
    if not negated:
        scope.protocols = meet(scope.protocols, spans)
        return [Match(({**V6, "extension": ((0, 0),), "proto": spans},))]
    return [Match((V6,)), Match(({"extension": ((0, 0),), "proto": spans},), negated=True)]


def _transport(scope: Scope, key: Key, values: Values, negated: bool, text: str) -> list[Part]:
    """`th dport`: the port where there is one; on other protocols it reads whatever stands there."""
    if _within(scope.protocols, WITH_PORTS):
        return [Match(({key.dimension: values},) if values else (), negated)]
    spans = outside(_spans(values), 65535) if negated else _spans(values)
    sure: Row = {key.dimension: spans}
    others: Row = {"proto": outside(WITH_PORTS, 255), "fragment": ((0, 0),)}
    return [Unknown(f"{text} of a protocol without ports", may=(sure, others), must=(sure,))]


def _within(inner: Spans, outer: Spans) -> bool:
    return meet(inner, outer) == inner


def _split(element: Any, count: int) -> list[Any]:
    """The values of one concatenated element. Raises NotModelled."""
    if isinstance(element, dict) and "elem" in element:
        element = element["elem"]["val"]
    if element == "*":
        return ["*"] * count
    if not isinstance(element, dict) or "concat" not in element or len(element["concat"]) != count:
        raise NotModelled("an element of a concatenation")
    return list(element["concat"])


def _joined(scope: Scope, keys: Sequence[Key], elements: Sequence[Sequence[Any]]) -> tuple[Row, list[Row]]:
    """What the keys imply together, and one row for each element. Raises NotModelled."""
    implied: dict[str, Values] = {}
    named = [key.dimension for key in keys]
    for key in keys:
        if key.mask is not None or (key.dimension == "proto" and not key.exact):
            raise NotModelled("a mask in a concatenation")
        for name, values in key.implied.items():
            if implied.setdefault(name, values) != values:
                raise NotModelled("two families or protocols in one concatenation")
    # `meta l4proto . tcp dport`: nft asks for TCP first, and then for the protocol in the set as well.
    if len(set(named)) < len(named) or (set(named) & set(implied)) - {"proto", "family"}:
        raise NotModelled("the same thing twice in a concatenation")
    rows: list[Row] = []
    for element in elements:
        row = {name: value_of(name, one) for name, one in zip(named, element, strict=True)}
        if any(not key.exact for key in keys):
            protocols = _spans(row.get("proto", FULL))
            if not _within(meet(protocols, scope.protocols), WITH_PORTS):
                raise NotModelled("a port of any protocol")
        rows.append(row)
    return implied, rows


def branch_parts(scope: Scope, body: Expr) -> list[Part]:
    """One `vmap`. A map that changes, or is not modelled, may decide anything for what it may match."""
    key, data = body["key"], body["data"]
    told = f"{value(key)} vmap {value(data) if isinstance(data, str) else '{ ... }'}"
    try:
        elements = scope.elements(data) if isinstance(data, str) else data["set"]
        if isinstance(key, dict) and "concat" in key:
            keys = [scope.key(one) for one in key["concat"]]
            plain = [(e[0], e[1]) for e in elements]
            implied, rows = _joined(scope, keys, [_split(k, len(keys)) for k, _ in plain if k != "*"])
            decided = [(row, decision(scope, d)) for row, (_, d) in zip(rows, _named(plain), strict=True)]
            default: Row = {k.dimension: ANY[k.dimension] for k in keys}
        else:
            one = scope.key(key)
            if not one.exact and not (one.dimension != "proto" and _within(scope.protocols, WITH_PORTS)):
                raise NotModelled("a key that is not exact")
            implied, plain = one.implied, [(e[0], e[1]) for e in elements]
            decided = _grouped(scope, one, plain)
            default = {one.dimension: ANY[one.dimension]}
        decided += [(default, decision(scope, d)) for k, d in plain if k == "*"]
        return [*_before(implied), Branches(tuple(decided))]
    except (NotModelled, KeyError, TypeError, ValueError, IndexError):
        may: Row = {} if isinstance(key, dict) and "concat" in key else _implied(key)
        return [Unknown(told, may=(may,)), Verdict("queue", told)]


def _named(plain: Sequence[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    return [(k, d) for k, d in plain if k != "*"]


def _grouped(scope: Scope, key: Key, plain: Sequence[tuple[Any, Any]]) -> list[tuple[Row, Decision]]:
    """One row for all elements with the same decision: keys of a map never overlap."""
    found: dict[Decision, list[Any]] = {}
    for element, verdict in _named(plain):
        values = (
            value_of(key.dimension, element)
            if key.mask is None
            else under_mask(key.dimension, key.mask, bits_of(key.dimension, element))
        )
        found.setdefault(decision(scope, verdict), []).extend(values)
    return [({key.dimension: tuple(values)}, chosen) for chosen, values in found.items()]


def decision(scope: Scope, verdict: Mapping[str, Any]) -> Decision:
    """A verdict of a map. Raises NotModelled."""
    ((name, body),) = verdict.items()
    match name:
        case "accept" | "drop" | "return" | "continue":
            return Verdict(name)
        case "jump":
            return Jump(f"{scope.rule.family} {scope.rule.table} {body['target']}")
        case "goto":
            return Goto(f"{scope.rule.family} {scope.rule.table} {body['target']}")
        case "queue":
            return Verdict("queue")
    raise NotModelled(name)
