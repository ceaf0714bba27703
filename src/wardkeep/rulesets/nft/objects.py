"""The objects of `nft -j list ruleset`, each with what it says; nothing is judged here.

Source of the form: libnftables-json(5), schema version 1. Kinds of object that are not known are refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from wardkeep.core.errors import NotUnderstood

FAMILIES = frozenset({"ip", "ip6", "inet", "arp", "bridge", "netdev"})
# Named objects: rules refer to them, and they decide nothing by themselves.
NAMED = frozenset(
    {
        *(
            "counter",
            "quota",
            "limit",
            "ct helper",
            "ct timeout",
            "ct expectation",
            "secmark",
            "synproxy",
            "flowtable",
        ),
        *("element", "tunnel"),
    }
)


@dataclass(frozen=True, slots=True)
class Table:
    """`flags` as nft tells them: "dormant" (loaded, but its chains see no packet), "owner", "persist"."""

    family: str
    name: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain; `hook` is "" unless packets enter it by themselves (a base chain). `policy` is accept or drop."""

    family: str
    table: str
    name: str
    hook: str = ""
    kind: str = ""  # filter | nat | route
    priority: int = 0
    policy: str = ""
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: `expr` are its expressions, in order, as libnftables-json(5) describes them."""

    family: str
    table: str
    chain: str
    handle: int
    expr: tuple[Mapping[str, Any], ...]
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Collection:
    """A named set or map. `elements` is what it holds now; `changes` says that it can hold something else later."""

    family: str
    table: str
    name: str
    is_map: bool
    elements: tuple[Any, ...]
    changes: bool


@dataclass(frozen=True)
class Objects:
    """The whole rule set: tables, chains, rules in evaluation order, named sets and maps."""

    tables: tuple[Table, ...]
    chains: tuple[Chain, ...]
    rules: tuple[Rule, ...]
    collections: tuple[Collection, ...]

    def find(self, family: str, table: str, name: str) -> Collection | None:
        """The named set or map of a table."""
        return self._named.get((family, table, name))

    @cached_property
    def _named(self) -> Mapping[tuple[str, str, str], Collection]:
        return {(c.family, c.table, c.name): c for c in self.collections}

    @cached_property
    def by_chain(self) -> Mapping[tuple[str, str, str], list[Rule]]:
        """The rules of each chain (family, table, name), in the order the kernel tries them."""
        found: dict[tuple[str, str, str], list[Rule]] = {}
        for rule in self.rules:
            found.setdefault((rule.family, rule.table, rule.chain), []).append(rule)
        return found

    def hooks_of(self, rule: Rule) -> frozenset[str]:
        """The hooks by which packets can come to a rule, through jumps and verdict maps too."""
        return self._hooks.get((rule.family, rule.table, rule.chain), frozenset())

    @cached_property
    def _hooks(self) -> Mapping[tuple[str, str, str], frozenset[str]]:
        calls: dict[tuple[str, str, str], set[str]] = {}
        for key, rules in self.by_chain.items():
            calls[key] = {
                name
                for rule in rules
                for expr in rule.expr
                for name in self._called(expr, rule.family, rule.table)
            }
        found: dict[tuple[str, str, str], set[str]] = {}
        for chain in self.chains:
            if not chain.hook:
                continue
            left = [(chain.family, chain.table, chain.name)]
            while left:
                key = left.pop()
                if chain.hook not in found.setdefault(key, set()):
                    found[key].add(chain.hook)
                    left += [(*key[:2], name) for name in calls.get(key, ())]
        return {key: frozenset(hooks) for key, hooks in found.items()}

    def _called(self, body: Any, family: str, table: str) -> Iterator[str]:
        """The chains an expression can lead to, and those a map that it names holds."""
        if isinstance(body, str) and body.startswith("@"):
            held = self.find(family, table, body[1:])
            body = list(held.elements) if held and held.is_map else ()
        if isinstance(body, dict):
            if isinstance(body.get("target"), str):
                yield body["target"]
            body = list(body.values())
        if isinstance(body, list):
            for inner in body:
                yield from self._called(inner, family, table)

    @cached_property
    def asks_routes(self) -> bool:
        """Whether some rule asks what routing says of an address."""
        return any(_mentions(expr, "fib") for rule in self.rules for expr in rule.expr)

    @cached_property
    def asks_sockets(self) -> bool:
        """Whether some rule asks for the local socket of a packet, or for what owns it."""
        return any(
            _mentions(expr, "socket") or _asks_owner(expr) for rule in self.rules for expr in rule.expr
        )

    @cached_property
    def marks(self) -> bool:
        """Whether some rule sets the mark of packets."""
        return any(_mentions(e["mangle"]["key"], "meta") for r in self.rules for e in r.expr if "mangle" in e)

    @cached_property
    def clamps(self) -> bool:
        """Whether some rule writes a TCP option."""
        return any(
            _mentions(e["mangle"]["key"], "tcp option") for r in self.rules for e in r.expr if "mangle" in e
        )

    @cached_property
    def written(self) -> frozenset[tuple[str, str, str]]:
        """Sets that rules themselves write into. `dynamic` is lost in the JSON of nft 1.0.6; this is not."""
        found = set()
        for rule in self.rules:
            for expr in rule.expr:
                told = str(expr.get("unprinted", "")).split()
                if len(told) > 1 and told[1].startswith("@"):
                    found.add((rule.family, rule.table, told[1][1:]))
                for kind in ("set", "map"):
                    body = expr.get(kind)
                    if isinstance(body, dict) and isinstance(body.get(kind, body.get("set")), str):
                        name = str(body.get(kind, body.get("set"))).removeprefix("@")
                        found.add((rule.family, rule.table, name))
        return frozenset(found)


def _asks_owner(body: Any) -> bool:
    if isinstance(body, dict):
        asked = body.get("meta")
        owner = isinstance(asked, dict) and asked.get("key") in ("skuid", "skgid", "cgroup")
        return owner or any(_asks_owner(inner) for inner in body.values())
    return isinstance(body, list) and any(_asks_owner(inner) for inner in body[:8])


def _mentions(body: Any, word: str) -> bool:
    """Whether a word is a key somewhere in an expression."""
    if isinstance(body, dict):
        return word in body or any(_mentions(inner, word) for inner in body.values())
    # The elements of a set are many, and plain.
    return isinstance(body, list) and any(_mentions(inner, word) for inner in body[:8])


def read_objects(text: str, where: str) -> Objects:
    """One JSON object as nft writes it. Raises NotUnderstood naming `where`.

    An empty rule set is an answer (nothing is filtered); an empty *text* is refused.
    """
    try:
        # nft 1.0.6 prints stray memory for a table's flags, control characters among it.
        whole = json.loads(text, strict=False)
        objects = whole["nftables"]
        version = objects[0]["metainfo"]["json_schema_version"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        raise NotUnderstood(
            "not the JSON of `nft -j list ruleset`",
            where=where,
            todo="Give its output as it is, from `metainfo` to the last bracket",
        ) from None
    if version != 1:
        raise NotUnderstood(f"JSON schema version {version}, only 1 is known", where=where)
    gathered: dict[str, list[Any]] = {"table": [], "chain": [], "rule": [], "collection": []}
    for entry in objects[1:]:
        kind, made = _object(entry, where)
        for name in ("family", "table", "name", "chain", "hook", "comment"):
            if not isinstance(getattr(made, name, ""), str):
                raise NotUnderstood(f"the `{name}` of a {kind} is no word", where=where)
        if made is not None:
            gathered[kind].append(made)
    return Objects(*(tuple(gathered[kind]) for kind in ("table", "chain", "rule", "collection")))


def _object(entry: Any, where: str) -> tuple[str, Any]:
    if not isinstance(entry, dict) or len(entry) != 1:
        raise NotUnderstood("an entry of the rule set is no single object", where=where)
    ((kind, body),) = entry.items()
    try:
        match kind:
            case "table":
                return "table", Table(_family(body, where), body["name"], words_of(body.get("flags", ())))
            case "chain":
                return "chain", _chain(body, where)
            case "rule":
                expressions = tuple({"unprinted": e} if isinstance(e, str) else e for e in body["expr"])
                if not all(isinstance(e, dict) and len(e) == 1 for e in expressions):
                    raise NotUnderstood("a rule's expression is no single object", where=where)
                made = Rule(
                    _family(body, where),
                    body["table"],
                    body["chain"],
                    int(body["handle"]),
                    expressions,
                    body.get("comment", ""),
                )
                return "rule", made
            case "set" | "map":
                return "collection", _collection(body, kind == "map", where)
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise NotUnderstood(f"a {kind} lacks or garbles {e}", where=where) from None
    if kind in NAMED:
        return "table", None
    raise NotUnderstood(f"an object of the unknown kind `{kind}`", where=where)


def _family(body: Mapping[str, Any], where: str) -> str:
    family = body["family"]
    if family not in FAMILIES:
        raise NotUnderstood(f"the unknown family `{family}`", where=where)
    return str(family)


def _chain(body: Mapping[str, Any], where: str) -> Chain:
    family, table, name = _family(body, where), body["table"], body["name"]
    if "hook" not in body:
        return Chain(family, table, name)
    policy = body.get("policy", "accept" if family in ("netdev",) else None)
    if policy not in ("accept", "drop"):
        raise NotUnderstood(f"the base chain `{name}` has the policy `{policy}`", where=where)
    devices = words_of(body.get("dev", ()))
    return Chain(family, table, name, body["hook"], body["type"], int(body["prio"]), policy, devices)


def _collection(body: Mapping[str, Any], is_map: bool, where: str) -> Collection:
    flags = words_of(body.get("flags", ()))
    # `dynamic` is lost in the JSON of nft 1.0.6; a timeout always shows and means the same for us.
    changes = bool({"dynamic", "timeout"} & set(flags)) or "timeout" in body
    family, table = _family(body, where), body["table"]
    return Collection(family, table, body["name"], is_map, tuple(body.get("elem", ())), changes)


def words_of(value: Any) -> tuple[str, ...]:
    """A word or a list of words as a tuple."""
    return (value,) if isinstance(value, str) else tuple(value)
