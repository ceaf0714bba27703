"""Files of any known format, recognised by what is in them, as programs of the packet engine."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wardkeep.core.errors import BadInput
from wardkeep.packets.program import Chain, Program, Unknown, faults
from wardkeep.rulesets.aws import read_aws
from wardkeep.rulesets.ipset import Ipset, read_ipsets
from wardkeep.rulesets.iptables.reader import read_iptables
from wardkeep.rulesets.nft.loading import load_nft
from wardkeep.rulesets.nft.objects import Objects, read_objects
from wardkeep.rulesets.nft.reader import read_nft

MOST_BYTES = 48_000_000  # of all files together: about 150,000 rules, which take the engine half a minute
KNOWN = "`nft -j list ruleset`, an nft file, `iptables-save`, `ip6tables-save`, `ipset save`, AWS security groups or network ACLs"


@dataclass(frozen=True, slots=True)
class Source:
    """One file: `kind` is nft, nft-text, iptables, ipset or aws."""

    path: Path
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class RuleSet:
    """A program and what it stands for: `kind` is host, group (AWS security group) or acl.

    `families` are those (4, 6) that the files speak of: of a host whose ip6tables dump was not given, IPv6 is not known.
    """

    program: Program
    kind: str = "host"
    families: tuple[int, ...] = (4, 6)


def load(paths: Sequence[Path]) -> list[RuleSet]:
    """The rule sets in the files: those of one host together as one program, each AWS group and ACL as its own.

    IPv4, IPv6 and ipset dumps given together are one host. Raises BadInput or NotUnderstood in one line: which file,
    which line, what to do.
    """
    size = sum(_size(path) for path in paths)
    if size > MOST_BYTES:
        raise BadInput(
            f"{size / 1e6:.0f} MB of rules, at most {MOST_BYTES // 1_000_000} MB are read at once",
            where=str(paths[0]) if len(paths) == 1 else f"{len(paths)} files",
            todo="Give one table at a time (`iptables-save -t filter`), or put long lists of addresses into sets",
        )
    return rule_sets([read_source(path) for path in paths])


def rule_sets(sources: Sequence[Source]) -> list[RuleSet]:
    """The rule sets of texts that are already read; see `load`."""
    sets: dict[str, Ipset] = {}
    for source in sources:
        if source.kind == "ipset":
            sets |= read_ipsets(source.text, source.path.name)
    found: list[RuleSet] = []
    host: list[tuple[str, Chain]] = []
    notes: list[str] = []
    for source in sources:
        name = str(source.path)
        if source.kind == "aws":
            made = read_aws(_json(source.text, name), name)
            found += [RuleSet(p, "acl" if p.name.startswith("network ACL") else "group") for p in made]
            continue
        if source.kind == "ipset":
            continue
        chains, told = _chains(source, sets)
        host = _merged(host, chains, source)
        notes += told
    if host or any(s.kind in ("nft", "nft-text", "iptables") for s in sources):
        shown = ", ".join(s.path.name for s in sources if s.kind not in ("aws", "ipset"))
        if not host:
            notes.append("no chain is in it: every packet is accepted")
        families: tuple[int, ...] = (4, 6)
        if not any(s.kind in ("nft", "nft-text") for s in sources):
            families = tuple(sorted({f for _, c in host if c.entry for f in c.entry.families})) or (4,)
            if len(families) == 1:
                other = "6" if families == (4,) else "4"
                tool = "ip6tables-save" if other == "6" else "iptables-save"
                notes.append(f"nothing is known of IPv{other}: give the dump of `{tool}` beside this one")
        # iptables finds no port in a later fragment; nftables reads one out of its payload.
        old = bool(host) and all(kind == "iptables" for kind, _ in host)
        program = Program(
            tuple(chain for _, chain in host), shown, fragments=True if old else None, notes=tuple(notes)
        )
        if wrong := faults(program):
            raise BadInput(wrong[0], where=shown, todo="Give the whole rule set as its tool writes it")
        found.insert(0, RuleSet(program, "host", families))
    if not found:
        only = "only sets, no rules, are" if sets else "no rules are"
        raise BadInput(f"{only} in it", where=str(sources[0].path), todo=f"Give {KNOWN}")
    return found


def _size(path: Path) -> int:
    try:
        if path.is_dir():
            raise BadInput("is a folder", where=str(path), todo="Name the files in it")
        return path.stat().st_size
    except OSError as e:
        raise BadInput(f"cannot be read: {e.strerror}", where=str(path)) from None


def read_source(path: Path) -> Source:
    """A file and its format. Raises BadInput for a file that is none we know."""
    try:
        data = path.read_bytes()
    except OSError as e:
        raise BadInput(f"cannot be read: {e.strerror}", where=str(path)) from None
    if b"\0" in data[:4096] and not data.lstrip().startswith(b"{"):
        raise BadInput("is no text", where=str(path), todo=f"Give {KNOWN}")
    text = data.decode("utf-8-sig", errors="replace")
    return Source(path, kind_of(text, str(path)), text)


def kind_of(text: str, where: str) -> str:
    """The format, by content. Raises BadInput, with what to do instead, for the near misses people have at hand."""
    head = text.lstrip()
    if not head:
        raise BadInput("is empty", where=where, todo=f"Give {KNOWN}")
    if head[0] in "{[":
        if '"nftables"' in head[:4096]:
            return "nft"
        told = _json(text, where)
        if isinstance(told, dict) and ("SecurityGroups" in told or "NetworkAcls" in told):
            return "aws"
        raise BadInput("is JSON, but of no firewall we know", where=where, todo=f"Give {KNOWN}")
    lines = [line for line in head.splitlines()[:400] if line.strip() and not line.lstrip().startswith("#")]
    first = lines[0] if lines else ""
    if (
        first.startswith("*")
        or re.match(r":\w+ (?:ACCEPT|DROP|-)", first)
        or head.startswith("# Generated by ip")
    ):
        return "iptables"
    if re.match(r"create \S+ \w+:|create \S+ (?:list:set|bitmap)", first):
        return "ipset"
    if any(
        re.match(r"\s*(?:table|add table|flush ruleset|create table|define|include|destroy table)\b", x)
        for x in lines
    ):
        return "nft-text"
    if any(re.match(r"Chain \S+ \((?:policy|\d+ references)", line) for line in lines):
        todo = "Give the output of `iptables-save` instead"
        raise BadInput(
            "is the listing of `iptables -L`, which leaves out interfaces and options", where=where, todo=todo
        )
    if any(re.match(r"\s*(?:sudo )?\S*ip6?tables\s+-", line) for line in lines):
        todo = "Run it and give the output of `iptables-save`"
        raise BadInput(
            "is a script of iptables commands, whose effect depends on what was there", where=where, todo=todo
        )
    if any(re.match(r"-A \S+ ", line) for line in lines):
        todo = "Give the output of `iptables-save` as it is, from `*filter` to COMMIT"
        raise BadInput("has rules of iptables, but no table", where=where, todo=todo)
    raise BadInput("is of no format we know", where=where, todo=f"Give {KNOWN}")


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as e:
        at = f"line {e.lineno}, column {e.colno}" if isinstance(e, json.JSONDecodeError) else "somewhere"
        told = f"is no whole JSON: it breaks off or is wrong at {at}"
        raise BadInput(told, where=where, todo="Export it again") from None


def _chains(source: Source, sets: dict[str, Ipset]) -> tuple[list[Chain], list[str]]:
    name = str(source.path)
    if source.kind == "iptables":
        return read_iptables(source.text, name, sets)
    if source.kind == "nft":
        return read_nft(read_objects(source.text, name), name)
    told, texts, flags = load_nft(source.path, source.text)
    found = read_objects(told, name)
    tables = tuple(replace(t, flags=flags.get((t.family, t.name), ())) for t in found.tables)
    whole = Objects(tables, found.chains, found.rules, found.collections)
    return read_nft(whole, name, texts)


def _merged(host: list[tuple[str, Chain]], chains: list[Chain], source: Source) -> list[tuple[str, Chain]]:
    """The chains so far and those of one more file. An iptables dump stands in for nft tables that nft could not print."""
    dark = {table_of(chain) for kind, chain in host if kind != "iptables" and is_dark(chain)}
    coming = {table_of(chain) for chain in chains}
    if source.kind == "iptables":
        host = [(kind, c) for kind, c in host if kind == "iptables" or table_of(c) not in coming & dark]
    else:
        told = {table_of(c) for kind, c in host if kind == "iptables"}
        dark = {table_of(c) for c in chains if is_dark(c)}
        chains = [c for c in chains if table_of(c) not in told & dark]
    held = {chain.id for _, chain in host}
    twice = next((c.id for c in chains if c.id in held), "")
    if twice:
        todo = "Give one dump of each table of one host"
        raise BadInput(
            f"the table {table_words(twice)} is also in another file", where=str(source.path), todo=todo
        )
    return [*host, *((source.kind, chain) for chain in chains)]


def table_of(chain: Chain) -> str:
    """The family and table of a chain: `ip filter`."""
    return table_words(chain.id)


def table_words(chain_id: str) -> str:
    return " ".join(chain_id.split(" ")[:2])


def is_dark(chain: Chain) -> bool:
    """Whether a rule has a match that only the iptables tools can print."""
    return any(
        isinstance(part, Unknown) and part.text.endswith("which nft does not print")
        for rule in chain.rules
        for part in rule.body
    )
