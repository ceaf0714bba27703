"""What the operator's policy lets in, read from sentences.

PORTS [from SOURCES] [limit N/minute] [until DAY]      443/tcp, 8000-8010/tcp, ssh; sources are networks and zones
list NAME                                               what the entries of that allowlist open, each until its end
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

from wardkeep.allowlists.services import read_service
from wardkeep.controls.firewall.program import Network
from wardkeep.core.errors import BadInput

SENTENCE = re.compile(
    r"(?P<ports>\S+(?:\s*,\s*\S+)*?)(?:\s+from\s+(?P<sources>\S.*?))?"
    r"(?:\s+limit\s+(?P<limit>\d{1,6}/(?:second|minute|hour|day)))?(?:\s+until\s+(?P<until>\d{4}-\d\d-\d\d))?"
)
LIST = re.compile(r"list\s+(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]*)")
DENY = "deny "
Zones = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Opening:
    """Ports `low` to `high` of a protocol, open to `sources`; no source means to the whole world.

    `limit`: new connections of one source beyond it (`10/minute`) are dropped; "" for none. `until` is the last day.
    """

    protocol: str
    low: int
    high: int
    sources: tuple[Network, ...] = ()
    limit: str = ""
    until: date | None = None

    def covers(self, protocol: str, low: int, high: int) -> bool:
        return protocol == self.protocol and self.low <= low and high <= self.high

    @property
    def ports(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"

    def __str__(self) -> str:
        told = f" from {', '.join(map(str, self.sources))}" if self.sources else ""
        told += f" limit {self.limit}" if self.limit else ""
        return f"{self.ports}/{self.protocol}{told}" + (f" until {self.until}" if self.until else "")


@dataclass(frozen=True, slots=True)
class Permit:
    """All that may come in: openings, and networks and interfaces that are trusted as a whole. What `denials` name may
    not, whatever the others say."""

    openings: tuple[Opening, ...]
    networks: tuple[Network, ...] = ()
    interfaces: frozenset[str] = frozenset()
    denials: tuple[Opening, ...] = ()

    def cuts(self) -> set[int]:
        """First ports of the classes that the policy tells apart."""
        found = (*self.openings, *self.denials)
        return {p for o in found for p in (o.low, o.high + 1) if p <= 65535}

    def for_port(self, protocol: str, low: int, high: int) -> tuple[Opening, ...]:
        return tuple(o for o in self.openings if o.covers(protocol, low, high))

    def on(self, day: date) -> Permit:
        """What is left of it on that day."""
        return replace(
            self,
            openings=tuple(o for o in self.openings if o.until is None or o.until >= day),
            denials=tuple(o for o in self.denials if o.until is None or o.until >= day),
        )


def permit(
    allow: Iterable[str],
    trusted: Iterable[str],
    zones: Zones | None = None,
    lists: Mapping[str, tuple[str, ...]] | None = None,
    deny: Iterable[str] = (),
) -> Permit:
    """The policy's sentences, understood. Raises BadInput for one that says nothing clear."""
    known = _zones(zones or {})
    found: list[Network] = []
    interfaces = set()
    for name in trusted:
        if name in known:
            found.extend(known[name])
        elif re.fullmatch(r"[A-Za-z][\w.-]{0,14}", name):
            interfaces.add(name)
        else:
            found.extend(networks(name, name))
    opened: list[Opening] = []
    denied = [o for sentence in deny for o in _openings(sentence, known, "firewall.deny")]
    for sentence in allow:
        match = LIST.fullmatch(sentence.strip())
        if match is None:
            opened += _openings(sentence, known)
            continue
        for entry in (lists or {}).get(match["name"], ()):
            if entry.startswith(DENY):
                denied += _openings(entry.removeprefix(DENY), {})
            else:
                opened += _openings(entry, {})
    return Permit(_gathered(opened), tuple(found), frozenset(interfaces), _gathered(denied))


def openings(sentences: Iterable[str], zones: Zones | None = None) -> tuple[Opening, ...]:
    """Raises BadInput naming the sentence that is no `PORTS [from SOURCE, ...]`."""
    known = _zones(zones or {})
    return tuple(opening for sentence in sentences for opening in _openings(sentence, known))


def wanted_lists(sentences: Iterable[str]) -> frozenset[str]:
    """The allowlists that these sentences name."""
    return frozenset(match["name"] for one in sentences if (match := LIST.fullmatch(one.strip())))


def _zones(zones: Zones) -> dict[str, tuple[Network, ...]]:
    for name in zones:
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,30}", name) or name in ("anywhere", "list"):
            raise BadInput(
                f"`{name}` is no name of a zone",
                where="firewall.zones",
                todo="Use small letters, digits, - _.",
            )
    return {name: tuple(n for text in told for n in networks(text, name)) for name, told in zones.items()}


def _openings(
    sentence: str, zones: Mapping[str, tuple[Network, ...]], where: str = "firewall.allow"
) -> list[Opening]:
    todo = "Write it like `443/tcp`, `22/tcp from 192.0.2.0/24, office limit 10/minute` or `list partners`."
    found = SENTENCE.fullmatch(sentence.strip())
    if found is None:
        raise BadInput(f"`{sentence}` names no port", where=where, todo=todo)
    try:
        spans = read_service(found["ports"])
        until = date.fromisoformat(found["until"]) if found["until"] else None
    except (BadInput, ValueError) as e:
        what = "is no range of ports" if re.match(r"\d", sentence.strip()) else "names no port"
        raise BadInput(
            f"`{sentence}` {what if isinstance(e, BadInput) else 'names no day'}", where=where, todo=todo
        ) from None
    sources: tuple[Network, ...] = ()
    told = (found["sources"] or "anywhere").strip()
    if told != "anywhere":
        for part in told.split(","):
            sources += zones.get(part.strip()) or networks(part.strip(), sentence)
    limit = found["limit"] or ""
    if limit.startswith("0"):
        raise BadInput(
            f"`{sentence}`: a limit of nothing", where=where, todo="Leave the sentence out instead."
        )
    return [Opening(p, low, high, sources, limit, until) for p, low, high in spans]


def _gathered(found: Iterable[Opening]) -> tuple[Opening, ...]:
    """Openings that differ in nothing but their sources are one: lists of thousands become a few sets."""
    gathered: dict[tuple[bool, Opening], dict[Network, None]] = {}
    for one in found:
        held = gathered.setdefault((bool(one.sources), replace(one, sources=())), {})
        held.update(dict.fromkeys(one.sources))
    return tuple(replace(bare, sources=tuple(sources)) for (_, bare), sources in gathered.items())


def networks(text: str, sentence: str) -> tuple[Network, ...]:
    """Comma-separated addresses and networks. Raises BadInput, also for host bits that are set."""
    try:
        return tuple(ip_network(part.strip()) for part in text.split(","))
    except ValueError as e:
        raise BadInput(
            f"`{sentence}`: {e}", where="firewall.allow", todo="Write networks like 192.0.2.0/24."
        ) from None


def within(inner: Iterable[Network], outer: Iterable[Network]) -> bool:
    """Whether every address of `inner` lies in the union of `outer`. Nothing lies in nothing: False."""
    asked, outside = list(inner), list(outer)
    four = collapse_addresses(n for n in outside if isinstance(n, IPv4Network))
    six = collapse_addresses(n for n in outside if isinstance(n, IPv6Network))
    wide: list[Network] = [*four, *six]
    return bool(asked) and all(any(_holds(w, n) for w in wide) for n in asked)


def _holds(wide: Network, narrow: Network) -> bool:
    return (
        wide.version == narrow.version
        and wide.network_address <= narrow.network_address  # type: ignore[operator]
        and narrow.broadcast_address <= wide.broadcast_address  # type: ignore[operator]
    )
