"""`iptables-save` dumps of the size of a campus' or a provider's firewall, made up: thousands of rules in about ninety chains.

`campus`: one chain for each network that lets pairs of MAC and address return and drops the rest, and one with what its hosts
may be reached on; rate limits and logs in front. `hosting`: one chain for each customer, called by address, with services and
exceptions of its own, and shared chains of services and of blocked networks.
"""

from __future__ import annotations

import random
from collections.abc import Callable

SERVICES = (22, 25, 53, 80, 110, 143, 443, 465, 587, 631, 993, 995, 1194, 3306, 3389, 5432, 5900, 8080, 8443)


def _address(rng: random.Random, net: int) -> str:
    return f"10.{net // 256}.{net % 256}.{rng.randrange(1, 255)}"


def campus(rules: int, networks: int = 44, seed: int = 1) -> str:
    """About `rules` rules in 2 × `networks` + 3 chains."""
    rng = random.Random(f"campus{rules}{networks}{seed}")
    names = [f"{kind}_{n}" for n in range(networks) for kind in ("mac", "filter")]
    body = [
        "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED,UNTRACKED -j ACCEPT",
        "-A FORWARD -m recent --update --seconds 60 --name DEFAULT --rsource -j LOG_DROP",
        "-A FORWARD -p tcp -m tcp --dport 22 --tcp-flags FIN,SYN,RST,ACK SYN -m recent --update --seconds 360 "
        "--hitcount 41 --name ratessh --rsource -j LOG_DROP",
        "-A FORWARD -s 127.0.0.0/8 -j LOG_DROP",
        "-A LOG_DROP -m limit --limit 100/min -j LOG --log-prefix drop",
        "-A LOG_DROP -j DROP",
    ]
    for n in range(networks):
        body.append(f"-A FORWARD -i eth1.{n} -j mac_{n}")
    for n in range(networks):
        body.append(f"-A FORWARD -o eth1.{n} -j filter_{n}")
    left = rules - len(body) - networks * 2
    for n in range(networks):
        for _ in range(left // networks * 2 // 3):
            mac = ":".join(f"{rng.randrange(256):02x}" for _ in range(6))
            body.append(
                f"-A mac_{n} -s {_address(rng, n)}/32 -i eth1.{n} -m mac --mac-source {mac} -j RETURN"
            )
        body.append(f"-A mac_{n} -i eth1.{n} -j DROP")
        for _ in range(left // networks // 3):
            what = rng.random()
            target = f"-A filter_{n} -d {_address(rng, n)}/32"
            if what < 0.5:
                body.append(f"{target} -p tcp -m tcp --dport {rng.choice(SERVICES)} -j ACCEPT")
            elif what < 0.7:
                ports = ",".join(map(str, sorted(rng.sample(SERVICES, 3))))
                body.append(f"{target} -p tcp -m multiport --dports {ports} -j ACCEPT")
            elif what < 0.8:
                body.append(f"{target} -p udp -m udp --dport {rng.choice(SERVICES)} -j ACCEPT")
            elif what < 0.9:
                body.append(f"{target} -s {_address(rng, rng.randrange(networks))}/32 -j ACCEPT")
            else:
                body.append(
                    f"{target} -s 10.{rng.randrange(4)}.0.0/16 -p tcp -m tcp --dport 1024:65535 -j LOG_DROP"
                )
        body.append(f"-A filter_{n} -d 10.{n // 256}.{n % 256}.0/24 -p icmp -j ACCEPT")
    chains = [":INPUT ACCEPT [0:0]", ":FORWARD DROP [0:0]", ":OUTPUT ACCEPT [0:0]", ":LOG_DROP - [0:0]"]
    chains += [f":{name} - [0:0]" for name in names]
    return "\n".join(["*filter", *chains, *body, "COMMIT", ""])


def hosting(rules: int, customers: int = 86, seed: int = 1) -> str:
    """About `rules` rules: `customers` chains and a few that they share."""
    rng = random.Random(f"hosting{rules}{customers}{seed}")
    body = [
        "-A INPUT -i lo -j ACCEPT",
        "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A INPUT -p tcp -m tcp --dport 22 -s 10.255.0.0/24 -j ACCEPT",
        "-A FORWARD -m conntrack --ctstate INVALID -j DROP",
        "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A FORWARD -j BLOCKED",
        "-A FORWARD -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW -j DROP",
        "-A SYNLIMIT -m limit --limit 50/sec --limit-burst 100 -j RETURN",
        "-A SYNLIMIT -j DROP",
        "-A MAIL -p tcp -m multiport --dports 25,465,587,993,995 -j ACCEPT",
        "-A WEB -p tcp -m multiport --dports 80,443 -j SYNLIMIT",
        "-A WEB -p tcp -m multiport --dports 80,443 -j ACCEPT",
    ]
    for _ in range(rules // 10):
        body.append(
            f"-A BLOCKED -s {rng.randrange(1, 224)}.{rng.randrange(256)}.{rng.randrange(256)}.0/24 -j DROP"
        )
    for n in range(customers):
        body.append(f"-A FORWARD -d 10.{n // 256}.{n % 256}.0/24 -j cust_{n}")
    each = (rules - len(body)) // customers - 3
    for n in range(customers):
        chain = f"-A cust_{n}"
        for _ in range(each):
            what, target = rng.random(), f"{chain} -d {_address(rng, n)}/32"
            if what < 0.15:
                body.append(f"{target} -j {rng.choice(('WEB', 'MAIL'))}")
            elif what < 0.6:
                body.append(f"{target} -p tcp -m tcp --dport {rng.choice(SERVICES)} -j ACCEPT")
            elif what < 0.75:
                low = rng.randrange(1024, 60000)
                body.append(f"{target} -p udp -m udp --dport {low}:{low + 500} -j ACCEPT")
            elif what < 0.85:
                body.append(
                    f"{target} ! -s 10.{rng.randrange(4)}.0.0/16 -p tcp -m tcp --dport {rng.choice(SERVICES)} -j DROP"
                )
            elif what < 0.95:
                body.append(f"{target} -s {_address(rng, rng.randrange(customers))}/32 -j RETURN")
            else:
                body.append(
                    f"{target} -p tcp -m multiport ! --dports 80,443 -m conntrack --ctstate NEW -j DROP"
                )
        body.append(f"{chain} -p icmp -m icmp --icmp-type 8 -j ACCEPT")
        body.append(f"{chain} -j DROP")
    chains = [":INPUT DROP [0:0]", ":FORWARD DROP [0:0]", ":OUTPUT ACCEPT [0:0]"]
    chains += [f":{name} - [0:0]" for name in ("BLOCKED", "SYNLIMIT", "MAIL", "WEB")]
    chains += [f":cust_{n} - [0:0]" for n in range(customers)]
    return "\n".join(["*filter", *chains, *body, "COMMIT", ""])


def translating(rules: int, services: int = 200, seed: int = 1) -> str:
    """The campus, and `services` addresses and ports outside that are translated to hosts in it (DNAT)."""
    rng = random.Random(f"translating{rules}{services}{seed}")
    nat = ["*nat", ":PREROUTING ACCEPT [0:0]", ":POSTROUTING ACCEPT [0:0]"]
    for n in range(services):
        port = rng.choice(SERVICES)
        nat.append(
            f"-A PREROUTING -d 203.0.113.{n % 250}/32 -p tcp -m tcp --dport {port} -j DNAT"
            f" --to-destination {_address(rng, rng.randrange(40))}:{port}"
        )
    nat += ["-A POSTROUTING -s 10.0.0.0/8 -o eth0 -j MASQUERADE", "COMMIT", ""]
    return "\n".join(nat) + campus(rules)


DUMPS: dict[str, Callable[[int], str]] = {"campus": campus, "hosting": hosting}
