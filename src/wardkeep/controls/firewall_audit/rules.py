"""The rules about what the hosts have in force: audited in time, each opening explained and narrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network, summarize_address_range
from typing import Any

from wardkeep.controls.firewall_audit.row import Policy, control
from wardkeep.core.findings import Seen, Severity, fails, holds, passes, unsure
from wardkeep.facts.nftables import Nftables, Rule
from wardkeep.facts.platform_schedules import PlatformSchedules, reviewed_in_time

OURS = ("inet", "wardkeep")  # derived from the policy, where each opening is named


@control.rule(
    says="A person has audited the firewall's rules and whitelists within the time that policy asks for.",
    severity=Severity.MEDIUM,
    serves={
        "164.308(a)(8)": "The audit is a periodic evaluation only if it happens in its period and is on record.",
        "164.308(a)(4)(ii)(C)": "Reviewing who may reach what is a person's act; the record shows that it took place.",
    },
)
def audited_in_time(schedules: PlatformSchedules, now: datetime) -> Iterator[Seen]:
    todo = 'Audit them, then say what you found: `wardkeep review firewall_audit --says "…"`.'
    yield reviewed_in_time(schedules, "firewall_audit", "audit", todo, now)


audited_in_time.cannot_mend("an audit is a person's judgement")


@control.rule(
    says="Every rule that lets something in says in a comment what it is for.",
    severity=Severity.LOW,
    serves={
        "164.308(a)(4)(ii)(C)": "A right that nobody can explain cannot be reviewed, only kept for fear.",
        "164.312(a)(1)": "The comment ties an opening to those who were granted access by it.",
    },
)
def openings_explained(nftables: Nftables) -> Iterator[Seen]:
    # Two rules that match the same stand at one place; the one without a comment counts.
    openings: dict[str, list[Rule]] = {}
    for rule in nftables.rules:
        if is_opening(rule, nftables):
            openings.setdefault(place(rule), []).append(rule)
    if not openings:
        yield passes("host", "no rule outside Wardkeep's own table lets anything in by itself")
    for where, rules in sorted(openings.items()):
        chain = f"{rules[0].family} {rules[0].table} {rules[0].chain}"
        todo = f'Write it there (`comment "…"`), or remove the rule: `nft -a list chain {chain}`.'
        seen = "; ".join(sorted({rule.comment.strip() or "no comment" for rule in rules}))
        silent = [rule for rule in rules if not rule.comment.strip()]
        if silent and all(by_iptables(rule) for rule in silent):
            why = "written by iptables, whose matches and comments nft does not tell"
            yield unsure(f"rule:{where}", why, "Look yourself: `iptables-save`, `ip6tables-save`.")
        else:
            yield holds(not silent, f"rule:{where}", seen, todo)


openings_explained.cannot_mend("only who asked for an opening knows what it is for")


@control.rule(
    says="No whitelist admits a whole region of the internet.",
    severity=Severity.MEDIUM,
    serves={
        "164.312(e)(1)": "A network of millions of addresses is the open internet under another name.",
        "164.308(a)(1)(ii)(B)": "Naming the few addresses that need access leaves the rest without a way in.",
    },
)
def whitelists_narrow(nftables: Nftables, policy: Policy) -> Iterator[Seen]:
    wide: dict[str, set[str]] = {}
    unread: set[str] = set()
    for rule in nftables.rules:
        if not accepts(rule):
            continue
        subject = f"rule:{place(rule)}"
        if joins_source(rule):
            unread.add(subject)
        for network in sources(rule, nftables):
            widest = policy.widest_ipv4 if network.version == 4 else policy.widest_ipv6
            if network.prefixlen < widest and not network.is_private:
                wide.setdefault(subject, set()).add(str(network))
    if not wide and not unread:
        yield passes("host", f"none of {len(nftables.rules)} rules admits a wide network by name")
    for subject, networks in sorted(wide.items()):
        yield fails(subject, f"admits {', '.join(sorted(networks))}", "Name the addresses that need it.")
    for subject in sorted(unread - set(wide)):
        yield unsure(
            subject, "joins the source with something else, which is not followed here", "Look yourself."
        )


whitelists_narrow.cannot_mend("which addresses need access is known to whoever asked for it")


def place(rule: Rule) -> str:
    """Where a rule stands, the same after a reload: its chain and what it says, not its handle."""
    return f"{rule.family}/{rule.table}/{rule.chain}/{brief(rule.expr)}"


def brief(expr: tuple[Mapping[str, Any], ...]) -> str:
    """What a rule matches, in a few words: `tcp dport 22`."""
    words = []
    for one in expr:
        if match := one.get("match"):
            words.append(
                f"{_side(match['left'])} {'' if match['op'] in ('==', 'in') else 'not '}{_side(match['right'])}"
            )
        elif "xt" in one:
            words.append(f"xt {one['xt'].get('name', '')}")
        elif "vmap" in one:
            words.append(f"{_side(one['vmap']['key'])} by a map")
    return ", ".join(words) or "everything"


def _side(value: Any) -> str:
    if isinstance(value, dict) and len(value) == 1:
        ((kind, inside),) = value.items()
        if kind == "payload" and "field" in inside:
            return f"{inside['protocol']} {inside['field']}"
        if kind in ("meta", "ct"):
            return str(inside["key"])
        if kind == "prefix":
            return f"{_side(inside['addr'])}/{inside['len']}"
        if kind == "set":
            return "{" + " ".join(sorted(map(_side, inside))) + "}"
        if kind == "range":
            return "-".join(map(_side, inside))
        return str(kind)
    return " ".join(sorted(map(_side, value))) if isinstance(value, list) else str(value)


def accepts(rule: Rule) -> bool:
    """Whether the rule itself accepts, or looks a verdict up where accept may be among the answers."""
    return any("accept" in one or ("vmap" in one and may_accept(one["vmap"]["data"])) for one in rule.expr)


def by_iptables(rule: Rule) -> bool:
    return any("xt" in one for one in rule.expr)


def may_accept(data: Any) -> bool:
    return isinstance(data, str) or "accept" in str(data)  # a named map can hold anything later


def joins_source(rule: Rule) -> bool:
    """Whether a source is matched in a form that `sources` does not read: in a concatenation or a verdict map."""
    keys = [one["match"]["left"] for one in rule.expr if "match" in one and "concat" in one["match"]["left"]]
    keys += [one["vmap"]["key"] for one in rule.expr if "vmap" in one]
    return any("saddr" in str(key) for key in keys)


def is_opening(rule: Rule, nftables: Nftables) -> bool:
    """An accept of new packets in a filter table that is not ours; replies, loopback and other hooks open nothing."""
    bases = [c for c in nftables.chains if (c.family, c.table) == (rule.family, rule.table) and c.hook]
    translates = bool(bases) and all(
        c.kind == "nat" for c in bases
    )  # there accept means: leave the address as it is
    if not accepts(rule) or (rule.family, rule.table) == OURS or translates:
        return False
    # Chains that only other hooks enter say nothing about what comes in; a chain without a hook may be jumped to.
    hooks = {(c.family, c.table, c.name): c.hook for c in nftables.chains}
    if hooks.get((rule.family, rule.table, rule.chain), "") not in ("", "input", "prerouting", "forward"):
        return False
    said = brief(rule.expr)
    if "iifname lo" in said or "iif lo" in said:
        return False
    return not ("state" in said and "new" not in said and "untracked" not in said)


Network = IPv4Network | IPv6Network


def sources(rule: Rule, nftables: Nftables) -> Iterator[Network]:
    """The networks that a rule names as a packet's source, sets resolved; what is negated admits none by name."""
    for one in rule.expr:
        match = one.get("match")
        if match and match["op"] in ("==", "in") and _side(match["left"]) in ("ip saddr", "ip6 saddr"):
            yield from _networks(match["right"], rule, nftables)


def _networks(value: Any, rule: Rule, nftables: Nftables) -> Iterator[Network]:
    if isinstance(value, str) and value.startswith("@"):
        found = nftables.find(rule.family, rule.table, value[1:])
        value = list(found.elements) if found else []
    if isinstance(value, str):
        yield ip_network(value)
    elif isinstance(value, list):
        for element in value:
            yield from _networks(element, rule, nftables)
    elif "prefix" in value:
        yield ip_network(f"{value['prefix']['addr']}/{value['prefix']['len']}", strict=False)
    elif "range" in value:
        first, last = map(ip_address, value["range"])
        yield from summarize_address_range(first, last)
    else:
        yield from _networks(value["set"] if "set" in value else value["elem"]["val"], rule, nftables)
