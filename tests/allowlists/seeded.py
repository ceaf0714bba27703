"""Allowlists with defects put in on purpose, and the truth about each: nothing else in them is wrong.

Every case stands in a region of its own (a /20 of IPv4, a /40 of IPv6), so that cases cannot touch each other. Near misses
(what looks like a defect and is none) are put in as well: they are what precision is lost on.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from ipaddress import IPv4Address, IPv6Address

from wardkeep.allowlists import Listening, read_network
from wardkeep.allowlists.providers import Ranges
from wardkeep.allowlists.special import _TABLE, CGNAT, INSIDE, MAPPED

TODAY = date(2026, 11, 22)
SERVICES = ("22/tcp", "443/tcp", "5432/tcp", "8000-8010/tcp", "51820/udp", "ssh", "https")
PORTS_HEARD = (22, 443, 5432, 8003, 8005, 8008, 80, 3306)
ENDED = {
    "created": TODAY - timedelta(days=80),
    "reviewed": TODAY - timedelta(days=70),
    "expires": TODAY - timedelta(days=1),
}


@dataclass
class Seeded:
    """`text` is the TOML file; `truth` holds (kind, line of the entry); `merged` the lines of each mergeable group."""

    truth: set[tuple[str, int]] = field(default_factory=set)
    merged: set[frozenset[int]] = field(default_factory=set)
    lines: list[str] = field(default_factory=list)
    provider_networks: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    @property
    def listeners(self) -> tuple[Listening, ...]:
        return (*(Listening("tcp", port) for port in PORTS_HEARD), Listening("udp", 51820))

    @property
    def providers(self) -> tuple[Ranges, ...]:
        return (Ranges("cloud", tuple(read_network(text) for text in self.provider_networks)),)


class Seeder:
    """Writes entries and remembers what is wrong with them."""

    def __init__(self, seed: int) -> None:
        self.rnd = random.Random(seed)
        self.made = Seeded()
        self._four = self._regions(20, 90, 12)
        self._six = iter(self.rnd.sample(range(1 << 20), 1 << 17))

    def _regions(self, first: int, last: int, low_bits: int) -> Iterator[int]:
        cells = [
            (octet << 24) + (cell << low_bits) for octet in range(first, last) for cell in range(1 << 12)
        ]
        self.rnd.shuffle(cells)
        return iter(cells)

    def v4(self) -> int:
        """The first address of a /20 that no other case uses."""
        return next(self._four)

    def v6(self) -> int:
        """The first address of a /40 that no other case uses, in 2a00::/12."""
        return (0x2A00 << 112) + (next(self._six) << 88)

    def entry(
        self, network: str, *wrong: str, action: str = "allow", without: str = "", **more: object
    ) -> int:
        """Write one; returns its line. `wrong` are the kinds of its defects, `without` a key that is left out."""
        begun = TODAY - timedelta(days=self.rnd.randrange(5, 300))
        about: dict[str, object] = {
            "list": "partners",
            "network": network,
            "service": self.rnd.choice(SERVICES),
            "owner": self.rnd.choice(("alice", "bob", "carol")),
            "reason": f"partner {self.rnd.randrange(1000)}",
            "ticket": f"OPS-{self.rnd.randrange(10_000)}",
            "created": begun,
            "expires": TODAY + timedelta(days=self.rnd.randrange(0, 300)),
            "reviewed": max(begun, TODAY - timedelta(days=self.rnd.randrange(0, 92))),
            "reviewer": "dave",
            **more,
        }
        line = len(self.made.lines) + 1
        told = [
            f'{k} = "{v}"' if isinstance(v, str) else f"{k} = {v}" for k, v in about.items() if k != without
        ]
        self.made.lines += [f"[[{action}]]", *told, ""]
        self.made.truth |= {(kind, line) for kind in wrong}
        return line

    def pair(self) -> tuple[Callable[[int, int], str], int]:
        """A way to write networks of one region (offset, prefix), and the bits of its family."""
        if self.rnd.random() < 0.7:
            base4 = self.v4()
            return (lambda offset, prefix: f"{IPv4Address(base4 + offset)}/{prefix}"), 32
        base6 = self.v6()
        return (lambda offset, prefix: f"{IPv6Address(base6 + (offset << 64))}/{prefix - 64 + 96}"), 32


def background(s: Seeder) -> None:
    """An entry with nothing wrong."""
    if s.rnd.random() < 0.7:
        prefix = s.rnd.randrange(24, 33)
        s.entry(f"{IPv4Address(s.v4() + 256)}/{prefix}" if prefix < 32 else str(IPv4Address(s.v4() + 7)))
    else:
        s.entry(f"{IPv6Address(s.v6())}/{s.rnd.choice((48, 56, 64, 128))}")


def duplicate(s: Seeder) -> None:
    write, _ = s.pair()
    service, twin = s.rnd.choice(
        (("22/tcp", "ssh"), ("443/tcp", "443/tcp"), ("80/tcp, 443/tcp", "https,http"))
    )
    s.entry(write(256, 26), service=service)
    s.entry(write(256, 26), "duplicate", service=twin)
    base = s.v4()
    s.entry(f"{IPv4Address(base)}/28", service="443/tcp")
    s.entry(f"{IPv4Address(base)}-{IPv4Address(base + 15)}", "duplicate", service="443/tcp")
    other, _ = s.pair()  # near misses: another service, another list, an expired one beside one in force
    s.entry(other(0, 28), service="22/tcp")
    s.entry(other(0, 28), service="443/tcp")
    s.entry(other(0, 28), service="22/tcp", list="others")
    s.entry(other(0, 28), "expired", service="22/tcp", **ENDED)


def contained(s: Seeder) -> None:
    write, bits = s.pair()
    s.entry(write(0, 26), service="443/tcp")
    s.entry(write(4, bits - s.rnd.randrange(0, 3)), "contained", service="443/tcp")
    ports, _ = s.pair()
    s.entry(ports(16, 29), "contained", service="8003-8005/tcp")
    s.entry(ports(0, 27), service="8000-8010/tcp")
    union, _ = s.pair()
    s.entry(union(0, 24), service="8000-8004/tcp")
    s.entry(union(0, 25), service="8005-8010/tcp")
    s.entry(union(8, 30), "contained", service="8002-8007/tcp")
    base = s.v4()
    s.entry(f"{IPv4Address(base + 2)}-{IPv4Address(base + 40)}", service="22/tcp")
    s.entry(f"{IPv4Address(base + 5)}-{IPv4Address(base + 33)}", "contained", service="22/tcp")
    same, _ = s.pair()
    s.entry(same(0, 28), "contained", service="443/tcp")
    s.entry(same(0, 28), service="80/tcp,443/tcp")
    near, bits = s.pair()  # near misses: a port more, a hole in the union, a wider one that has expired
    s.entry(near(0, 25), service="443/tcp")
    s.entry(near(3, bits), service="443/tcp,80/tcp")
    hole, bits = s.pair()
    s.entry(hole(0, 24), service="8000-8004/tcp")
    s.entry(hole(0, 25), service="8006-8010/tcp")
    s.entry(hole(8, bits), service="8002-8007/tcp")
    gone, bits = s.pair()
    s.entry(gone(0, 25), "expired", service="443/tcp", **ENDED)
    s.entry(gone(3, bits), service="443/tcp")


def mergeable(s: Seeder) -> None:
    def group(*lines: int) -> None:
        s.made.truth.add(("mergeable", min(lines)))
        s.made.merged.add(frozenset(lines))

    write, _ = s.pair()
    group(s.entry(write(128, 25), service="443/tcp"), s.entry(write(0, 25), service="443/tcp"))
    write, _ = s.pair()
    group(*(s.entry(write(offset, 26), service="22/tcp") for offset in (0, 64, 128, 192)))
    write, _ = s.pair()
    group(
        s.entry(write(0, 25), service="22/tcp"),
        s.entry(write(128, 26), service="22/tcp"),
        s.entry(write(192, 26), service="22/tcp"),
    )
    base = s.v4()
    group(
        s.entry(f"{IPv4Address(base + 3)}-{IPv4Address(base + 9)}", service="443/tcp"),
        s.entry(f"{IPv4Address(base + 10)}-{IPv4Address(base + 30)}", service="443/tcp"),
    )
    write, bits = (
        s.pair()
    )  # near misses: neighbours that are no halves of one network; another service; a gap
    s.entry(write(1, bits), service="443/tcp")
    s.entry(write(2, bits), service="443/tcp")
    write, _ = s.pair()
    s.entry(write(0, 25), service="443/tcp")
    s.entry(write(128, 25), service="22/tcp")
    write, _ = s.pair()
    s.entry(write(0, 26), service="443/tcp")
    s.entry(write(128, 26), service="443/tcp")


def widths(s: Seeder) -> None:
    def wide(network: str, service: str, *wrong: str) -> None:
        s.entry(network, *wrong, service=service, list=f"wide-{s.rnd.randrange(1 << 40)}")

    for service in ("ssh", "3389/tcp", "5432/tcp", "any", "1-1024/tcp"):
        heard = () if service != "3389/tcp" else ("no_listener",)
        wide(f"{IPv4Address(s.v4())}/{s.rnd.randrange(20, 24)}", service, "too_broad", *heard)
        wide(f"{IPv4Address(s.v4())}/24", service, *heard)
        wide(f"{IPv6Address(s.v6())}/{s.rnd.randrange(40, 48)}", service, "too_broad", *heard)
        wide(f"{IPv6Address(s.v6())}/48", service, *heard)
    wide("0.0.0.0/0", "443/tcp", "too_broad")
    wide("::/0", "443/tcp", "too_broad")
    wide("96.0.0.0/15", "443/tcp", "too_broad")
    wide("96.0.0.0/16", "443/tcp")
    wide("2a40::/31", "443/tcp", "too_broad")
    wide("2a40::/32", "443/tcp")
    wide("96.0.0.0-96.1.0.0", "443/tcp", "too_broad")
    wide(f"{IPv4Address(s.v4())}/20", "443/tcp")


def special(s: Seeder) -> None:
    for text, name in _TABLE:
        network = read_network(text)
        middle = network.low + network.size // 2
        inside = str(IPv4Address(middle) if network.version == 4 else IPv6Address(middle))
        kind = {CGNAT: "cgnat", MAPPED: "v4_mapped"}.get(name, "special_use")
        where = f"special-{s.rnd.randrange(1 << 40)}"
        s.entry(inside, kind, service="443/tcp", list=where)
        expected = () if name in INSIDE else (kind,)
        s.entry(inside, *expected, service="22/tcp" if text == "::1/128" else "443/tcp", list="house")
        if name != MAPPED:
            s.entry(inside, service="25/tcp", list=where + "-deny", action="deny")
    s.entry(
        "172.32.0.1", service="443/tcp", list="near"
    )  # just outside 172.16.0.0/12, 100.64.0.0/10 and fc00::/7
    s.entry("100.128.0.1", service="443/tcp", list="near")
    s.entry("2606:4700::1", service="443/tcp", list="near")
    s.entry("192.0.0.0/23", "special_use", service="443/tcp", list="near")
    s.entry("10.0.0.0/8", "special_use", service="443/tcp", list="near")
    s.entry("10.0.0.0/8", service="443/tcp", list="house-all")
    s.entry("10.0.0.0/8", "too_broad", service="22/tcp", list="house-all")


def provider(s: Seeder) -> None:
    def at(network: str, *wrong: str) -> None:
        s.entry(network, *wrong, service="443/tcp", list=f"clouds-{s.rnd.randrange(1 << 40)}")

    base, six, small = s.v4(), s.v6(), s.v4()
    s.made.provider_networks += [
        f"{IPv4Address(base)}/22",
        f"{IPv6Address(six)}/44",
        f"{IPv4Address(small)}/28",
    ]
    s.made.provider_networks.append(f"{IPv4Address(small + 512)}/32")
    at(f"{IPv4Address(base)}/22", "provider_range")
    at(f"{IPv4Address(base)}/21", "provider_range")
    at(f"{IPv4Address(base + 256)}/24", "provider_range")
    at(f"{IPv4Address(base + 256)}/25")
    at(f"{IPv4Address(base + 3)}/32")
    at(f"{IPv6Address(six)}/44", "provider_range")
    at(f"{IPv6Address(six)}/48", "provider_range")
    at(f"{IPv6Address(six)}/56")
    at(f"{IPv4Address(small)}/28", "provider_range")
    at(f"{IPv4Address(small)}/29")
    at(f"{IPv4Address(small + 512)}/31")  # touches one published address, which somebody rents


def both(s: Seeder) -> None:
    write, bits = s.pair()
    s.entry(write(0, 28), "in_both", service="443/tcp")
    s.entry(write(0, 28), service="443/tcp", action="deny", list="bad")
    write, bits = s.pair()
    s.entry(write(0, 27), service="any", action="deny", list="bad")
    s.entry(write(5, bits), "in_both", service="443/tcp")
    write, bits = s.pair()  # near misses: a hole in what is allowed, another port, an expired deny
    s.entry(write(0, 27), service="443/tcp")
    s.entry(write(5, bits), service="443/tcp", action="deny", list="bad")
    write, bits = s.pair()
    s.entry(write(0, 27), service="443/tcp")
    s.entry(write(0, 27), service="22/tcp", action="deny", list="bad")
    write, bits = s.pair()
    s.entry(write(0, 27), service="443/tcp")
    s.entry(write(0, 27), "expired", service="443/tcp", action="deny", list="bad", **ENDED)


def written(s: Seeder) -> None:
    """What stands beside the network: people, texts, days."""
    write, _ = s.pair()
    s.entry(_inside(write(16, 28)), "host_bits", service="443/tcp")

    def other(*wrong: str, **more: object) -> None:
        write, bits = s.pair()
        s.entry(write(9, bits), *wrong, **more)  # type: ignore[arg-type]

    days = timedelta
    other("no_listener", service="9999/tcp")
    other("no_listener", service="22/udp")
    other(service="9999/tcp,443/tcp")
    other("unowned", without="owner")
    other("unowned", owner="  ")
    other("unexplained", without="reason")
    other("no_ticket", without="ticket")
    other("endless", without="expires")
    old = TODAY - days(300)
    other("expired", created=old, expires=TODAY - days(1))
    other(expires=TODAY)
    other("unreviewed", created=old, reviewed=TODAY - days(93))
    other("unreviewed", created=old, without="reviewed")
    other(created=old, reviewed=TODAY - days(92))
    other(created=TODAY - days(3), without="reviewed")
    other("unreviewed", "wrong_dates", created=old, reviewed=TODAY + days(1))
    other("wrong_dates", created=TODAY + days(2), reviewed=TODAY)
    other(
        "wrong_dates", "expired", created=TODAY - days(5), expires=TODAY - days(6), reviewed=TODAY - days(4)
    )
    other("wrong_dates", created=TODAY - days(5), reviewed=TODAY - days(6))


def _inside(network: str) -> str:
    """The same network, written by its second address."""
    read = read_network(network)
    made = IPv4Address if read.version == 4 else IPv6Address
    return f"{made(read.low + 1)}/{network.partition('/')[2]}"


CASES = (duplicate, contained, mergeable, widths, special, provider, both, written)


def seeded(seed: int, entries: int) -> Seeded:
    """About `entries` of them: every case at least once, the rest with nothing wrong."""
    s = Seeder(seed)
    s.made.lines += ["[list.house]", 'scope = "internal"', "", "[list.house-all]", 'scope = "internal"', ""]
    once = {widths, special}
    for case in CASES:
        for _ in range(1 if case in once else max(1, entries // 2000)):
            case(s)
    count = sum(line.startswith("[[") for line in s.made.lines)
    while count < entries:
        background(s)
        count += 1
    return s.made
