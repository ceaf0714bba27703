"""The stored form of a snapshot: the same for the same snapshot, and no damage goes unseen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Snapshot
from wardkeep.fleet.snapshots import snapshot_bytes, snapshot_from_bytes

ANSWERS = st.builds(
    Answer,
    question=st.from_regex(r"[a-z][a-z._-]{0,8}", fullmatch=True),
    exit=st.none() | st.integers(0, 255),
    stdout=st.binary(max_size=60),
    stderr=st.binary(max_size=20),
    whole=st.booleans(),
    problem=st.text(max_size=20),
    seconds=st.integers(0, 10**6).map(lambda ms: ms / 1000),
)
SNAPSHOTS = st.builds(
    Snapshot,
    subject=st.text(max_size=10),
    at=st.datetimes(timezones=st.just(UTC)),
    answers=st.lists(ANSWERS, max_size=4).map(lambda answers: {a.question: a for a in answers}),
    problem=st.text(max_size=10),
    run=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
)


@given(SNAPSHOTS)
def test_read_back_it_is_the_same(snapshot: Snapshot) -> None:
    data = snapshot_bytes(snapshot)
    assert snapshot_from_bytes(data) == snapshot
    turned = Snapshot(
        snapshot.subject, snapshot.at, dict(reversed(list(snapshot.answers.items()))), snapshot.problem,
        dict(reversed(list(snapshot.run.items()))),
    )  # fmt: skip
    assert snapshot_bytes(turned) == data


def test_every_cut_and_every_flipped_byte_is_seen() -> None:
    answers = {
        "a": Answer("a", 0, b"one\n\0", b"err"),
        "b": Answer("b", None, b"", whole=False, problem="cut"),
    }
    snapshot = Snapshot("box", datetime(2026, 1, 1, tzinfo=UTC), answers, run={"uid": "0"})
    data = snapshot_bytes(snapshot)
    for cut in range(len(data)):
        with pytest.raises(NotUnderstood):
            snapshot_from_bytes(data[:cut])
    changed = 0
    for at in range(len(data)):
        for bit in range(8):
            try:
                read = snapshot_from_bytes(data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :])
            except NotUnderstood:
                continue
            # A change of a name or number in a head is another snapshot, which the ledger's own digest finds:
            # what was *answered* cannot have changed.
            changed += 1
            for answer in read.answers.values():
                assert answer.stdout in (b"one\n\0", b"")
    assert changed
    with pytest.raises(NotUnderstood):
        snapshot_from_bytes(data + b"\n")


def test_the_time_is_stored_in_utc() -> None:
    at = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert b'"at":"2026-01-01T10:00:00.000000+00:00"' in snapshot_bytes(Snapshot("box", at, {}))
