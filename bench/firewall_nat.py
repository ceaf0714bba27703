"""Dumps of machines that translate much, made up: what `iptables-save` says where packets change on their way.

`published`: a hosting firewall (bench/firewall_dumps.py) with rules of DNAT, REDIRECT and MASQUERADE before it. `docker`: published
ports of containers on a few bridges. `marked`: services that are translated, and marks by source that the filter asks for. `kubernetes`:
what kube-proxy writes, with its random choice of end points, its marks and network policies. Ports that are open and those that are
not are known by how they are made: `known` names packets of each dump and what becomes of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from bench.firewall_dumps import SERVICES, hosting

from wardkeep.packets.dimensions import Row, states


@dataclass(frozen=True)
class Dump:
    """The text, and packets (new, TCP, of a route) with whether the rules let them through."""

    text: str
    known: tuple[tuple[Row, bool], ...]


def packet(route: str, source: str, to: str, port: int, link: str = "eth0") -> Row:
    """A new TCP packet."""
    return {
        "family": ((4, 4),),
        "route": ((("input", "forward", "output").index(route),) * 2,),
        "src4": ((_number(source),) * 2,),
        "dst4": ((_number(to),) * 2,),
        "proto": ((6, 6),),
        "sport": ((40000, 40000),),
        "dport": ((port, port),),
        "state": states("new"),
        "tcp_flags": ((2, 2),),
        "fragment": ((0, 0),),
        **({"in": (link,)} if route != "output" else {}),
    }


def _number(text: str) -> int:
    a, b, c, d = map(int, text.split("."))
    return a << 24 | b << 16 | c << 8 | d


def _table(name: str, chains: list[str], rules: list[str]) -> str:
    policies = [
        f":{one} {'-' if one.upper() != one or '-' in one or '_' in one else 'ACCEPT'} [0:0]"
        for one in chains
    ]
    return "\n".join([f"*{name}", *policies, *rules, "COMMIT", ""])


BUILT_IN = ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"]


def published(rules: int = 6_200, services: int = 200, seed: int = 1) -> Dump:
    """The hosting firewall of about `rules` rules, and `services` rules of NAT: 8 of 10 DNAT, the others REDIRECT and MASQUERADE."""
    rng = random.Random(f"published{rules}{services}{seed}")
    before, behind = [], []
    for n in range(services):
        port, what = rng.choice(SERVICES), n % 10
        outside = f"-d 203.0.113.{n % 250}/32 -p tcp -m tcp --dport {port}"
        if what < 8:
            host = f"10.0.{rng.randrange(80)}.{rng.randrange(1, 255)}"
            before.append(f"-A PREROUTING {outside} -j DNAT --to-destination {host}:{port}")
        elif what == 8:
            before.append(f"-A PREROUTING {outside} -j REDIRECT --to-ports {8000 + n}")
        else:
            behind.append(f"-A POSTROUTING -s 10.0.{n % 80}.0/24 -o eth{n % 4} -j MASQUERADE")
    nat = _table("nat", BUILT_IN, before + behind)
    return Dump(nat + hosting(rules), ())


def docker(ports: int = 200, bridges: int = 6, seed: int = 1) -> Dump:
    """`ports` published ports of containers on `bridges` networks, as the daemon writes them, and a list of its owner's own."""
    rng = random.Random(f"docker{ports}{bridges}{seed}")
    links = ["docker0", *(f"br-{rng.randrange(16**8):08x}" for _ in range(bridges - 1))]
    nat = [
        "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        "-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
    ]
    nat += [
        f"-A POSTROUTING -s 172.{17 + n}.0.0/16 ! -o {link} -j MASQUERADE" for n, link in enumerate(links)
    ]
    target, opened, known = [], [], []
    blocked = [f"198.51.{rng.randrange(256)}.0/24" for _ in range(40)]
    nat += [f"-A DOCKER -i {link} -j RETURN" for link in links]
    for n in range(ports):
        net, inside = n % bridges, rng.choice(SERVICES)
        where, outside = f"172.{17 + net}.{n // 250}.{2 + n % 250}", 10_000 + n
        protocol = "udp" if n % 10 == 9 else "tcp"
        told = f"-p {protocol} -m {protocol} --dport"
        nat.append(f"-A POSTROUTING -s {where}/32 -d {where}/32 {told} {inside} -j MASQUERADE")
        at = "-d 127.0.0.1/32 " if n % 20 == 19 else ""
        target.append(
            f"-A DOCKER {at}! -i {links[net]} {told} {outside} -j DNAT --to-destination {where}:{inside}"
        )
        opened.append(f"-A DOCKER -d {where}/32 ! -i {links[net]} -o {links[net]} {told} {inside} -j ACCEPT")
        if protocol == "tcp" and not at:
            one = packet("forward", "192.0.2.1", "203.0.113.1", outside)
            one = {**one, "out": (links[net],), "dst_type": ((2, 2),)}
            known += [
                (one, True),
                (
                    {**one, "src4": ((_number(blocked[n % 40][:-4] + "9"),) * 2,)}
                    if n % 3 == 0
                    else {**one, "dport": ((outside + 5000,) * 2,)},
                    False,
                ),
            ]
    filters = ["-A FORWARD -j DOCKER-USER", "-A FORWARD -j DOCKER-ISOLATION-STAGE-1"]
    for link in links:
        filters += [
            f"-A FORWARD -o {link} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            f"-A FORWARD -o {link} -j DOCKER",
            f"-A FORWARD -i {link} ! -o {link} -j ACCEPT",
            f"-A FORWARD -i {link} -o {link} -j ACCEPT",
        ]
    filters += opened
    filters += [
        f"-A DOCKER-ISOLATION-STAGE-1 -i {link} ! -o {link} -j DOCKER-ISOLATION-STAGE-2" for link in links
    ]
    filters += ["-A DOCKER-ISOLATION-STAGE-1 -j RETURN"]
    filters += [f"-A DOCKER-ISOLATION-STAGE-2 -o {link} -j DROP" for link in links]
    filters += ["-A DOCKER-ISOLATION-STAGE-2 -j RETURN"]
    filters += [f"-A DOCKER-USER -s {net} -i eth0 -j DROP" for net in blocked]
    filters += ["-A DOCKER-USER -j RETURN"]
    filters += [
        "-A INPUT -i lo -j ACCEPT",
        "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
    ]
    chains = [
        "INPUT",
        "FORWARD",
        "OUTPUT",
        "DOCKER",
        "DOCKER-USER",
        "DOCKER-ISOLATION-STAGE-1",
        "DOCKER-ISOLATION-STAGE-2",
    ]
    text = _table("nat", [*BUILT_IN, "DOCKER"], nat + target) + _table("filter", chains, filters)
    text = (
        text.replace(":DOCKER ACCEPT", ":DOCKER -")
        .replace(":FORWARD ACCEPT", ":FORWARD DROP")
        .replace(":INPUT ACCEPT", ":INPUT DROP")
    )
    return Dump(text, tuple(known))


def marked(services: int = 60, marks: int = 20, rules: int = 400, seed: int = 1) -> Dump:
    """`services` of DNAT, `marks` rules that set a mark by where packets come from, and a filter that asks for both."""
    rng = random.Random(f"marked{services}{marks}{rules}{seed}")
    mangle, nat, filters, known = [], [], [], []
    for n in range(marks):
        what = (f"-s 198.51.{n}.0/24", f"-p tcp -m tcp --dport {1000 + n}", f"-i eth{n % 4} -p udp")[n % 3]
        how = f"--set-xmark 0x{n + 1:x}/0xffffffff" if n % 2 else f"--set-xmark 0x{(n % 8 + 1) << 8:x}/0xff00"
        mangle.append(f"-A PREROUTING {what} -j MARK {how}")
    for n in range(services):
        port = rng.choice(SERVICES)
        where = f"10.1.{n % 8}.{n + 1}"
        nat.append(
            f"-A PREROUTING -d 203.0.113.{n + 1}/32 -p tcp -m tcp --dport {port} -j DNAT --to-destination {where}:{port}"
        )
        if n % 2:
            filters.append(f"-A FORWARD -d {where}/32 -p tcp -m tcp --dport {port} -j ACCEPT")
        one = packet("forward", "192.0.2.1", f"203.0.113.{n + 1}", port, "eth9")
        known.append((one, bool(n % 2)))
    for n in range(marks):
        filters.insert(n, f"-A FORWARD -m mark --mark 0x{n + 1:x} -d 10.1.{n % 8}.0/24 -p udp -j DROP")
    while len(filters) < rules:
        filters.append(
            f"-A FORWARD -s 10.{rng.randrange(256)}.{rng.randrange(256)}.0/24 -d 10.2.{rng.randrange(256)}.{rng.randrange(256)}/32"
            f" -p tcp -m tcp --dport {rng.choice(SERVICES)} -j ACCEPT"
        )
    filters += [f"-A FORWARD -m mark --mark 0x{(n % 8 + 1) << 8:x}/0xff00 -j ACCEPT" for n in range(0, 8, 2)]
    text = (
        _table("mangle", BUILT_IN, mangle)
        + _table("nat", BUILT_IN, nat)
        + _table("filter", ["INPUT", "FORWARD", "OUTPUT"], filters)
    )
    return Dump(text.replace(":FORWARD ACCEPT", ":FORWARD DROP"), tuple(known))


def kubernetes(services: int = 545, ends: int = 3, policies: int = 60, seed: int = 1) -> Dump:
    """A node of a cluster: `services` with `ends` end points each (about 11 rules a service), some node ports, some policies."""
    rng = random.Random(f"kubernetes{services}{ends}{policies}{seed}")
    chains, called, each, ports, known = [], [], [], [], []
    for n in range(services):
        address, port = f"10.96.{n // 250}.{n % 250 + 1}", rng.choice(SERVICES)
        name = f"KUBE-SVC-{rng.randrange(36**8):X}"
        chains.append(name)
        called.append(
            f'-A KUBE-SERVICES -d {address}/32 -p tcp -m comment --comment "shop/app-{n}:web cluster IP" -m tcp --dport {port} -j {name}'
        )
        each.append(
            f"-A {name} ! -s 10.244.0.0/16 -d {address}/32 -p tcp -m tcp --dport {port} -j KUBE-MARK-MASQ"
        )
        for end in range(ends):
            at = f"10.244.{end}.{n % 250 + 1}" if n < 250 else f"10.244.{end + 10 * (n // 250)}.{n % 250 + 1}"
            sep = f"KUBE-SEP-{rng.randrange(36**8):X}"
            chains.append(sep)
            by = (
                f"-m statistic --mode random --probability {1 / (ends - end):.11f} " if end < ends - 1 else ""
            )
            each.append(f"-A {name} {by}-j {sep}")
            each.append(f"-A {sep} -s {at}/32 -j KUBE-MARK-MASQ")
            each.append(f"-A {sep} -p tcp -m tcp -j DNAT --to-destination {at}:{8000 + n % 8}")
        if n % 20 == 0:
            outer = name.replace("SVC", "EXT")
            chains.append(outer)
            ports.append(f"-A KUBE-NODEPORTS -p tcp -m tcp --dport {30000 + n} -j {outer}")
            each += [f"-A {outer} -j KUBE-MARK-MASQ", f"-A {outer} -j {name}"]
        known.append((packet("forward", "192.0.2.1", address, port), True))
    nat = [
        "-A PREROUTING -j KUBE-SERVICES",
        "-A OUTPUT -j KUBE-SERVICES",
        "-A POSTROUTING -j KUBE-POSTROUTING",
        "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
        "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
        "-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0",
        "-A KUBE-POSTROUTING -j MASQUERADE --random-fully",
        *called,
        "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS",
        *ports,
        *each,
    ]
    filters = [
        "-A INPUT -j KUBE-FIREWALL",
        "-A FORWARD -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL",
        "-A FORWARD -j KUBE-FORWARD",
        "-A FORWARD -j POLICIES",
        "-A OUTPUT -j KUBE-FIREWALL",
        "-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",
        "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
        "-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT",
        "-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    ]
    for n in range(policies):
        filters.append(
            f"-A POLICIES -d 10.244.{n % 3}.{rng.randrange(1, 250)}/32 -p tcp -m tcp --dport {8000 + n % 8} -j ACCEPT"
        )
        filters.append(
            f"-A POLICIES -d 10.244.{n % 3}.{rng.randrange(1, 250)}/32 ! -s 10.244.{n % 3}.0/24 -j DROP"
        )
    filters += ["-A POLICIES -s 10.244.0.0/16 -j ACCEPT"]
    own = ["KUBE-SERVICES", "KUBE-POSTROUTING", "KUBE-MARK-MASQ", "KUBE-NODEPORTS", *chains]
    text = _table("nat", [*BUILT_IN, *own], nat)
    text += _table(
        "filter",
        ["INPUT", "FORWARD", "OUTPUT", "KUBE-FIREWALL", "KUBE-FORWARD", "KUBE-PROXY-FIREWALL", "POLICIES"],
        filters,
    )
    return Dump(
        text.replace(":POLICIES ACCEPT", ":POLICIES -").replace(":FORWARD ACCEPT", ":FORWARD DROP"),
        tuple(known),
    )


DUMPS: dict[str, Callable[[], Dump]] = {
    "published": published,
    "docker": docker,
    "marked": marked,
    "kubernetes": kubernetes,
}
