"""What is called superfluous can go: in a small world, where every address and port can be tried, nothing is lost."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from wardkeep.allowlists import DENY, Entry, Network
from wardkeep.allowlists.nesting import Ports, relations
from wardkeep.allowlists.services import joined

PORTS = range(1, 6)
ranges = st.tuples(st.integers(0, 15), st.integers(0, 15)).map(lambda two: (min(two), max(two)))
blocks_of = st.integers(0, 4).flatmap(
    lambda bits: st.integers(0, (16 >> bits) - 1).map(lambda n: (n << bits, (n << bits) + (1 << bits) - 1))
)
spans = st.lists(
    st.tuples(st.sampled_from(["tcp", "udp"]), st.integers(1, 5), st.integers(0, 3)), min_size=1, max_size=2
).map(lambda many: joined([(p, low, min(low + more, 5)) for p, low, more in many]))


def entries(nets: st.SearchStrategy[tuple[int, int]]) -> st.SearchStrategy[list[Entry]]:
    one = st.builds(
        lambda net, ports, action: Entry(Network(4, *net), ports, action),
        nets,
        spans,
        st.sampled_from(["allow", "allow", "allow", DENY]),
    )
    return st.lists(one, max_size=9)


def atoms(entry: Entry) -> set[tuple[str, int, str, int]]:
    return {
        (entry.action, address, protocol, port)
        for address in range(entry.network.low, entry.network.high + 1)
        for protocol, low, high in entry.spans
        for port in range(low, high + 1)
    }


@settings(max_examples=600, deadline=None, database=None)
@given(st.one_of(entries(blocks_of), entries(st.one_of(blocks_of, ranges))))
def test_what_is_superfluous_can_go_and_the_rest_cannot_lie_in_one_other(made: list[Entry]) -> None:
    found = relations(made, range(len(made)))
    gone = {*found.same, *found.within}
    kept = [entry for index, entry in enumerate(made) if index not in gone]
    everything = {atom for entry in made for atom in atoms(entry)}
    assert {atom for entry in kept for atom in atoms(entry)} == everything
    for one in kept:
        wider = [other for other in kept if other is not one and atoms(one) <= atoms(other)]
        assert not wider, f"{one.key} lies within {wider[0].key}"
    for index, others in found.within.items():
        shared = {atom for other in others for atom in atoms(made[other])}
        assert atoms(made[index]) <= shared or len(others) == 8
        assert index not in others
    for index, first in found.same.items():
        assert atoms(made[index]) == atoms(made[first])


@settings(max_examples=600, deadline=None, database=None)
@given(entries(st.one_of(blocks_of, ranges)))
def test_neighbours_make_exactly_the_network_that_is_named(made: list[Entry]) -> None:
    found = relations(made, range(len(made)))
    for group, network in found.merge:
        members = [made[index] for index in group]
        union = {a for one in members for a in range(one.network.low, one.network.high + 1)}
        assert union == set(range(network.low, network.high + 1))
        assert len({(one.action, one.spans) for one in members}) == 1
        assert len(group) > 1


@settings(max_examples=400, deadline=None, database=None)
@given(entries(blocks_of))
def test_denied_is_what_a_wider_or_equal_deny_touches(made: list[Entry]) -> None:
    found = relations(made, range(len(made)))
    gone = set(found.same)
    for index, one in enumerate(made):
        if one.action == DENY or index in gone:
            continue
        around = {
            other
            for other, deny in enumerate(made)
            if deny.action == DENY
            and other not in gone
            and deny.network.low <= one.network.low
            and one.network.high <= deny.network.high
            and {("allow", *atom[1:]) for atom in atoms(deny)} & atoms(one)
        }
        assert set(found.denied.get(index, ())) == around


@settings(max_examples=300, deadline=None, database=None)
@given(st.lists(spans, max_size=6))
def test_ports_are_a_union(many: list[tuple[tuple[str, int, int], ...]]) -> None:
    union = Ports()
    for owner, one in enumerate(many):
        union.add(one, owner)
    held = {(p, port) for one in many for p, low, high in one for port in range(low, high + 1)}
    for protocol in ("tcp", "udp"):
        for port in PORTS:
            reached, owners = union.reach(protocol, port)
            assert (reached >= port) == ((protocol, port) in held)
            for step in range(port, reached + 1):
                assert (protocol, step) in held
                assert any(p == protocol and low <= step <= high for o in owners for p, low, high in many[o])
