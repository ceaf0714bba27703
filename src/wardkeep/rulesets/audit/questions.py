"""Questions in words: `22/tcp from anywhere`, `db only from app`, `no telnet from anywhere`.

    WHAT [from WHO] [to WHO] [in LINK] [out LINK] [through | outgoing] [must be true | false]
    WHAT only from WHO [to WHO]          no WHAT from WHO

WHAT is `22/tcp`, `8000-8010/tcp`, `53/udp`, `ssh`, `ping`, `anything`, or a name; several with commas. WHO is `anywhere`, networks
with commas, or a name. Without `to`, `through` or `outgoing` the packets are those to this host itself. All are new connections.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from wardkeep.core.errors import BadInput
from wardkeep.core.text_files import parse_toml, read_text_file
from wardkeep.packets.dimensions import ROUTES, Row, Values
from wardkeep.rulesets import names
from wardkeep.rulesets.audit.regions import NEW, SYN, TOP, UNICAST, WORLD
from wardkeep.rulesets.spans import Spans, join, network, outside

TODO: Final = (
    "Ask like `22/tcp from anywhere`, `5432/tcp to 10.0.0.5 only from 10.0.1.0/24`, `no telnet from anywhere`"
)
KEYWORDS: Final = ("from", "to", "in", "out", "must")
ANYWHERE: Final = frozenset(
    {"anywhere", "anyone", "world", "internet", "the world", "the internet", "everywhere"}
)
EVERYTHING: Final = frozenset({"anything", "any", "all", "everything"})


@dataclass(frozen=True, slots=True)
class Who:
    """Addresses of both families; `world` says that `anywhere` was meant: strangers on the internet."""

    spans: Mapping[int, Spans]
    world: bool = False

    def others(self) -> Who:
        """Everybody else; a family that is not named at all is everybody of it."""
        return Who({version: outside(self.spans.get(version, ()), TOP[version]) for version in (4, 6)})


@dataclass(frozen=True, slots=True)
class Names:
    """What the operator calls addresses (`app`) and services (`db`)."""

    people: Mapping[str, Who] = field(default_factory=dict)
    services: Mapping[str, tuple[tuple[Row, ...], str]] = field(default_factory=dict)  # → rows, and `at` whom


@dataclass(frozen=True, slots=True)
class Question:
    """`rows` are the packets asked about. `must` is what the answer has to be ("" if only asked); `world`: `from anywhere`."""

    text: str
    rows: tuple[Row, ...]
    must: str = ""  # "" | "yes" | "no"
    world: bool = False


def read_names(path: Path) -> Names:
    """A TOML file: `[names]` with `app = "10.0.1.0/24"`, `db = { service = "5432/tcp", at = "10.0.2.5" }`. Raises BadInput."""
    told = parse_toml(read_text_file(path), str(path)).get("names")
    if not isinstance(told, dict):
        raise BadInput(
            "has no table [names]", where=str(path), todo='Write `[names]` and `app = "10.0.1.0/24"`'
        )
    people: dict[str, Who] = {}
    services: dict[str, tuple[tuple[Row, ...], str]] = {}
    for name, value in told.items():
        where = f"{path}: {name}"
        if isinstance(value, str | list):
            texts = [value] if isinstance(value, str) else value
            if all(isinstance(t, str) and _service(t.strip()) for t in texts):
                services[name] = (tuple(row for t in texts for row in _service(t.strip()) or ()), "")
            else:
                people[name] = _addresses([str(t) for t in texts], Names(), where)
        elif isinstance(value, dict) and set(value) <= {"service", "at"} and value.get("service"):
            texts = value["service"] if isinstance(value["service"], list) else [value["service"]]
            rows = [row for t in texts for row in _what(str(t), Names(), where)]
            at = value.get("at", "")
            at = ",".join(at) if isinstance(at, list) else str(at)
            services[name] = (tuple(rows), at)
            if at:
                people[name] = _addresses(at.split(","), Names(people), where)
        else:
            raise BadInput("is neither addresses nor a service", where=where, todo=TODO)
    return Names(people, services)


def ask(text: str, known: Names) -> Question:
    """A question understood. Raises BadInput naming the word that is not."""
    said = " ".join(text.strip().rstrip("?").split())
    words = re.sub(r"^(?:is|are|can|may) ", "", said)
    if words != said:  # `is 22/tcp from 10.0.0.0/8 allowed?` only asks
        words = re.sub(r" (?:open|allowed)$", "", words)
    must = ""
    if words.startswith("no "):
        words, must = words[3:], "no"
    if match := re.search(r" must (?:not|(?:be )?(true|false|yes|no|open|closed|allowed|denied))$", words):
        must = "yes" if match[1] in ("true", "yes", "open", "allowed") else "no"
        words = words[: match.start()]
    elif match := re.search(r" is (open|closed|allowed|denied)$", words):
        must = "yes" if match[1] in ("open", "allowed") else "no"
        words = words[: match.start()]
    only = False
    if " only from " in f" {words} ":
        words, only, must = words.replace("only from", "from", 1), True, "no"
    words, route = _route(words)
    parts = re.split(r" (from|to|in|out) ", f"{words} ")
    what, limits = parts[0].strip(), list(zip(parts[1::2], (p.strip() for p in parts[2::2]), strict=True))
    given = dict(limits)
    if not what or len(given) < len(limits):
        raise BadInput("names no service, or one thing twice", where=f"`{said}`", todo=TODO)
    source = _who(given["from"], known, said) if "from" in given else None
    if only:
        if source is None or source.world:
            raise BadInput("`only from` needs addresses", where=f"`{said}`", todo=TODO)
        source = source.others()
    at = known.services[what][1] if what in known.services else ""
    aim = _who(given.get("to", at), known, said) if "to" in given or at else None
    if what in known.people and what not in known.services:  # `db only from app`, where db are addresses
        aim, rows = known.people[what], _what("anything", known, said)
    else:
        rows = _what(what, known, said)
    links = {side: given[side] for side in ("in", "out") if side in given}
    routes = (route,) if route is not None else (0, 1) if aim is not None else (0,)
    if source is not None and source.world:
        # Who asks for `anywhere` and is told of one partner's network alone has not been answered.
        source = Who(WORLD, world=True)
    made = tuple(_regions(rows, source, aim, links, routes))
    return Question(said, made, must, source is not None and source.world)


def _route(words: str) -> tuple[str, int | None]:
    for word, route in (("through", "forward"), ("outgoing", "output")):
        if f" {word} " in f" {words} ":
            return " ".join(words.replace(word, " ").split()), ROUTES.index(route)
    return words, None


def _regions(
    rows: Iterable[Row],
    source: Who | None,
    aim: Who | None,
    links: Mapping[str, str],
    routes: tuple[int, ...],
) -> Iterable[Row]:
    for row in rows:
        for version in (4, 6):
            made: dict[str, Values] = {"family": ((version, version),), **row}
            if row.get("family", made["family"]) != ((version, version),):
                continue
            if source is not None:
                made[f"src{version}"] = source.spans.get(version, ())
            made[f"dst{version}"] = UNICAST[version] if aim is None else aim.spans.get(version, ())
            made |= {side: (name,) for side, name in links.items()}
            if all(made.values()):
                for route in routes:
                    yield {**made, "route": ((route, route),)}


def _who(text: str, known: Names, said: str) -> Who:
    if text in ANYWHERE:
        return Who({4: ((0, TOP[4]),), 6: ((0, TOP[6]),)}, world=True)
    return _addresses(re.split(r",| and ", text), known, f"`{said}`")


def _addresses(texts: Iterable[str], known: Names, where: str) -> Who:
    spans: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
    for text in (t.strip() for t in texts):
        if text in known.people:
            for version, held in known.people[text].spans.items():
                spans[version] += held
            continue
        version = 6 if ":" in text else 4
        low, dash, high = text.partition("-")
        first, last = network(low, version), network(high, version) if dash else None
        if first is None or (dash and last is None):
            todo = "Name addresses, or define the name in the file of --names"
            raise BadInput(f"`{text}` is no address, network or known name", where=where, todo=todo)
        spans[version] += [(first[0][0], last[0][1])] if last else first
    return Who({version: join(found) for version, found in spans.items() if found})


def _what(text: str, known: Names, said: str) -> tuple[Row, ...]:
    if text in known.services:
        return known.services[text][0]
    rows: list[Row] = []
    # `22,80/tcp` means both over TCP.
    text = re.sub(r"(?<![\w-])([\d-]+)(?=(?:\s*,\s*[\d-]+)*\s*,\s*[\d-]+/(\w+))", r"\1/\2", text)
    for one in (t.strip() for t in text.split(",")):
        found = known.services[one][0] if one in known.services else _service(one)
        if not found:
            todo = (
                "Write it like `22/tcp`, `8000-8010/tcp`, `ssh`, `ping`, or define it in the file of --names"
            )
            raise BadInput(f"`{one}` is no service", where=_quoted(said), todo=todo)
        rows += found
    return tuple(rows)


def _quoted(said: str) -> str:
    return said if said.startswith("/") else f"`{said}`"


def _service(text: str) -> tuple[Row, ...] | None:
    """A service's packets; None if it is none."""
    if text in EVERYTHING:
        return ({"state": NEW, "fragment": ((0, 0),)},)
    if text == "ping":
        ping: Values = ((8, 8),)
        return (
            {"family": ((4, 4),), "proto": ((1, 1),), "icmp_type": ping, "state": NEW, "fragment": ((0, 0),)},
            {
                "family": ((6, 6),),
                "proto": ((58, 58),),
                "icmp6_type": ((128, 128),),
                "state": NEW,
                "fragment": ((0, 0),),
            },
        )
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(\w+))?", text)
    if match:
        low, high = int(match[1]), int(match[2] or match[1])
        protocols = [match[3]] if match[3] else ["tcp", "udp"]
        numbers = [names.protocol(p) for p in protocols]
        if high > 65535 or low > high or any(n not in names.WITH_PORTS for n in numbers):
            return None
        return tuple(_ports(int(n or 0), low, high) for n in numbers)
    port = names.port(text)
    if port is not None:
        return tuple(
            _ports(n, port, port) for n in ((17,) if text in UDP else (6, 17) if text in BOTH else (6,))
        )
    number = names.protocol(text)
    return None if number is None else ({"proto": ((number, number),), "state": NEW, "fragment": ((0, 0),)},)


UDP: Final = frozenset(
    {
        "ntp",
        "tftp",
        "snmp",
        "syslog",
        "dhcp",
        "bootps",
        "bootpc",
        "wireguard",
        "mdns",
        "ssdp",
        "radius",
        "isakmp",
    }
)
BOTH: Final = frozenset({"dns", "domain", "kerberos", "sip", "openvpn"})


def _ports(protocol: int, low: int, high: int) -> Row:
    row: dict[str, Any] = {
        "proto": ((protocol, protocol),),
        "dport": ((low, high),),
        "state": NEW,
        "fragment": ((0, 0),),
    }
    if protocol == 6:
        row["tcp_flags"] = SYN
    return row


def ports_of(text: str) -> list[tuple[int, int]]:
    """`22/tcp`, `ssh` or `53` as (protocol, port). Raises BadInput."""
    rows = _service(text.strip()) or ()
    found = [
        (p[0], d[0])
        for row in rows
        for p in row.get("proto", ())
        for d in row.get("dport", ())
        if isinstance(p, tuple) and isinstance(d, tuple) and d[0] == d[1]
    ]
    if not found:
        raise BadInput(
            f"`{text}` is no single port", where="--service", todo="Write it like `22/tcp` or `ssh`"
        )
    return found
