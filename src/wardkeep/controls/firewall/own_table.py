"""Our own nftables table, compiled from the policy: the only thing of the packet filter that Wardkeep ever writes.

`inet wardkeep` drops what the policy does not name before any other chain of the input hook sees it. Foreign tables stay
byte for byte as they are; what they drop beside it stays dropped.

The rules of one policy stand in a chain of their own, `rules_DIGEST`; the base chain only sends packets there. So two policies
can be in the kernel at once, and a set whose elements the kernel lets expire decides between them. Named counters, ban
sets, rates and the record of who came from where lie beside the chains and outlive every change: no transaction deletes them.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from wardkeep.allowlists.services import Span, joined
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
KEPT = """\
	set banned4 {
		type ipv4_addr
		flags interval, timeout
	}
	set banned6 {
		type ipv6_addr
		flags interval, timeout
	}
	counter banned { }
	counter refused { }
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
    made = {"input", "banned4", "banned6", "banned", "refused"}
    for opening in permit.openings:
        made.add(counter_of(opening))
        if opening.sources:
            made |= {noting(opening.protocol), *(f"seen{v}_{opening.protocol}" for v in (4, 6))}
        if opening.limit:
            made |= {f"{counter_of(opening)}_rate{version}" for version in (4, 6)}
    return frozenset(made)


def _transaction(permit: Permit, chain: str, dispatch: str, more: str = "") -> str:
    # What is declared and exists already stays as it is, with counters and elements: only chains are emptied and filled.
    chains = {noting(p): _recorded(p) for p in noted_protocols(permit)}
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


def rule_lines(permit: Permit, older: bool = False) -> list[str]:
    """The rules of the policy's chain as text, in their order; `older`: as they were when all protocols were noted in one set."""
    lines = [line.strip() for line in (FIRST + ESSENTIAL).splitlines()]
    lines += [line for denial in permit.denials for line in _denial(denial)]
    if older:
        lines += [line for opening in permit.openings for line in _step_before(opening)]
    else:
        lines += [line for step in steps(permit.openings) for line in _step(*step)]
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


def steps(openings: Iterable[Opening]) -> list[tuple[bool, Opening]]:
    """The rules of the openings in their order: (whether it is the one that drops who is too fast, its opening).

    As the policy has them, but for one thing: what names its sources stands before what is open to everybody, or those who come by
    it would never be noted. Both let them in, so nobody fares otherwise; before a limit that it stood behind it never goes.
    """
    order = [(rate, o) for o in openings for rate in ((True, False) if o.limit else (False,))]
    public: dict[str, tuple[Span, ...]] = {}
    for protocol in {o.protocol for _, o in order}:
        spans = [
            (protocol, o.low, o.high)
            for rate, o in order
            if not rate and not o.sources and o.protocol == protocol
        ]
        public[protocol] = joined(spans)
    made: list[tuple[bool, Opening]] = []
    for rate, one in order:
        at = len(made)
        if one.sources and not rate and _among(public[one.protocol], one):
            for place in range(len(made) - 1, -1, -1):
                limits, other = made[place]
                if other.protocol == one.protocol and other.low <= one.high and one.low <= other.high:
                    if limits:
                        break
                    at = place if not other.sources else at
        made.insert(at, (rate, one))
    return made


def _among(spans: tuple[Span, ...], one: Opening) -> bool:
    """Whether one of these sorted, disjoint spans has a port of the opening."""
    at = bisect_right(spans, one.high, key=lambda span: span[1])
    return at > 0 and one.low <= spans[at - 1][2]


def _step(rate: bool, opening: Opening) -> Iterator[str]:
    match = f"{opening.protocol} dport {opening.ports}"
    if rate:
        for networks, version in limited(opening):
            source = f"{_from(networks)} " if networks else ""
            yield f"{source}{match} {_too_fast(opening, version)}"
    elif not opening.sources:
        yield f'{match} counter name "{counter_of(opening)}" accept'
    else:
        to = noting(opening.protocol)
        for networks in by_family(opening.sources):
            yield f'{_from(networks)} {match} counter name "{counter_of(opening)}" goto {to}'


def _step_before(opening: Opening) -> Iterator[str]:
    """A limit was everybody's of the port, whomever the sentence names."""
    if opening.limit:
        yield from (
            f"{opening.protocol} dport {opening.ports} {_too_fast(opening, version)}" for version in (4, 6)
        )
    yield from (line.replace("goto note_", "goto via_") for line in _step(False, opening))


def _too_fast(opening: Opening, version: int) -> str:
    family = "ip" if version == 4 else "ip6"
    over = f"limit rate over {opening.limit} burst {_burst(opening.limit)} packets"
    return f"update @{counter_of(opening)}_rate{version} {{ {family} saddr {over} }} drop"


def limited(opening: Opening) -> list[tuple[list[Network], int]]:
    """Of whom a limit is: the networks of each IP version, or everybody of it. The limit of one sentence is not that of another."""
    if not opening.sources:
        return [([], 4), ([], 6)]
    return [(networks, networks[0].version) for networks in by_family(opening.sources)]


def _recorded(protocol: str) -> str:
    """Who came, and when last, by what is left of the timeout: an entry that nobody uses is known by it. In rules of their
    own, without a verdict: a record that is full must not close an opening. Each protocol has sets of its own."""
    updates = (
        f"\t\tupdate @seen{version}_{protocol} {{ {family} saddr . {protocol} dport }}\n"
        for family, version in (("ip", 4), ("ip6", 6))
    )
    return "".join(updates) + "\t\taccept\n"


def noting(protocol: str) -> str:
    """The chain that notes who came and lets them in. (`via_` was that of tables that noted all protocols in one set.)"""
    return f"note_{protocol}"


def noted_protocols(permit: Permit) -> list[str]:
    return sorted({opening.protocol for opening in permit.openings if opening.sources})


def _beside(permit: Permit) -> str:
    """The counters, the sets that note who came, and for each limit those that hold each source's rate."""
    told = {
        f"seen{version}_{protocol}": f"\tset seen{version}_{protocol} {{\n\t\ttype ipv{version}_addr . inet_service\n"
        f"\t\tsize 65535\n\t\tflags dynamic, timeout\n\t\ttimeout {SEEN_FOR}\n\t}}\n"
        for protocol in noted_protocols(permit)
        for version in (4, 6)
    }
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
