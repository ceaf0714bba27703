"""Address blocks that mean something else than "that party on the internet".

Source: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and what updates it), those that are not
globally reachable, and the multicast spaces (RFC 5771, RFC 4291). 2002::/16 and 2001::/32 are in it because whoever stands
behind a 6to4 or Teredo relay cannot be told apart. 64:ff9b::/96 and 192.88.99.0/24 are globally reachable and not in it.
"""

from __future__ import annotations

from bisect import bisect_right

from wardkeep.allowlists.networks import Network, read_network

PRIVATE = "private use"
CGNAT = "shared address space of carriers (RFC 6598)"
MAPPED = "IPv4-mapped IPv6"

_TABLE = (
    ("0.0.0.0/8", '"this network"'),
    ("10.0.0.0/8", PRIVATE),
    ("100.64.0.0/10", CGNAT),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", PRIVATE),
    ("192.0.0.0/24", "protocol assignments"),
    ("192.0.2.0/24", "documentation"),
    ("192.168.0.0/16", PRIVATE),
    ("198.18.0.0/15", "benchmarking"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("::/128", "the unspecified address"),
    ("::1/128", "loopback"),
    ("::ffff:0:0/96", MAPPED),
    ("64:ff9b:1::/48", "local-use translation"),
    ("100::/64", "discard-only"),
    ("2001::/32", "Teredo"),
    ("2001:2::/48", "benchmarking"),
    ("2001:10::/28", "deprecated (ORCHID)"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4"),
    ("3fff::/20", "documentation"),
    ("5f00::/16", "segment routing identifiers"),
    ("fc00::/7", PRIVATE),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "deprecated (site-local)"),
    ("ff00::/8", "multicast"),
)
# On a list for a network of one's own, these are what one expects.
INSIDE = frozenset({PRIVATE, "link-local", CGNAT})

SPECIAL: tuple[Network, ...] = tuple(read_network(text) for text, _ in _TABLE)

_BLOCKS: dict[int, list[tuple[int, int, str, str]]] = {4: [], 6: []}
for _text, _name in _TABLE:
    _read = read_network(_text)
    _BLOCKS[_read.version].append((_read.low, _read.high, _name, _text))
for _found in _BLOCKS.values():
    _found.sort()
_LOWS = {version: [block[0] for block in found] for version, found in _BLOCKS.items()}


def special_use(network: Network) -> tuple[str, str, bool]:
    """(what the first special block is that the network touches, the block, whether the network lies in it as a whole).

    ("", "", False) when it touches none.
    """
    found = _BLOCKS[network.version]
    at = bisect_right(_LOWS[network.version], network.high) - 1
    touched = ("", "", False)
    # The blocks do not overlap: those that begin before the network's end, from the last one down.
    while at >= 0 and found[at][1] >= network.low:
        low, high, name, text = found[at]
        touched = (name, text, low <= network.low and network.high <= high)
        at -= 1
    return touched
