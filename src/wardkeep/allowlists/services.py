"""What an entry opens: ports of a protocol, by number or by name, and which of them must not be open widely."""

from __future__ import annotations

import functools
import re
from typing import TypeAlias

from wardkeep.core.errors import BadInput

Span: TypeAlias = tuple[str, int, int]  # (protocol, first port, last port)

# Names as /etc/services has them. Few on purpose: a name must mean the same on every machine.
NAMED: dict[str, tuple[Span, ...]] = {
    "ssh": (("tcp", 22, 22),),
    "smtp": (("tcp", 25, 25),),
    "dns": (("tcp", 53, 53), ("udp", 53, 53)),
    "http": (("tcp", 80, 80),),
    "ntp": (("udp", 123, 123),),
    "ldap": (("tcp", 389, 389),),
    "https": (("tcp", 443, 443),),
    "ldaps": (("tcp", 636, 636),),
    "ms-sql": (("tcp", 1433, 1433),),
    "mysql": (("tcp", 3306, 3306),),
    "rdp": (("tcp", 3389, 3389), ("udp", 3389, 3389)),
    "postgresql": (("tcp", 5432, 5432),),
    "vnc": (("tcp", 5900, 5903),),
    "redis": (("tcp", 6379, 6379),),
    "wireguard": (("udp", 51820, 51820),),
    "any": (("tcp", 0, 65535), ("udp", 0, 65535)),
}
# Administration and databases: who reaches one of these is inside. What they are is said when an entry is too wide for them.
SENSITIVE: dict[tuple[str, int], str] = {
    ("tcp", 22): "SSH",
    ("tcp", 23): "Telnet",
    ("tcp", 135): "Windows RPC",
    ("tcp", 139): "NetBIOS",
    ("tcp", 445): "SMB",
    ("tcp", 623): "IPMI",
    ("udp", 623): "IPMI",
    ("tcp", 1433): "SQL Server",
    ("tcp", 1521): "Oracle",
    ("tcp", 2049): "NFS",
    ("tcp", 2375): "Docker",
    ("tcp", 2376): "Docker",
    ("tcp", 2379): "etcd",
    ("tcp", 2380): "etcd",
    ("tcp", 3306): "MySQL",
    ("tcp", 3389): "RDP",
    ("udp", 3389): "RDP",
    ("tcp", 5432): "PostgreSQL",
    ("tcp", 5900): "VNC",
    ("tcp", 5985): "WinRM",
    ("tcp", 5986): "WinRM",
    ("tcp", 6379): "Redis",
    ("tcp", 6443): "Kubernetes",
    ("tcp", 9042): "Cassandra",
    ("tcp", 9200): "Elasticsearch",
    ("tcp", 10250): "kubelet",
    ("tcp", 11211): "memcached",
    ("udp", 11211): "memcached",
    ("tcp", 27017): "MongoDB",
}
PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?/(tcp|udp|sctp)")


@functools.lru_cache(maxsize=65536)
def read_service(text: str) -> tuple[Span, ...]:
    """`443/tcp`, `8000-8010/tcp`, `ssh`, `any`, or several with commas: sorted, neighbours made one. Raises BadInput."""
    found: list[Span] = []
    for part in text.split(","):
        word = part.strip().lower()
        if word in NAMED:
            found += NAMED[word]
            continue
        match = PORTS.fullmatch(word)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if match is None or not low <= high <= 65535:
            known = ", ".join(NAMED)
            raise BadInput(
                f"`{part.strip()[:40]}` is no service",
                todo=f"Write ports (443/tcp, 8000-8010/tcp) or a name: {known}.",
            )
        found.append((match[3], low, high))
    return joined(found)


def joined(spans: list[Span]) -> tuple[Span, ...]:
    """The same ports with overlapping and neighbouring spans made one, sorted."""
    made: list[Span] = []
    for protocol, low, high in sorted(spans):
        if made and made[-1][0] == protocol and low <= made[-1][2] + 1:
            made[-1] = (protocol, made[-1][1], max(high, made[-1][2]))
        else:
            made.append((protocol, low, high))
    return tuple(made)


@functools.lru_cache(maxsize=65536)
def sensitive(spans: tuple[Span, ...]) -> str:
    """What administration or database these ports belong to, in words; "" for none."""
    found = [
        name
        for (protocol, port), name in SENSITIVE.items()
        if any(protocol == p and low <= port <= high for p, low, high in spans)
    ]
    shown = list(dict.fromkeys(found))
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")


@functools.lru_cache(maxsize=65536)
def write_service(spans: tuple[Span, ...]) -> str:
    if spans == NAMED["any"]:
        return "any"
    return ", ".join(f"{low}/{p}" if low == high else f"{low}-{high}/{p}" for p, low, high in spans)


def overlap(one: tuple[Span, ...], other: tuple[Span, ...]) -> bool:
    return any(p == q and a <= d and c <= b for p, a, b in one for q, c, d in other)
