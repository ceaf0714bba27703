"""Names that rule sets use for numbers: protocols, ICMP types, services.

Sources: IANA's protocol and ICMP registries; the spellings are those of iptables(8) extensions and of nft(8).
"""

from __future__ import annotations

PROTOCOLS = {
    "ip": 0, "hopopt": 0, "icmp": 1, "igmp": 2, "ggp": 3, "ipencap": 4, "ipip": 4, "ipv4": 4, "st": 5, "tcp": 6, "egp": 8, "igp": 9,
    "pup": 12, "udp": 17, "hmp": 20, "xns-idp": 22, "rdp": 27, "dccp": 33, "xtp": 36, "ddp": 37, "ipv6": 41, "ipv6-route": 43,
    "ipv6-frag": 44, "rsvp": 46, "gre": 47, "esp": 50, "ipv6-crypt": 50, "ah": 51, "ipv6-auth": 51, "skip": 57, "ipv6-icmp": 58,
    "icmpv6": 58, "icmp6": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "eigrp": 88, "ospf": 89, "ospfigp": 89, "ax.25": 93, "etherip": 97,
    "encap": 98, "pim": 103, "ipcomp": 108, "comp": 108, "vrrp": 112, "carp": 112, "l2tp": 115, "isis": 124, "sctp": 132, "fc": 133,
    "mh": 135, "mobility-header": 135, "ipv6-mh": 135, "udplite": 136, "mpls-in-ip": 137, "shim6": 140, "wesp": 141, "rohc": 142,
}  # fmt: skip
PROTOCOL_NAMES = {
    1: "icmp", 2: "igmp", 4: "ipip", 6: "tcp", 17: "udp", 33: "dccp", 41: "ipv6", 47: "gre", 50: "esp", 51: "ah", 58: "icmpv6",
    89: "ospf", 103: "pim", 108: "ipcomp", 112: "vrrp", 115: "l2tp", 132: "sctp", 136: "udplite",
}  # fmt: skip
WITH_PORTS = frozenset({6, 17, 33, 132, 136})

# Name → (type, first code, last code).
_ANY = (0, 255)
ICMP: dict[str, tuple[int, int, int]] = {
    "echo-reply": (0, *_ANY), "pong": (0, *_ANY), "destination-unreachable": (3, *_ANY), "source-quench": (4, *_ANY),
    "redirect": (5, *_ANY), "echo-request": (8, *_ANY), "ping": (8, *_ANY), "router-advertisement": (9, *_ANY),
    "router-solicitation": (10, *_ANY), "time-exceeded": (11, *_ANY), "ttl-exceeded": (11, *_ANY), "parameter-problem": (12, *_ANY),
    "timestamp-request": (13, *_ANY), "timestamp-reply": (14, *_ANY), "info-request": (15, *_ANY), "info-reply": (16, *_ANY),
    "address-mask-request": (17, *_ANY), "address-mask-reply": (18, *_ANY),
    "network-unreachable": (3, 0, 0), "host-unreachable": (3, 1, 1), "protocol-unreachable": (3, 2, 2), "port-unreachable": (3, 3, 3),
    "fragmentation-needed": (3, 4, 4), "source-route-failed": (3, 5, 5), "network-unknown": (3, 6, 6), "host-unknown": (3, 7, 7),
    "network-prohibited": (3, 9, 9), "host-prohibited": (3, 10, 10), "TOS-network-unreachable": (3, 11, 11),
    "TOS-host-unreachable": (3, 12, 12), "communication-prohibited": (3, 13, 13), "host-precedence-violation": (3, 14, 14),
    "precedence-cutoff": (3, 15, 15), "network-redirect": (5, 0, 0), "host-redirect": (5, 1, 1), "TOS-network-redirect": (5, 2, 2),
    "TOS-host-redirect": (5, 3, 3), "ttl-zero-during-transit": (11, 0, 0), "ttl-zero-during-reassembly": (11, 1, 1),
    "ip-header-bad": (12, 0, 0), "required-option-missing": (12, 1, 1),
}  # fmt: skip
ICMP6: dict[str, tuple[int, int, int]] = {
    "destination-unreachable": (1, *_ANY), "packet-too-big": (2, *_ANY), "time-exceeded": (3, *_ANY), "ttl-exceeded": (3, *_ANY),
    "parameter-problem": (4, *_ANY), "echo-request": (128, *_ANY), "ping": (128, *_ANY), "echo-reply": (129, *_ANY),
    "pong": (129, *_ANY), "mld-listener-query": (130, *_ANY), "mld-listener-report": (131, *_ANY), "mld-listener-done": (132, *_ANY),
    "mld-listener-reduction": (132, *_ANY), "router-solicitation": (133, *_ANY), "nd-router-solicit": (133, *_ANY),
    "router-advertisement": (134, *_ANY), "nd-router-advert": (134, *_ANY), "neighbour-solicitation": (135, *_ANY),
    "neighbor-solicitation": (135, *_ANY), "nd-neighbor-solicit": (135, *_ANY), "neighbour-advertisement": (136, *_ANY),
    "neighbor-advertisement": (136, *_ANY), "nd-neighbor-advert": (136, *_ANY), "redirect": (137, *_ANY), "nd-redirect": (137, *_ANY),
    "router-renumbering": (138, *_ANY), "ind-neighbor-solicit": (141, *_ANY), "ind-neighbor-advert": (142, *_ANY),
    "mld2-listener-report": (143, *_ANY), "no-route": (1, 0, 0), "communication-prohibited": (1, 1, 1), "beyond-scope": (1, 2, 2),
    "address-unreachable": (1, 3, 3), "port-unreachable": (1, 4, 4), "failed-policy": (1, 5, 5), "reject-route": (1, 6, 6),
    "ttl-zero-during-transit": (3, 0, 0), "ttl-zero-during-reassembly": (3, 1, 1), "bad-header": (4, 0, 0),
    "unknown-header-type": (4, 1, 1), "unknown-option": (4, 2, 2),
}  # fmt: skip
# nft's names of codes, which it prints whatever the type (`icmp code 0` is `net-unreachable`).
ICMP_CODES = {
    "net-unreachable": 0, "host-unreachable": 1, "prot-unreachable": 2, "port-unreachable": 3, "frag-needed": 4,
    "net-prohibited": 9, "host-prohibited": 10, "admin-prohibited": 13,
}  # fmt: skip
ICMP6_CODES = {
    "no-route": 0, "admin-prohibited": 1, "addr-unreachable": 3, "port-unreachable": 4, "policy-fail": 5, "reject-route": 6,
}  # fmt: skip
# The services that rule sets and questions name; everything else is written as a number.
SERVICES = {
    "ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "time": 37, "whois": 43, "tacacs": 49, "domain": 53, "dns": 53,
    "bootps": 67, "dhcp": 67, "bootpc": 68, "tftp": 69, "finger": 79, "http": 80, "www": 80, "kerberos": 88, "pop3": 110, "sunrpc": 111,
    "portmapper": 111, "auth": 113, "nntp": 119, "ntp": 123, "netbios-ns": 137, "netbios-dgm": 138, "netbios-ssn": 139, "imap": 143,
    "imap2": 143, "snmp": 161, "snmp-trap": 162, "bgp": 179, "irc": 194, "ldap": 389, "https": 443, "microsoft-ds": 445, "smb": 445,
    "submissions": 465, "smtps": 465, "isakmp": 500, "exec": 512, "login": 513, "shell": 514, "syslog": 514, "printer": 515,
    "dhcpv6-client": 546, "dhcpv6-server": 547, "rtsp": 554, "submission": 587, "ipp": 631, "ldaps": 636, "rsync": 873, "imaps": 993,
    "pop3s": 995, "socks": 1080, "openvpn": 1194, "ms-sql-s": 1433, "mssql": 1433, "l2f": 1701, "pptp": 1723, "radius": 1812,
    "nfs": 2049, "docker": 2375, "mysql": 3306, "rdp": 3389, "ms-wbt-server": 3389, "sip": 5060, "postgresql": 5432, "postgres": 5432,
    "amqp": 5672, "vnc": 5900, "x11": 6000, "redis": 6379, "elasticsearch": 9200, "memcached": 11211, "mongodb": 27017,
    "mdns": 5353, "ssdp": 1900, "wireguard": 51820, "http-alt": 8080,
}  # fmt: skip


def protocol(text: str) -> int | None:
    """A protocol by number or name; None if it is neither."""
    if text.isdigit():
        return int(text) if int(text) <= 255 else None
    return PROTOCOLS.get(text.lower())


def port(text: str) -> int | None:
    """A port by number or well-known name; None if it is neither."""
    if text.isdigit():
        return int(text) if int(text) <= 65535 else None
    return SERVICES.get(text.lower())


def icmp(text: str, version: int) -> tuple[int, int, int] | None:
    """`8`, `3/1` or `echo-request` as (type, first code, last code); None if it is none of these."""
    kind, slash, code = text.partition("/")
    if not kind.isdigit():
        return (ICMP if version == 4 else ICMP6).get(text)
    if int(kind) > 255 or (slash and not (code.isdigit() and int(code) <= 255)):
        return None
    return (int(kind), int(code), int(code)) if slash else (int(kind), *_ANY)
