"""The registry of workers and the fences, without any workflow above them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from sqlalchemy import select, update
from tests.engine.frozen import silence, until

from wardkeep.core.errors import Refused, Unavailable
from wardkeep.engine.leases import Fenced, Worker, born, known_workers, machine
from wardkeep.store import Store
from wardkeep.store.schema import fences, workers


@pytest.fixture
def two(store: Store) -> Iterator[tuple[Worker, Worker]]:
    pair = Worker(store, lease=60), Worker(store, lease=60)
    for worker in pair:
        worker.join()
    yield pair
    for worker in pair:
        worker.leave()


def test_a_fence_holds_until_it_is_given_back(two: tuple[Worker, Worker]) -> None:
    one, other = two
    fence = one.take("host:a", "apply-1")
    one.check(fence)
    with pytest.raises(Refused, match="another change is under way"):
        other.take("host:a", "apply-2")
    other.check(other.take("host:b", "apply-2"))
    one.release(fence)
    assert other.take("host:a", "apply-2").token > fence.token


def test_work_that_is_over_holds_nothing(two: tuple[Worker, Worker]) -> None:
    one, other = two
    old = one.take("host:a", "apply-1")
    asked: list[str] = []
    new = other.take("host:a", "apply-2", lambda work: not asked.append(work))
    assert asked == ["apply-1"]
    assert new.token > old.token
    with pytest.raises(Fenced):
        one.check(old)


def test_the_same_work_taken_over_fences_the_former_holder(two: tuple[Worker, Worker]) -> None:
    one, other = two
    old = one.take("host:a", "apply-1")
    new = other.take("host:a", "apply-1")
    assert new.token > old.token
    with pytest.raises(Fenced):
        one.check(old)
    other.check(new)
    one.release(old)  # a late release of the former holder changes nothing
    other.check(new)


def test_a_silent_worker_is_declared_dead_and_stays_so(two: tuple[Worker, Worker]) -> None:
    one, other = two
    fence = one.take("host:a", "apply-1")
    assert other.declare_dead() == []
    silence(one.store, one.id)
    assert other.declare_dead() == [one.id]
    assert other.declare_dead() == []
    with pytest.raises(Fenced, match="declared dead"):
        one.check(fence)
    assert one.lost.is_set()
    with pytest.raises(Fenced):
        one.take("host:b", "apply-9")
    with pytest.raises(Fenced):
        one.declare_dead()
    assert [known.id for known in known_workers(other.store)] == [other.id]


@pytest.mark.e2e  # it takes the server's 20 s
@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_the_locks_of_a_worker_frozen_within_a_transaction_end(two: tuple[Worker, Worker]) -> None:
    one, other = two
    silence(one.store, one.id)
    frozen = one.store.engine.connect()
    frozen.execute(update(workers).where(workers.c.id == one.id).values(lease=60_001))
    began, marked = time.monotonic(), list[str]()
    while not marked:
        with suppress(Unavailable):
            marked = other.declare_dead()
        assert time.monotonic() < began + 120
    assert marked == [one.id]
    frozen.invalidate()
    frozen.close()


def test_a_late_beat_before_the_declaration_keeps_a_worker_alive(two: tuple[Worker, Worker]) -> None:
    one, other = two
    fence = one.take("host:a", "apply-1")
    silence(one.store, one.id)
    one.check(fence)  # it beats in the same transaction
    assert other.declare_dead() == []


def test_a_worker_whose_process_is_gone_is_dead_at_once(two: tuple[Worker, Worker]) -> None:
    one, other = two
    with one.store.begin() as connection:
        connection.execute(update(workers).where(workers.c.id == one.id).values(born="1"))
    assert other.declare_dead() == [one.id]


def test_another_machines_pid_says_nothing(two: tuple[Worker, Worker]) -> None:
    one, other = two
    with one.store.begin() as connection:
        here = machine()
        connection.execute(
            update(workers).where(workers.c.id == one.id).values(born="1", machine=here + "elsewhere")
        )
    assert other.declare_dead() == []


def test_tokens_grow_over_a_state_restored_from_an_old_copy(store: Store, two: tuple[Worker, Worker]) -> None:
    before = two[0].take("host:a", "apply-1")
    with store.begin() as connection:
        connection.execute(fences.delete())
    time.sleep(1.1)
    assert two[0].take("host:a", "apply-1").token > before.token


def test_beating_keeps_a_worker_alive_and_leaving_ends_it(store: Store) -> None:
    worker = Worker(store, lease=0.6)
    worker.join()
    beat = select(workers.c.beat).where(workers.c.id == worker.id)
    with store.read() as connection:
        first = connection.execute(beat).scalar_one()

    def has_beaten() -> bool:
        with store.read() as connection:
            return bool(connection.execute(beat).scalar_one() > first)

    until(has_beaten)
    worker.leave()
    assert known_workers(store) == []


def test_a_process_that_is_none_has_no_birth() -> None:
    assert born(2**22 + 1) == ""
    assert born(1) != ""
