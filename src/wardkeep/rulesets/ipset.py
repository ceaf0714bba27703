"""The text of `ipset save`: named sets of addresses, networks, ports and interfaces, as rows of packet dimensions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wardkeep.core.errors import BadInput
from wardkeep.packets.dimensions import Row, Values
from wardkeep.rulesets import names
from wardkeep.rulesets.spans import TOPS, Spans, join, network, outside

TODO = "Give the output of `ipset save` as it is"
SIDES = {("src", 4): "src4", ("dst", 4): "dst4", ("src", 6): "src6", ("dst", 6): "dst6"}


@dataclass(slots=True)
class Ipset:
    """`parts` are what an element is made of (`ip`, `net`, `port`, `mac`, `iface`, `mark`; or `set` for a list of sets).

    `changes`: elements go by themselves (a timeout), so that what is listed is only a snapshot.
    """

    name: str
    parts: tuple[str, ...]
    version: int
    elements: list[str] = field(default_factory=list)
    exceptions: list[str] = field(default_factory=list)  # entries with `nomatch`
    changes: bool = False


def read_ipsets(text: str, name: str) -> dict[str, Ipset]:
    """Raises BadInput `NAME:LINE: …` for a line that `ipset save` does not write."""
    found: dict[str, Ipset] = {}
    if text and not text.endswith("\n"):
        # `add x 10.0.0.1` may have been `add x 10.0.0.12`.
        raise BadInput("its last line has no end: the file is cut off", where=name, todo=TODO)
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#") or words[0] in ("swap", "destroy"):
            continue
        where = f"{name}:{number}"
        if words[0] in ("create", "-N") and len(words) >= 3:
            kind, _, parts = words[2].partition(":")
            version = 6 if "inet6" in words[3:] else 4
            found[words[1]] = Ipset(
                words[1],
                ("set",) if kind == "list" else tuple(parts.split(",")),
                version,
                changes="timeout" in words[3:],
            )
        elif words[0] in ("add", "-A") and len(words) >= 3:
            if words[1] not in found:
                raise BadInput(f"the set {words[1]} is not created before this line", where=where, todo=TODO)
            chosen = found[words[1]]
            element = words[2] + "*" * ("wildcard" in words[3:])
            (chosen.exceptions if "nomatch" in words[3:] else chosen.elements).append(element)
        else:
            raise BadInput(f"`{line[:60]}` is nothing that ipset writes", where=where, todo=TODO)
    return found


def rows_of(
    chosen: Ipset, sides: Sequence[str], version: int, known: Mapping[str, Ipset]
) -> list[Row] | None:
    """The set's elements as rows, looked up by `sides` (`src`, `dst`, one for each part). None: not modelled."""
    if chosen.parts == ("set",):
        rows: list[Row] = []
        for member in chosen.elements:
            inner = known.get(member)
            found = (
                rows_of(inner, sides, version, known)
                if inner is not None and inner.parts != ("set",)
                else None
            )
            if found is None:
                return None
            rows += found
        return rows
    if len(sides) < len(chosen.parts):
        return None
    if chosen.version != version and {"ip", "net"} & set(chosen.parts):
        return []  # a set of the other family holds none of these packets
    if len(chosen.parts) == 1 and chosen.parts[0] in ("ip", "net"):
        return _addresses(chosen, sides[0], version)
    if chosen.exceptions:
        return None
    rows = []
    for element in chosen.elements:
        row = _row(chosen, element, sides, version)
        if row is None:
            return None
        rows.append(row)
    return rows


def _addresses(chosen: Ipset, side: str, version: int) -> list[Row] | None:
    spans: list[tuple[int, int]] = []
    holes: list[tuple[int, int]] = []
    for text, goal in [(e, spans) for e in chosen.elements] + [(e, holes) for e in chosen.exceptions]:
        found = _span(text, version)
        if found is None:
            return None
        goal.extend(found)
    if holes:
        # The most specific entry decides: holes within holes would need that order, one level is a difference.
        if any(low >= a and high <= b for low, high in spans for a, b in holes):
            return None
        spans = list(outside((*outside(spans, TOPS[version]), *holes), TOPS[version]))
    return [{SIDES[side, version]: join(spans)}] if spans else []


def _span(text: str, version: int) -> Spans | None:
    low, dash, high = text.partition("-")
    first, last = network(low, version), network(high, version) if dash else ((0, 0),)
    if first is None or last is None:
        return None
    return ((first[0][0], last[0][1]),) if dash else first


def _row(chosen: Ipset, element: str, sides: Sequence[str], version: int) -> Row | None:
    row: dict[str, Values] = {}
    for part, text, side in zip(chosen.parts, element.split(","), sides, strict=False):
        if part in ("ip", "net"):
            spans = _span(text, version)
            # `hash:ip,port,ip` with src,src names one dimension twice: no packet set of ours.
            if spans is None or SIDES[side, version] in row:
                return None
            row[SIDES[side, version]] = spans
        elif part == "port":
            told = _port(text)
            if told is None:
                return None
            row["proto"], values = told
            row["sport" if side == "src" else "dport"] = values
        elif part == "mac":
            if not re.fullmatch(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}", text) or side != "src":
                return None
            row["mac"] = ((int(text.replace(":", ""), 16),) * 2,)
        elif part == "iface":
            row["in" if side == "src" else "out"] = (text,)
        elif part == "mark":
            row["mark"] = ((int(text, 0),) * 2,)
        else:
            return None
    return row


def _port(text: str) -> tuple[Values, Values] | None:
    """`tcp:80`, `udp:1024-2048`, `80` (a bitmap of ports: any protocol with ports) as protocols and ports; None: neither."""
    protocol, colon, port = text.rpartition(":")
    number = names.protocol(protocol) if colon else None
    low, dash, high = port.partition("-")
    first, last = names.port(low), names.port(high) if dash else names.port(low)
    if (colon and number not in names.WITH_PORTS) or first is None or last is None:
        return None
    # ip_set_get_ip_port() of the kernel reads ports of these four.
    protocols: Values = ((6, 6), (17, 17), (132, 132), (136, 136)) if number is None else ((number, number),)
    return protocols, ((first, last),)
