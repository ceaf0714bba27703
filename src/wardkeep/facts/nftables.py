"""The kernel's packet filter as nftables tells it, in its own JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question

FAMILIES = frozenset({"ip", "ip6", "inet", "arp", "bridge", "netdev"})


@dataclass(frozen=True, slots=True)
class Table:
    family: str
    name: str
    flags: tuple[str, ...] = ()  # "dormant": loaded, but its chains see no packet


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


@dataclass(frozen=True, slots=True)
class Nftables:
    """The whole rule set: tables, chains, rules in evaluation order, named sets and maps."""

    # --numeric-* are avoided on purpose: names of ports would vary with /etc/services, and JSON has numbers already.
    ask: ClassVar[Question] = Question("nftables", "nft -j list ruleset", tool="nft")
    tables: tuple[Table, ...]
    chains: tuple[Chain, ...]
    rules: tuple[Rule, ...]
    collections: tuple[Collection, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        """One JSON object as libnftables-json(5), schema version 1. Unknown kinds of object are refused.

        An empty rule set is a fact (nothing is filtered); an empty *answer* is refused.
        """
        try:
            whole = json.loads(answer.text())
            objects = whole["nftables"]
            version = objects[0]["metainfo"]["json_schema_version"]
        except (ValueError, KeyError, IndexError, TypeError):
            raise NotUnderstood("not the JSON of `nft -j list ruleset`", where=answer.question) from None
        if version != 1:
            raise NotUnderstood(f"JSON schema version {version}, only 1 is known", where=answer.question)
        gathered: dict[str, list[Any]] = {"table": [], "chain": [], "rule": [], "collection": []}
        for entry in objects[1:]:
            kind, made = _object(entry, answer.question)
            if made is not None:
                gathered[kind].append(made)
        return cls(*(tuple(gathered[kind]) for kind in ("table", "chain", "rule", "collection")))

    def find(self, family: str, table: str, name: str) -> Collection | None:
        """The named set or map of a table."""
        wanted = (family, table, name)
        return next((c for c in self.collections if (c.family, c.table, c.name) == wanted), None)

    def has_table(self, family: str, name: str) -> bool:
        return any(t.family == family and t.name == name for t in self.tables)

    def rules_of(self, chain: Chain) -> tuple[Rule, ...]:
        """The rules of a chain, in the order the kernel tries them."""
        wanted = (chain.family, chain.table, chain.name)
        return tuple(r for r in self.rules if (r.family, r.table, r.chain) == wanted)


def _object(entry: Any, question: str) -> tuple[str, Any]:
    if not isinstance(entry, dict) or len(entry) != 1:
        raise NotUnderstood("an entry of the rule set is no single object", where=question)
    ((kind, body),) = entry.items()
    try:
        match kind:
            case "table":
                return "table", Table(_family(body, question), body["name"], _words(body.get("flags", ())))
            case "chain":
                return "chain", _chain(body, question)
            case "rule":
                expressions = tuple(body["expr"])
                if not all(isinstance(e, dict) and len(e) == 1 for e in expressions):
                    raise NotUnderstood("a rule's expression is no single object", where=question)
                made = Rule(
                    _family(body, question),
                    body["table"],
                    body["chain"],
                    int(body["handle"]),
                    expressions,
                    body.get("comment", ""),
                )
                return "rule", made
            case "set" | "map":
                return "collection", _collection(body, kind == "map", question)
            case "counter" | "quota" | "limit" | "ct helper" | "ct timeout" | "ct expectation":
                return "table", None  # named objects: they are referred to, and decide nothing by themselves
            case "secmark" | "synproxy" | "flowtable" | "element":
                return "table", None
    except (KeyError, TypeError, ValueError) as e:
        raise NotUnderstood(f"a {kind} lacks or garbles {e}", where=question) from None
    raise NotUnderstood(f"an object of the unknown kind `{kind}`", where=question)


def _family(body: Mapping[str, Any], question: str) -> str:
    family = body["family"]
    if family not in FAMILIES:
        raise NotUnderstood(f"the unknown family `{family}`", where=question)
    return str(family)


def _chain(body: Mapping[str, Any], question: str) -> Chain:
    family, table, name = _family(body, question), body["table"], body["name"]
    if "hook" not in body:
        return Chain(family, table, name)
    policy = body.get("policy", "accept" if family in ("netdev",) else None)
    if policy not in ("accept", "drop"):
        raise NotUnderstood(f"the base chain `{name}` has the policy `{policy}`", where=question)
    return Chain(family, table, name, body["hook"], body["type"], int(body["prio"]), policy)


def _collection(body: Mapping[str, Any], is_map: bool, question: str) -> Collection:
    flags = _words(body.get("flags", ()))
    # `dynamic` is lost in the JSON of nft 1.0.6; a timeout always shows and means the same for us.
    changes = bool({"dynamic", "timeout"} & set(flags)) or "timeout" in body
    family, table = _family(body, question), body["table"]
    return Collection(family, table, body["name"], is_map, tuple(body.get("elem", ())), changes)


def _words(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
