"""The regions of packets that findings and questions are about: the world, its services, and who is a stranger."""

from __future__ import annotations

from typing import Final

from wardkeep.packets.dimensions import Row, Values, states
from wardkeep.rulesets.spans import Spans, join, meet, network, outside


def _networks(version: int, *texts: str) -> Spans:
    return join(span for text in texts for span in network(text, version) or ())


# Addresses that no stranger on the internet has: RFC 6890 and its updates, RFC 1918, RFC 6598, multicast.
SPECIAL4: Final = _networks(
    4,
    *(
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
    ),
    *("192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
)
WORLD4: Final = outside(SPECIAL4, 2**32 - 1)
WORLD6: Final = _networks(6, "2000::/3")
WORLD: Final[dict[int, Spans]] = {4: WORLD4, 6: WORLD6}
# What a packet can be sent to a host: no loopback, no multicast, no broadcast, no "this network".
UNICAST: Final[dict[int, Spans]] = {
    4: outside(_networks(4, "0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3"), 2**32 - 1),
    6: outside(_networks(6, "::/127", "ff00::/8"), 2**128 - 1),
}
TOP: Final = {4: 2**32 - 1, 6: 2**128 - 1}
# Services whose openness to strangers is a finding. Sources: CIS Benchmarks, AWS Security Hub EC2.19, Shodan's usual suspects.
SENSITIVE: Final[tuple[tuple[str, int, int, str], ...]] = (
    ("ssh", 6, 22, "medium"),
    ("telnet", 6, 23, "high"),
    ("tftp", 17, 69, "high"),
    ("portmapper", 6, 111, "high"),
    ("netbios", 6, 139, "high"),
    ("snmp", 17, 161, "high"),
    ("ldap", 6, 389, "high"),
    ("smb", 6, 445, "high"),
    ("rsh", 6, 514, "high"),
    ("ipmi", 17, 623, "high"),
    ("rsync", 6, 873, "high"),
    ("mssql", 6, 1433, "high"),
    ("oracle", 6, 1521, "high"),
    ("nfs", 6, 2049, "high"),
    ("docker", 6, 2375, "high"),
    ("etcd", 6, 2379, "high"),
    ("mysql", 6, 3306, "high"),
    ("rdp", 6, 3389, "high"),
    ("postgresql", 6, 5432, "high"),
    ("amqp", 6, 5672, "high"),
    ("vnc", 6, 5900, "high"),
    ("winrm", 6, 5985, "high"),
    ("redis", 6, 6379, "high"),
    ("kubernetes", 6, 6443, "medium"),
    ("elasticsearch", 6, 9200, "high"),
    ("kubelet", 6, 10250, "high"),
    ("memcached", 6, 11211, "high"),
    ("mongodb", 6, 27017, "high"),
)
NEW: Final = states("new")
SYN: Final[Values] = ((2, 2),)


def service(protocol: int, port: int) -> Row:
    """New packets to a port; of TCP those that open a connection."""
    row: dict[str, Values] = {
        "proto": ((protocol, protocol),),
        "dport": ((port, port),),
        "fragment": ((0, 0),),
        "state": NEW,
    }
    if protocol == 6:
        row["tcp_flags"] = SYN
    return row


def within(row: Row, dimension: str, spans: Spans) -> Row:
    """The row with one more limit."""
    held = row.get(dimension)
    if held is not None:
        spans = meet(join(v for v in held if isinstance(v, tuple)), spans)
    return {**row, dimension: spans}


def _spread(version: int, count: int) -> Spans:
    """Addresses spread over the public internet, always the same ones."""
    spans = WORLD[version]
    total = sum(high - low + 1 for low, high in spans)
    found = []
    for n in range(count):
        # A step by the golden ratio spreads evenly and follows no prefix that somebody might have listed.
        left = int((n * 0.6180339887498949 + 0.5) % 1 * total)
        for low, high in spans:
            if left <= high - low:
                found.append((low + left, low + left))
                break
            left -= high - low + 1
    return join(found)


# Whoever is let in from one of these is let in from a good part of the internet: lists of partners' networks do not hold them.
STRANGERS: Final[dict[int, Spans]] = {4: _spread(4, 4), 6: _spread(6, 2)}
