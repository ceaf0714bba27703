"""AWS security groups and network ACLs, from the JSON of DescribeSecurityGroups and DescribeNetworkAcls.

Each group and each ACL is a program of its own: an interface's packets pass if *any* of its groups allows them, so one group
says what it opens, not what the others close. A group is stateful and has no order (its rules only allow): its packets here are
new ones. An ACL has an order, and judges each packet alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wardkeep.core.errors import BadInput
from wardkeep.packets.dimensions import Row, Values, states
from wardkeep.packets.program import Chain, Entry, Match, Part, Program, Rule, Unknown, Verdict
from wardkeep.rulesets import names
from wardkeep.rulesets.spans import network

TODO = "Give the output of `aws ec2 describe-security-groups` or `describe-network-acls` as it is"
PRIVATE: Values = tuple(
    span
    for text in ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16")
    for span in network(text, 4) or ()
)
ALWAYS_PORTS = frozenset({6, 17})  # AWS names the ports of TCP and UDP also where they are all of them
PEERS = ("IpRanges", "Ipv6Ranges", "UserIdGroupPairs", "PrefixListIds")
NEW: Row = {"state": states("new")}


class _Garbled(Exception):
    """A field is not as AWS writes it; the text says which."""


def read_aws(told: Mapping[str, Any], where: str) -> list[Program]:
    """Raises BadInput naming the group or ACL whose entry is not as AWS writes it."""
    found: list[Program] = []
    for key, read in (("SecurityGroups", _group), ("NetworkAcls", _acl)):
        bodies = told.get(key, [])
        if not isinstance(bodies, list):
            raise BadInput(f"{key} is no list", where=where, todo=TODO)
        for number, body in enumerate(bodies, 1):
            name = body.get("GroupId") or body.get("NetworkAclId") if isinstance(body, dict) else None
            try:
                found.append(read(body))
            except (_Garbled, KeyError, TypeError, ValueError, AttributeError) as e:
                what = "an entry has another form than AWS gives it"
                if isinstance(e, _Garbled):
                    what = str(e)
                elif isinstance(e, KeyError):
                    what = f"an entry lacks {e.args[0]}"
                raise BadInput(what, where=f"{where}: {name or f'{key} {number}'}", todo=TODO) from None
    return found


def _group(body: Mapping[str, Any]) -> Program:
    name, title = body["GroupId"], body.get("GroupName", "")
    chains = []
    for way, key, hook in (
        ("ingress", "IpPermissions", "input"),
        ("egress", "IpPermissionsEgress", "output"),
    ):
        chain = f"{name} {way}"
        rules: list[Rule] = []
        for permission in body[key]:
            ports, told = _ports(permission)
            for peer, parts, comment in _peers(permission, way == "ingress"):
                position = len(rules) + 1
                text = f"allow {told} {'from' if way == 'ingress' else 'to'} {peer}"
                made = (Match((NEW,)), *_both(ports, parts), Verdict("accept"))
                rules.append(Rule(f"{chain} {position}", made, position, text, comment))
        # AWS lets a group without outgoing rules send nothing; what is not listed is denied, both ways.
        chains.append(Chain(chain, tuple(rules), Entry(hook, (4, 6), 0, "drop")))
    return Program(tuple(chains), f"security group {name}{f' ({title})' if title else ''}", conntrack=True)


def _both(ports: Row, parts: list[Part]) -> tuple[Part, ...]:
    return (Match((ports,)), *parts) if ports else tuple(parts)


def _protocol(written: object) -> int | None:
    """The protocol's number; None for all of them, which AWS writes -1."""
    if str(written) == "-1":
        return None
    number = names.protocol(str(written))
    if number is None:
        raise _Garbled(f"`{written}` is no protocol")
    return number


def _ports(permission: Mapping[str, Any]) -> tuple[Row, str]:
    """Protocol and ports of a group's permission, and how a person writes them."""
    if (number := _protocol(permission["IpProtocol"])) is None:
        return {}, "everything"
    if number in ALWAYS_PORTS:
        return _service(number, _number(permission, "FromPort"), _number(permission, "ToPort"))
    low, high = permission.get("FromPort", -1), permission.get("ToPort", -1)
    return _service(number, int(low), int(high))


def _number(told: Mapping[str, Any], key: str) -> int:
    if not isinstance(told[key], int):
        raise _Garbled(f"{key} `{told[key]}` is no number")
    return int(told[key])


def _service(number: int, low: int, high: int) -> tuple[Row, str]:
    row: dict[str, Values] = {"proto": ((number, number),)}
    label = names.PROTOCOL_NAMES.get(number, f"protocol {number}")
    if number in (1, 58):
        head = "icmp" if number == 1 else "icmp6"
        if low >= 0:
            row[f"{head}_type"] = ((low, low),)
        if high >= 0:
            row[f"{head}_code"] = ((high, high),)
        return row, label if low < 0 else f"{label} type {low}{f' code {high}' if high >= 0 else ''}"
    if number in names.WITH_PORTS and low >= 0:
        row["dport"] = ((low, high),)
        return row, f"{low}/{label}" if low == high else f"{low}-{high}/{label}"
    return row, label


def _peers(permission: Mapping[str, Any], incoming: bool) -> Iterator[tuple[str, list[Part], str]]:
    """(who, what tests it, description) for each peer of a permission."""
    side = "src" if incoming else "dst"
    if not any(key in permission for key in PEERS):
        raise _Garbled(f"a permission names none of {', '.join(PEERS)}")
    for key, field, version in (("IpRanges", "CidrIp", 4), ("Ipv6Ranges", "CidrIpv6", 6)):
        for one in permission.get(key, []):
            yield one[field], [Match((_network(one[field], side, version),))], one.get("Description", "")
    for one in permission.get("UserIdGroupPairs", []):
        peer = f"members of {one.get('GroupId') or one.get('GroupName') or 'a group'}"
        # Members are met by their private addresses; over IPv6 those are addresses of the internet.
        may: tuple[Row, ...] = ({f"{side}4": PRIVATE}, {"family": ((6, 6),)})
        yield peer, [Unknown(f"{'from' if incoming else 'to'} {peer}", may)], one.get("Description", "")
    for one in permission.get("PrefixListIds", []):
        peer = f"the prefix list {one['PrefixListId']}"
        yield peer, [Unknown(f"{'from' if incoming else 'to'} {peer}")], one.get("Description", "")


def _network(text: str, side: str, version: int) -> Row:
    spans = network(text, version)
    if spans is None:
        raise _Garbled(f"`{text}` is no IPv{version} network")
    return {f"{side}{version}": spans}


def _acl(body: Mapping[str, Any]) -> Program:
    name = body["NetworkAclId"]
    chains = []
    for way, outgoing, hook in (("ingress", False, "input"), ("egress", True, "output")):
        chain = f"{name} {way}"
        rules = []
        entries = sorted(
            (e for e in body["Entries"] if e["Egress"] is outgoing), key=lambda e: e["RuleNumber"]
        )
        for position, entry in enumerate(entries, 1):
            side = "dst" if outgoing else "src"
            cidr = entry.get("CidrBlock") or entry["Ipv6CidrBlock"]
            row, told = _acl_service(entry)
            row = {**row, **_network(cidr, side, 6 if ":" in cidr else 4)}
            allowed = {"allow": True, "deny": False}[entry["RuleAction"]]
            text = f"{entry['RuleNumber']} {entry['RuleAction']} {told} {'to' if outgoing else 'from'} {cidr}"
            verdict = Verdict("accept" if allowed else "drop")
            rules.append(Rule(f"{chain} {entry['RuleNumber']}", (Match((row,)), verdict), position, text))
        chains.append(Chain(chain, _apart(rules), Entry(hook, (4, 6), 0, "drop")))
    return Program(tuple(chains), f"network ACL {name}", conntrack=False)


def _apart(rules: list[Rule]) -> tuple[Rule, ...]:
    """IPv4 and IPv6 may both have the last rule 32767: the second of one number gets a mark."""
    seen: set[str] = set()
    found = []
    for rule in rules:
        if rule.id in seen:
            rule = Rule(f"{rule.id}b", rule.body, rule.position, rule.text)
        seen.add(rule.id)
        found.append(rule)
    return tuple(found)


def _acl_service(entry: Mapping[str, Any]) -> tuple[Row, str]:
    if (number := _protocol(entry["Protocol"])) is None:
        return {}, "everything"
    if number in (1, 58):
        told = entry.get("IcmpTypeCode", {"Type": -1, "Code": -1})
        return _service(number, int(told["Type"]), int(told["Code"]))
    if number in ALWAYS_PORTS or "PortRange" in entry:
        ports = entry["PortRange"]
        return _service(number, _number(ports, "From"), _number(ports, "To"))
    return _service(number, -1, -1)
