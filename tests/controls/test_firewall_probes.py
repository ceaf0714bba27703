"""What a plan foretells of connections from the controller, which are tried before the new rules are confirmed."""

from __future__ import annotations

import json
from ipaddress import ip_address

from tests.controls.test_firewall_mending import CLOSED, CONNECTED_FROM, OPEN, changes, host

from wardkeep.controls.firewall import Policy
from wardkeep.controls.firewall.probing import foretold
from wardkeep.core.changes import Act, TryConnect
from wardkeep.core.facts import Answer
from wardkeep.facts.listeners import Listeners
from wardkeep.facts.nftables import Nftables
from wardkeep.facts.ssh_sessions import Session, SshSessions

FOREIGN = {"family": "inet", "table": "theirs"}


def listeners() -> Listeners:
    found = host(OPEN).learn(Listeners)
    assert isinstance(found, Listeners)
    return found


def kernel(*rules: list[dict[str, object]]) -> Nftables:
    """A rule set with one foreign input chain of these rules."""
    told: list[dict[str, object]] = [{"metainfo": {"json_schema_version": 1}}]
    if rules:
        told.append({"table": {"family": "inet", "name": "theirs", "handle": 1}})
        chain = {**FOREIGN, "name": "in", "handle": 2, "type": "filter", "hook": "input", "prio": 0}
        told.append({"chain": {**chain, "policy": "accept"}})
        told += [{"rule": {**FOREIGN, "chain": "in", "handle": n, "expr": e}} for n, e in enumerate(rules, 3)]
    return Nftables.parse(Answer("nftables", 0, json.dumps({"nftables": told}).encode()))


def probes(policy: Policy, rules: Nftables | None = None, *peers: str) -> dict[int, str]:
    """Port → what is expected of it, for somebody connected from these addresses."""
    froms = tuple(Session(ip_address(peer), 22) for peer in peers or (CONNECTED_FROM,))
    made = foretold(rules or kernel(), listeners(), SshSessions(froms), policy, policy.permit)
    return {one.port: one.expect for one in made}


def on_port(port: int) -> dict[str, object]:
    left = {"payload": {"protocol": "tcp", "field": "dport"}}
    return {"match": {"op": "==", "left": left, "right": port}}


def test_both_steps_of_a_plan_are_tried_from_here() -> None:
    trial, keep = changes(OPEN, Policy(must_allow=("22/tcp",)))[:2]
    assert isinstance(trial, Act)
    assert isinstance(keep, Act)
    assert trial.probes == keep.probes
    way_in, shut = trial.probes
    packet = f"a packet from {CONNECTED_FROM} to 22/tcp is let in"
    assert way_in == TryConnect(22, "open", "firewall.default_deny", packet)
    assert (shut.port, shut.expect) == (47011, "silent")
    assert changes(CLOSED) == []


def test_what_must_be_open_and_what_must_be_closed_are_tried() -> None:
    policy = Policy(
        allow=("22/tcp", "9100/tcp from 10.88.0.0/24"),
        must_allow=("9100/tcp from 10.88.0.1", "53/udp"),
        must_deny=("5432/tcp",),
    )
    assert probes(policy) == {22: "open", 9100: "answered", 5432: "silent"}


def test_what_is_open_to_others_only_is_silent_for_us() -> None:
    policy = Policy(allow=("22/tcp", "9100/tcp from 192.0.2.50"), must_allow=("9100/tcp from 192.0.2.50",))
    assert probes(policy) == {22: "open", 9100: "silent", 47011: "silent"}


def test_tables_of_others_count() -> None:
    policy = Policy(allow=("22/tcp", "9100/tcp"), must_allow=("9100/tcp",))
    assert probes(policy)[9100] == "answered"
    assert probes(policy, kernel([on_port(9100), {"drop": None}]))[9100] == "silent"


def test_what_hangs_on_a_condition_that_is_not_modelled_is_not_tried() -> None:
    policy = Policy(allow=("22/tcp", "9100/tcp"), must_allow=("9100/tcp",))
    limited: list[dict[str, object]] = [
        on_port(9100),
        {"limit": {"rate": 5, "per": "second"}},
        {"drop": None},
    ]
    assert 9100 not in probes(policy, kernel(limited))


def test_where_several_people_are_connected_only_what_holds_for_all_is_tried() -> None:
    policy = Policy(allow=("22/tcp", "9100/tcp from 192.0.2.50"), must_allow=("9100/tcp from 192.0.2.50",))
    assert 9100 not in probes(policy, None, "192.0.2.50", "192.0.2.51")
    assert probes(policy, None, "192.0.2.50")[9100] == "answered"


def test_over_a_trusted_interface_nothing_is_known_to_be_closed() -> None:
    """By which interface packets from here come, a plan does not know."""
    assert probes(Policy(allow=("22/tcp",), trusted=("wg0",))) == {22: "open"}


def test_a_rule_about_translated_connections_leaves_the_rest_closed() -> None:
    """As firewalld writes it: no packet from here arrives translated, so the port is closed and that is tried."""
    status = {"match": {"op": "in", "left": {"ct": {"key": "status"}}, "right": "dnat"}}
    told = probes(
        Policy(allow=("22/tcp", "443/tcp"), must_allow=("443/tcp",)),
        kernel([status, {"accept": None}], [on_port(443), {"drop": None}]),
    )
    assert told[443] == "silent"
