"""The policy must let in what it must and nothing it must not: proved with a packet, and tried against every address that matters."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardkeep.controls.firewall import Policy
from wardkeep.controls.firewall.allowed import Opening, Permit, openings
from wardkeep.controls.firewall.proof import admitted, dropped

NETWORKS = st.integers(24, 32).flatmap(
    lambda prefix: st.integers(0, 255).map(
        lambda last: ip_network((int(IPv4Address("192.0.2.0")) + last, prefix), strict=False)
    )
)
sources = st.lists(NETWORKS, max_size=3).map(tuple)
ports = st.tuples(st.integers(20, 26), st.integers(0, 3))
some = st.builds(
    lambda p, held, protocol: Opening(protocol, p[0], p[0] + p[1], held),
    ports,
    sources,
    st.sampled_from(["tcp", "udp"]),
)
permits = st.builds(
    lambda opened, trusted, denied: Permit(tuple(opened), trusted, frozenset(), tuple(denied)),
    st.lists(some, max_size=4),
    sources,
    st.lists(some, max_size=2),
)


def lets_in(permit: Permit, source: str, protocol: str, port: int) -> bool:
    """What the table does, rule by rule."""
    address = ip_address(source)

    def about(one: Opening) -> bool:
        held = not one.sources or any(address in n for n in one.sources if n.version == address.version)
        return one.covers(protocol, port, port) and held

    if any(about(one) for one in permit.denials):
        return False
    return any(about(one) for one in permit.openings) or any(
        address in n for n in permit.networks if n.version == address.version
    )


@settings(max_examples=300, deadline=None, database=None)
@given(permits, some)
def test_a_breach_is_told_exactly_when_there_is_one(permit: Permit, asked: Opening) -> None:
    held = [f"192.0.2.{last}" for last in range(256)] + ["8.8.8.8", "2a00::1"]
    about = [
        source
        for source in held
        if not asked.sources
        or any(ip_address(source) in n for n in asked.sources if n.version == ip_address(source).version)
    ]
    came = {
        (source, port): lets_in(permit, source, asked.protocol, port)
        for source in about
        for port in range(asked.low, asked.high + 1)
    }
    missing, let = list(dropped(permit, [asked])), list(admitted(permit, [asked]))
    assert bool(missing) == (False in came.values())
    assert bool(let) == (True in came.values())
    for breach, wanted in [*((b, False) for b in missing), *((b, True) for b in let)]:
        assert lets_in(permit, str(breach.source), breach.protocol, breach.port) is wanted
        assert asked.covers(breach.protocol, breach.port, breach.port)


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (Policy(allow=("22/tcp",), must_allow=("22/tcp from 192.0.2.7",)), ""),
        (
            Policy(allow=("443/tcp",), must_allow=("22/tcp from 192.0.2.7",)),
            "a packet from 192.0.2.7 to 22/tcp",
        ),
        (
            Policy(
                allow=("22/tcp",), deny=("any from 192.0.2.0/28",), must_allow=("22/tcp from 192.0.2.0/24",)
            ),
            "a packet from 192.0.2.1 to 22/tcp",
        ),
        (
            Policy(
                allow=("22/tcp from office",),
                zones={"office": ("192.0.2.0/24",)},
                must_allow=("22/tcp from office",),
            ),
            "",
        ),
        (Policy(allow=(), must_allow=("22/tcp",)), "a packet from 8.8.8.8 to 22/tcp"),
    ],
)
def test_what_must_stay_open(policy: Policy, told: str) -> None:
    assert "; ".join(map(str, dropped(policy.permit, openings(policy.must_allow, policy.zones)))) == told


def test_what_must_stay_closed() -> None:
    policy = Policy(allow=("5000-6000/tcp from 10.0.0.0/8",), must_deny=("5432/tcp", "22/tcp"))
    (breach,) = admitted(policy.permit, openings(policy.must_deny))
    assert str(breach) == "a packet from 10.0.0.1 to 5432/tcp"
    assert breach.sentence == "5432/tcp"
    assert not list(admitted(Policy(trusted=("wg0",)).permit, openings(policy.must_deny[:1])))
