"""What is wrong with an allowlist, entry by entry. Pure: the day, the listeners and the providers' ranges are arguments."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta

from wardkeep.allowlists.entry import ALLOW, PUBLIC, Allowlist, Entry
from wardkeep.allowlists.nesting import relations
from wardkeep.allowlists.networks import Union
from wardkeep.allowlists.providers import Providers, Ranges
from wardkeep.allowlists.services import Span, sensitive
from wardkeep.allowlists.special import CGNAT, INSIDE, MAPPED, SPECIAL, special_use
from wardkeep.core.collector import collector_paused

HIGH, MEDIUM, LOW = "high", "medium", "low"
NOBODYS = {4: 1 << 25, 6: 1 << 113}  # addresses: wider than any one party's network
QUARTER = timedelta(days=92)  # the longest: July, August, September

# kind → (how pressing, what is wrong in words)
KINDS: dict[str, tuple[str, str]] = {
    "expired": (HIGH, "its time is over"),
    "too_broad": (HIGH, "too many addresses for what it opens"),
    "provider_range": (HIGH, "admits a provider's other customers"),
    "undeclared": (HIGH, "in force on a host, and on no list"),
    "cgnat": (MEDIUM, "an address that a carrier's customers share"),
    "special_use": (MEDIUM, "no address of a party on the internet"),
    "in_both": (MEDIUM, "allowed and denied"),
    "already_permitted": (MEDIUM, "a wider rule lets it in anyway"),
    "not_effective": (MEDIUM, "declared, and not let in by the rules"),
    "unowned": (MEDIUM, "nobody answers for it"),
    "unexplained": (MEDIUM, "nobody wrote why"),
    "unreviewed": (MEDIUM, "nobody has looked at it for a quarter"),
    "wrong_dates": (MEDIUM, "its dates contradict each other"),
    "v4_mapped": (MEDIUM, "matches no packet: IPv4 arrives as IPv4"),
    "unused": (LOW, "nobody came from there"),
    "no_listener": (LOW, "nothing listens behind it"),
    "no_ticket": (LOW, "no request is on record for it"),
    "endless": (LOW, "it has no end"),
    "duplicate": (LOW, "stands there twice"),
    "contained": (LOW, "another entry lets it in anyway"),
    "mergeable": (LOW, "one network with its neighbours"),
    "host_bits": (LOW, "names an address inside the network it opens"),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """How wide an entry may be, and how old. Prefix lengths in bits: a shorter one is too wide.

    /24 and /48 are the smallest networks that are routed on their own, so usually one party's; they bound administration and
    databases. `widest` bounds everything else.
    """

    widest_ipv4: int = 16
    widest_ipv6: int = 32
    sensitive_ipv4: int = 24
    sensitive_ipv6: int = 48
    review: timedelta = QUARTER

    def most(self, version: int, is_sensitive: bool) -> int:
        """The most addresses that an entry may name."""
        if version == 4:
            return 1 << (32 - (self.sensitive_ipv4 if is_sensitive else self.widest_ipv4))
        return 1 << (128 - (self.sensitive_ipv6 if is_sensitive else self.widest_ipv6))


@dataclass(frozen=True, slots=True)
class Defect:
    """One thing that is wrong with `entry` (an `unknown` one could not be decided). `others` are the entries it is about."""

    kind: str
    entry: Entry
    seen: str
    todo: str
    others: tuple[Entry, ...] = ()
    unknown: bool = False

    @property
    def severity(self) -> str:
        return KINDS[self.kind][0]


@dataclass(frozen=True, slots=True)
class Listening:
    """A socket that waits on some host: its protocol, port, and the IP versions whose packets reach it."""

    protocol: str
    port: int
    versions: tuple[int, ...] = (4, 6)


@dataclass(frozen=True)
class Surroundings:
    """What is known besides the list. `listeners` None means that nobody asked; an empty one that nothing listens."""

    today: date
    limits: Limits = field(default_factory=Limits)
    listeners: Collection[Listening] | None = None
    providers: tuple[Ranges, ...] = ()


def audit(allowlist: Allowlist, around: Surroundings) -> list[Defect]:
    """Every defect, in the order of the entries and then of `KINDS`. n entries cost O(n log n).

    Expired entries are compared with no other: they are not in force. Plain files, which have no place for owners and
    dates, are not held to them. Not decided here: what the rules of a host do with an entry (see `effective`, `usage`).
    """
    with collector_paused():
        return _audit(allowlist, around)


def _audit(allowlist: Allowlist, around: Surroundings) -> list[Defect]:
    entries, today = allowlist.entries, around.today
    made: list[tuple[int, Defect]] = []
    living: list[int] = []
    providers = Providers(around.providers) if around.providers else None
    marked = Union(SPECIAL, *(ranges.networks for ranges in around.providers))
    heard = _heard(around.listeners)
    known: dict[tuple[int, tuple[Span, ...]], tuple[int, bool]] = {}  # a long list has few services
    oldest = today - around.limits.review
    for index, entry in enumerate(entries):
        network = entry.network
        found: list[Defect] = []
        if _in_order(entry, today, oldest):
            living.append(index)
        else:
            found += _about(entry, around, allowlist.bare)
            if not entry.expired(today):
                living.append(index)
        if entry.action == ALLOW:
            service = (network.version, entry.spans)
            if service not in known:
                most = around.limits.most(network.version, bool(sensitive(entry.spans)))
                known[service] = most, heard is None or _listens(entry, heard)
            most, listens = known[service]
            if network.high - network.low >= most or marked.touched(network):
                found += _of_network(entry, allowlist.scope(entry), around.limits, providers)
            if not listens:
                seen = f"nothing listens on {entry.service}"
                found.append(Defect("no_listener", entry, seen, "Remove it, or start what it is for."))
        elif network.version == 6 and special_use(network)[0] == MAPPED:
            found.append(_mapped(entry))
        if network.host_bits:
            seen = f"{entry.text} opens {network}"
            todo = f"Write {network}, or the one address with /{32 if network.version == 4 else 128}."
            found.append(Defect("host_bits", entry, seen, todo))
        if found:
            made += [(index, defect) for defect in found]
    made += _between(entries, living)
    rank = {kind: number for number, kind in enumerate(KINDS)}
    made.sort(key=lambda one: (one[0], rank[one[1].kind]))
    return [defect for _, defect in made]


def _in_order(entry: Entry, today: date, oldest: date) -> bool:
    """Whether all is written beside the network and every day is right, at a glance: then `_about` finds nothing."""
    created, expires, reviewed = entry.created, entry.expires, entry.reviewed
    if created is None or expires is None or reviewed is None:
        return False
    if not (entry.owner and entry.reason and entry.ticket):
        return False
    return oldest <= reviewed and created <= reviewed <= today <= expires


def _about(entry: Entry, around: Surroundings, bare: bool) -> Iterator[Defect]:
    """What is written beside the network."""
    today = around.today
    if entry.expired(today):
        seen = f"expired on {entry.expires}"
        yield Defect("expired", entry, seen, "Remove it, or extend it with a reason.")
    if bare:
        return
    if not entry.owner:
        yield Defect("unowned", entry, "no owner", "Write who answers for it, or remove it.")
    if not entry.reason:
        yield Defect("unexplained", entry, "no reason", "Write what it is for, or remove it.")
    if not entry.ticket:
        yield Defect("no_ticket", entry, "no ticket", "Write where it was asked for.")
    if entry.expires is None:
        yield Defect("endless", entry, "no day on which it expires", "Write expires = a day.")
    wrong = _wrong_dates(entry, today)
    if wrong:
        yield Defect("wrong_dates", entry, wrong, "Set the dates right.")
    # A review in the future is none; a new entry was looked at by whoever made it.
    known = [day for day in (entry.reviewed, entry.created) if day is not None and day <= today]
    if not known:
        yield Defect("unreviewed", entry, "never reviewed", "Review it: `wardkeep allowlist review start`.")
    elif today - max(known) > around.limits.review:
        last = entry.reviewed if entry.reviewed in known else None
        seen = f"last reviewed {last}" if last else f"never reviewed since {entry.created}"
        yield Defect("unreviewed", entry, seen, "Review it: `wardkeep allowlist review start`.")


def _wrong_dates(entry: Entry, today: date) -> str:
    told = []
    for name, day in (("created", entry.created), ("reviewed", entry.reviewed)):
        if day is not None and day > today:
            told.append(f"{name} {day} is still to come")
    if entry.created and entry.expires and entry.expires < entry.created:
        told.append(f"expires {entry.expires} before it was created {entry.created}")
    if entry.created and entry.reviewed and entry.reviewed < entry.created:
        told.append(f"reviewed {entry.reviewed} before it was created {entry.created}")
    return "; ".join(told)


def _of_network(entry: Entry, scope: str, limits: Limits, providers: Providers | None) -> Iterator[Defect]:
    network = entry.network
    kind, block, inside = special_use(network)
    if kind == MAPPED and network.size <= 1 << 32:
        yield _mapped(entry)
        return
    guarded = sensitive(entry.spans)
    most = limits.most(network.version, bool(guarded))
    broad = network.size > most and (bool(guarded) or not inside)
    if broad:
        what = f" for {guarded}" if guarded else ""
        seen = f"{network} is {_count(network.size)} addresses{what}; at most {_count(most)}"
        yield Defect("too_broad", entry, seen, "Name the addresses that need it.")
    expected = scope != PUBLIC and kind in INSIDE
    if kind and not expected and (inside or not broad):
        if kind == CGNAT:
            seen = f"{network} lies in {block}: any customer of the same carrier has it too"
            yield Defect("cgnat", entry, seen, "Ask the partner for a public address, or a tunnel.")
        else:
            seen = f"{network} touches {block}, {kind}"
            todo = "Remove it" + (", or set the list's scope to internal." if kind in INSIDE else ".")
            yield Defect("special_use", entry, seen, todo)
    # A quarter of the internet takes in every provider; that it is too broad says more.
    if providers is not None and network.size < NOBODYS[network.version]:
        provider, whole = providers.whole(network)
        if provider:
            seen = f"takes in {whole} of {provider}, where anybody can rent an address"
            yield Defect("provider_range", entry, seen, "Name the addresses that are yours there.")


def _mapped(entry: Entry) -> Defect:
    low = str(entry.network).replace("::ffff:", "")
    return Defect("v4_mapped", entry, f"{entry.network} matches no packet", f"Write the IPv4 network: {low}.")


def _count(size: int) -> str:
    return f"{size:,}" if size < 1 << 32 else f"2^{size.bit_length() - 1}"


def _heard(listeners: Iterable[Listening] | None) -> dict[int, dict[str, list[int]]] | None:
    if listeners is None:
        return None
    found: dict[int, dict[str, list[int]]] = {4: {}, 6: {}}
    for one in listeners:
        for version in one.versions:
            found[version].setdefault(one.protocol, []).append(one.port)
    return found


def _listens(entry: Entry, heard: dict[int, dict[str, list[int]]]) -> bool:
    ports = heard[entry.network.version]
    return any(low <= port <= high for p, low, high in entry.spans for port in ports.get(p, ()))


def _between(entries: tuple[Entry, ...], living: list[int]) -> Iterator[tuple[int, Defect]]:
    known = relations(entries, living)
    for index, first in known.same.items():
        seen = f"the same as {_named(entries[first])}"
        yield index, Defect("duplicate", entries[index], seen, "Remove one of the two.", (entries[first],))
    for index, owners in known.within.items():
        others = tuple(entries[i] for i in owners)
        seen = f"lies within {_all(others)}"
        yield index, Defect("contained", entries[index], seen, "Remove it, or the wider one.", others)
    for group, network in known.merge:
        first, *rest = sorted(group)
        others = tuple(entries[i] for i in rest)
        owners_differ = len({entries[i].owner for i in group}) > 1
        todo = f"Write {network} instead" + (", once their owners agree." if owners_differ else ".")
        seen = f"makes {network} together with {_all(others)}"
        yield first, Defect("mergeable", entries[first], seen, todo, others)
    for index, owners in known.denied.items():
        others = tuple(entries[i] for i in owners)
        seen = f"denied as well by {_all(others)}"
        yield index, Defect("in_both", entries[index], seen, "Decide which of them holds.", others)


def _named(entry: Entry) -> str:
    return f"{entry.network} for {entry.service}" + (f" (line {entry.line})" if entry.line else "")


def _all(entries: tuple[Entry, ...]) -> str:
    shown = ", ".join(_named(entry) for entry in entries[:3])
    return shown + (f" and {len(entries) - 3} more" if len(entries) > 3 else "")
