"""Every defect that was put in is found, and nothing else: precision and recall 1 on seeded lists."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.allowlists.seeded import TODAY, Seeded, seeded

from wardkeep.allowlists import KINDS, Defect, Entry, Network, Surroundings, audit, read_network, read_toml
from wardkeep.allowlists.audit import _about, _in_order
from wardkeep.allowlists.networks import Union

LATER = {"already_permitted", "not_effective", "undeclared", "unused"}  # need the rules of a host


def told(made: Seeded) -> list[Defect]:
    around = Surroundings(TODAY, listeners=made.listeners, providers=made.providers)
    return audit(read_toml(made.text, "allowlist.toml"), around)


@pytest.mark.parametrize("seed", range(8))
def test_exactly_what_was_put_in_is_found(seed: int) -> None:
    made = seeded(seed, 1500)
    found = told(made)
    seen = [(d.kind, d.entry.line) for d in found]
    assert set(seen) == made.truth
    assert len(seen) == len(set(seen)), "a defect is told once"
    groups = {frozenset((d.entry.line, *(o.line for o in d.others))) for d in found if d.kind == "mergeable"}
    assert groups == made.merged
    assert all(d.seen and d.todo for d in found)


def test_every_kind_is_put_in() -> None:
    assert {kind for kind, _ in seeded(1, 100).truth} == set(KINDS) - LATER


days = st.none() | st.integers(-120, 5).map(lambda n: TODAY + timedelta(days=n))
texts = st.sampled_from(["", "x", "x", "x", "x"])
written = st.builds(
    Entry,
    st.just(read_network("192.0.2.1")),
    st.just((("tcp", 22, 22),)),
    owner=texts,
    reason=texts,
    ticket=texts,
    created=days,
    expires=days,
    reviewed=days,
)


@settings(max_examples=500, deadline=None, database=None)
@given(written)
def test_what_is_in_order_at_a_glance_has_no_defect(entry: Entry) -> None:
    """The other way round, too: only an entry without one of the days is looked at longer for nothing."""
    around = Surroundings(TODAY)
    dated = entry.reviewed is not None and entry.created is not None
    found = [*_about(entry, around, bare=False)]
    assert _in_order(entry, TODAY, TODAY - around.limits.review) == (dated and not found)


spans = st.tuples(st.integers(0, 30), st.integers(0, 4)).map(lambda two: Network(4, two[0], sum(two)))


@settings(max_examples=300, deadline=None, database=None)
@given(st.lists(spans, max_size=6), spans)
def test_a_union_is_touched_where_one_of_its_networks_is(many: list[Network], one: Network) -> None:
    expected = any(n.low <= one.high and one.low <= n.high for n in many)
    assert Union(many[:2], many[2:]).touched(one) == expected
    assert not Union(many).touched(Network(6, one.low, one.high))
