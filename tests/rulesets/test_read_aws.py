"""AWS security groups and network ACLs: each a program of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.rulesets.packet_fates import fate, unknowns

from wardkeep.core.errors import BadInput
from wardkeep.packets.program import Program
from wardkeep.rulesets.files import load

EVERYWHERE = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": []}


def group(*permissions: dict[str, Any], name: str = "sg-1") -> dict[str, Any]:
    return {
        "SecurityGroups": [
            {
                "GroupId": name,
                "GroupName": "web",
                "IpPermissions": list(permissions),
                "IpPermissionsEgress": [EVERYWHERE],
            }
        ]
    }


def tcp(port: int, *networks: str, **more: Any) -> dict[str, Any]:
    return {
        "IpProtocol": "tcp",
        "FromPort": port,
        "ToPort": port,
        "IpRanges": [{"CidrIp": n, "Description": f"why {n}"} for n in networks if ":" not in n],
        "Ipv6Ranges": [{"CidrIpv6": n} for n in networks if ":" in n],
        **more,
    }


def read(tmp_path: Path, told: Any) -> list[Program]:
    path = tmp_path / "aws.json"
    path.write_text(told if isinstance(told, str) else json.dumps(told))
    return [found.program for found in load([path])]


def test_a_group_allows_and_the_rest_is_closed(tmp_path: Path) -> None:
    (program,) = read(tmp_path, group(tcp(22, "192.0.2.0/24", "2001:db8::/32")))
    assert program.name == "security group sg-1 (web)"
    assert [fate(program, src4=a) for a in ("192.0.2.1", "192.0.3.1")] == ["accept", "drop"]
    assert [fate(program, src6=a) for a in ("2001:db8::1", "2001:db9::1")] == ["accept", "drop"]
    assert fate(program, route="output", dst4="8.8.8.8", dport=999) == "accept"
    assert fate(program, route="output", dst6="2001:db8::1") == "drop"
    first = program.chains[0].rules[0]
    assert (first.text, first.comment) == ("allow 22/tcp from 192.0.2.0/24", "why 192.0.2.0/24")


def test_icmp_types_and_protocols_by_number(tmp_path: Path) -> None:
    ping = {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    gre = {"IpProtocol": "47", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    (program,) = read(tmp_path, group(ping, gre))
    assert [fate(program, proto=1, icmp_type=t) for t in (8, 0)] == ["accept", "drop"]
    assert [fate(program, proto=47, src4=a) for a in ("10.1.1.1", "11.1.1.1")] == ["accept", "drop"]


def test_members_of_another_group_are_not_known(tmp_path: Path) -> None:
    (program,) = read(
        tmp_path,
        group(tcp(22, UserIdGroupPairs=[{"GroupId": "sg-9"}], PrefixListIds=[{"PrefixListId": "pl-1"}])),
    )
    assert unknowns(program) == ["from members of sg-9", "from the prefix list pl-1"]
    assert [fate(program, src4="10.0.0.9", dport=p) for p in (22, 23)] == ["accept drop", "drop"]


def test_an_acl_goes_by_number_and_judges_each_packet(tmp_path: Path) -> None:
    def entry(number: int, action: str, cidr: str, **more: Any) -> dict[str, Any]:
        return {
            "RuleNumber": number,
            "RuleAction": action,
            "CidrBlock": cidr,
            "Egress": False,
            "Protocol": "-1",
            **more,
        }

    entries = [
        entry(32767, "deny", "0.0.0.0/0"),
        entry(200, "allow", "0.0.0.0/0", Protocol="6", PortRange={"From": 1, "To": 99}),
        entry(100, "deny", "192.0.2.0/24"),
        {**entry(32767, "deny", "x"), "CidrBlock": None, "Ipv6CidrBlock": "::/0"},
    ]
    (program,) = read(tmp_path, {"NetworkAcls": [{"NetworkAclId": "acl-1", "Entries": entries}]})
    assert [r.id for r in program.chains[0].rules] == [
        f"acl-1 ingress {n}" for n in (100, 200, 32767, "32767b")
    ]
    assert [fate(program, src4=a) for a in ("192.0.2.1", "192.0.3.1")] == ["drop", "accept"]
    assert fate(program, src4="192.0.3.1", state=1) == "accept"
    assert fate(program, src4="192.0.3.1", dport=100) == "drop"


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (
            json.dumps(group(tcp(22, "192.0.2.0/24")))[:-9],
            "is no whole JSON: it breaks off at line 1",
        ),
        (group(tcp(22, "192.0.2.0/64")), ": sg-1: `192.0.2.0/64` is no IPv4 network"),
        ({"SecurityGroups": [{"GroupId": "sg-1"}]}, ": sg-1: an entry lacks IpPermissions"),
        ({"SecurityGroups": "none"}, "SecurityGroups is no list"),
        ({"Reservations": []}, "is JSON, but of no firewall we know"),
        ({"SecurityGroups": []}, "no rules are in it"),
    ],
)
def test_faulty_json_is_one_clear_line(tmp_path: Path, told: Any, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, told)
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)
