"""Our own nftables table, compiled from the policy: the only thing of the packet filter that Wardkeep ever writes.

`inet wardkeep` drops what the policy does not name before any other chain of the input hook sees it. Foreign tables stay
byte for byte as they are; what they drop beside it stays dropped.

The rules of one policy stand in a chain of their own, `rules_DIGEST`; the base chain only sends packets there. So two policies
can be in the kernel at once, and a set whose elements the kernel lets expire decides between them. Named counters, ban
sets, rates and the record of who came from where lie beside the chains and outlive every change: no transaction deletes them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from wardkeep.controls.firewall.allowed import Opening, Permit
from wardkeep.controls.firewall.program import Network

TABLE = "inet wardkeep"
TRIAL = 300  # seconds for which the kernel itself keeps a table on trial, whatever becomes of us
SEEN_FOR = "100d"  # how long the kernel remembers who used an opening: a quarter and a week

# RFC 4890, section 4.4: what IPv6 does not work without. RFC 1812 and 1191 for IPv4.
ESSENTIAL = """\
		icmp type { echo-request, destination-unreachable, time-exceeded, parameter-problem } accept
		icmpv6 type { echo-request, destination-unreachable, packet-too-big, time-exceeded, parameter-problem, \
nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query } accept
"""
# Who is banned loses what is open already, too. Somebody else fills these sets (a sensor, `nft add element`), with timeouts.
FIRST = """\
		iifname "lo" accept
		ip saddr @banned4 counter name "banned" drop
		ip6 saddr @banned6 counter name "banned" drop
		ct state vmap { established : accept, related : accept, invalid : drop }
"""
KEPT = f"""\
	set banned4 {{
		type ipv4_addr
		flags interval, timeout
	}}
	set banned6 {{
		type ipv6_addr
		flags interval, timeout
	}}
	set seen4 {{
		type ipv4_addr . inet_service
		size 65535
		flags dynamic, timeout
		timeout {SEEN_FOR}
	}}
	set seen6 {{
		type ipv6_addr . inet_service
		size 65535
		flags dynamic, timeout
		timeout {SEEN_FOR}
	}}
	counter banned {{ }}
	counter refused {{ }}
"""


def chain_of(permit: Permit, letter: str = "a") -> str:
    """The name of the chain that holds these rules. Two letters, so that one text can replace a chain that was altered."""
    return f"rules_{hashlib.sha256(_rules(permit).encode()).hexdigest()[:12]}{letter}"


def ruleset(permit: Permit, chain: str = "") -> str:
    """The table for good, as one transaction: afterwards only these rules decide, and nothing that is kept was touched.

    It may be loaded into an empty kernel (a boot), over an earlier table of ours, or over itself.
    """
    return _transaction(permit, chain or chain_of(permit), "\t\tgoto {chain}\n")


def on_trial(permit: Permit, seconds: int = TRIAL, *, chain: str = "", back: str = "accept") -> str:
    """The same rules behind a switch that the kernel throws by itself when the time is over: then `back` decides again,
    a `goto` to the chain that decided before, or `accept` if there was none.

    No process needs to survive for that, on either side; nothing is written to disk, so a reboot ends it too.
    """
    switch = "\tset armed {\n\t\ttype nf_proto\n\t\tflags timeout\n\t}\n"
    dispatch = f"\t\tmeta nfproto @armed goto {{chain}}\n\t\t{back}\n"
    text = _transaction(permit, chain or chain_of(permit), dispatch, switch)
    wound = f"{{ ipv4 timeout {seconds}s, ipv6 timeout {seconds}s }}"
    return f"{text}flush set {TABLE} armed\nadd element {TABLE} armed {wound}\n"


def kept_names(permit: Permit) -> frozenset[str]:
    """Every chain, counter and set of the table that belongs to these rules, the chain of the rules itself left out."""
    made = {"input", "banned4", "banned6", "seen4", "seen6", "banned", "refused"}
    for opening in permit.openings:
        made.add(counter_of(opening))
        if opening.sources:
            made.add(_via(opening.protocol))
        if opening.limit:
            made |= {f"{counter_of(opening)}_rate{version}" for version in (4, 6)}
    return frozenset(made)


def _transaction(permit: Permit, chain: str, dispatch: str, more: str = "") -> str:
    # What is declared and exists already stays as it is, with counters and elements: only chains are emptied and filled.
    chains = {_via(p): _recorded(p) for p in sorted({o.protocol for o in permit.openings if o.sources})}
    chains |= {chain: _rules(permit), "input": dispatch.format(chain=chain)}
    hook = "\t\ttype filter hook input priority filter - 10; policy drop;\n"
    empty = "".join(f"\tchain {name} {{\n{hook if name == 'input' else ''}\t}}\n" for name in chains)
    full = "".join(f"\tchain {name} {{\n{rules}\t}}\n" for name, rules in chains.items())
    flushed = "".join(f"flush chain {TABLE} {name}\n" for name in chains)
    return f"""\
# Written by Wardkeep from its policy. Changes made here are overwritten.
table {TABLE} {{
{KEPT}{_beside(permit)}{more}{empty}}}
{flushed}table {TABLE} {{
{full}}}
"""


def rule_lines(permit: Permit) -> list[str]:
    """The rules of the policy's chain as text, in their order."""
    lines = [line.strip() for line in (FIRST + ESSENTIAL).splitlines()]
    lines += [line for denial in permit.denials for line in _denial(denial)]
    lines += [line for opening in permit.openings for line in _opening(opening)]
    if permit.interfaces:
        names = ", ".join(f'"{name}"' for name in sorted(permit.interfaces))
        lines.append(f"iifname {{ {names} }} accept")
    lines += [f"{_from(networks)} accept" for networks in by_family(permit.networks)]
    return [*lines, 'counter name "refused" drop']


def _rules(permit: Permit) -> str:
    return "".join(f"\t\t{line}\n" for line in rule_lines(permit))


def _denial(denial: Opening) -> list[str]:
    match = f"{denial.protocol} dport {denial.ports}"
    if not denial.sources:
        return [f"{match} drop"]
    return [f"{_from(networks)} {match} drop" for networks in by_family(denial.sources)]


def _opening(opening: Opening) -> list[str]:
    match = f"{opening.protocol} dport {opening.ports}"
    lines = []
    if opening.limit:
        over = f"limit rate over {opening.limit} burst {_burst(opening.limit)} packets"
        for family, version in (("ip", 4), ("ip6", 6)):
            name = f"{counter_of(opening)}_rate{version}"
            lines.append(f"{match} update @{name} {{ {family} saddr {over} }} drop")
    if not opening.sources:
        return [*lines, f'{match} counter name "{counter_of(opening)}" accept']
    return lines + [
        f'{_from(networks)} {match} counter name "{counter_of(opening)}" goto {_via(opening.protocol)}'
        for networks in by_family(opening.sources)
    ]


def _recorded(protocol: str) -> str:
    """Who came, and when last, by what is left of the timeout: an entry that nobody uses is known by it. In rules of their
    own, without a verdict: a record that is full must not close an opening."""
    port = f"{protocol} dport"
    return (
        f"\t\tupdate @seen4 {{ ip saddr . {port} }}\n\t\tupdate @seen6 {{ ip6 saddr . {port} }}\n\t\taccept\n"
    )


def _via(protocol: str) -> str:
    return f"via_{protocol}"


def _beside(permit: Permit) -> str:
    """The counters, and for each limit the sets that hold each source's rate."""
    told = {}
    for opening in permit.openings:
        name = counter_of(opening)
        told[name] = f"\tcounter {name} {{ }}\n"
        if opening.limit:
            for version in (4, 6):
                told[f"{name}{version}"] = (
                    f"\tset {name}_rate{version} {{\n\t\ttype ipv{version}_addr\n\t\tsize 65535\n"
                    f"\t\tflags dynamic, timeout\n\t\ttimeout {_window(opening.limit)}\n\t}}\n"
                )
    return "".join(told.values())


def counter_of(opening: Opening) -> str:
    """`open_tcp_8000_8010`, with the limit and the kind of sources if there are any: one name for one thing over all changes."""
    ports = opening.ports.replace("-", "_")
    limit = "_" + opening.limit.replace("/", "_") if opening.limit else ""
    return f"open_{opening.protocol}_{ports}{limit}{'_some' if opening.sources else ''}"


def _burst(limit: str) -> int:
    return max(5, min(int(limit.partition("/")[0]), 1000))


def _window(limit: str) -> str:
    """How long a silent source's rate is remembered: at least the span that the limit is about."""
    return {"second": "1m", "minute": "2m", "hour": "2h", "day": "2d"}[limit.partition("/")[2]]


def by_family(networks: Iterable[Network]) -> list[list[Network]]:
    """As few as say the same: nft refuses a set whose elements overlap."""
    found = list(networks)
    four = list(collapse_addresses(n for n in found if isinstance(n, IPv4Network)))
    six = list(collapse_addresses(n for n in found if isinstance(n, IPv6Network)))
    return [[*same] for same in (four, six) if same]


def _from(networks: list[Network]) -> str:
    family = "ip" if networks[0].version == 4 else "ip6"
    told = ", ".join(str(n) for n in networks)
    # A set for one network costs the kernel more than the rule around it.
    return f"{family} saddr {told if len(networks) == 1 else '{ ' + told + ' }'}"
