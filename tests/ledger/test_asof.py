"""The status of any row as of a past date, and the sidecar that makes it quick and can always be made anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ledger.disks import FailingDisk
from tests.ledger.entries import entry

from wardkeep.ledger import Ledger, indices_between, rows_as_of
from wardkeep.ledger.asof import SIDECAR

DAY = datetime(2026, 11, 22, tzinfo=UTC)


def assess(n: int, host: str, **rows: tuple[int, int, int]) -> dict[str, Any]:
    told = {
        name: dict(zip(("pass", "fail", "unknown"), counts, strict=True)) for name, counts in rows.items()
    }
    return entry(n, host, body={"rows": told, "profile": "hipaa"})


def at(n: int) -> datetime:
    return DAY + timedelta(seconds=n)


def test_each_host_counts_as_it_was_last_seen_by_then(ledger: Ledger) -> None:
    ledger.append([
        assess(10, "app-1", firewall=(3, 0, 0), backups=(0, 0, 1)),
        assess(20, "app-2", firewall=(1, 2, 0)),
        assess(30, "app-1", firewall=(2, 1, 0)),
        entry(40, "app-2", kind="host", body={"act": "removed"}),
        assess(50, "app-2", firewall=(9, 0, 0)),
    ])  # fmt: skip
    assert rows_as_of(ledger, at(9)).rows == {}
    assert rows_as_of(ledger, at(10)).rows["firewall"] == {"pass": 3, "fail": 0, "unknown": 0}
    assert rows_as_of(ledger, at(25)).rows["firewall"] == {"pass": 4, "fail": 2, "unknown": 0}
    then = rows_as_of(ledger, at(35))
    assert then.rows["firewall"] == {"pass": 3, "fail": 3, "unknown": 0}
    assert then.rows["backups"] == {
        "pass": 0,
        "fail": 0,
        "unknown": 1,
    }  # not looked at again, so it still stands
    assert [look.index for look in then.looks] == [0, 2, 1]
    assert rows_as_of(ledger, at(45)).rows["firewall"] == {"pass": 2, "fail": 1, "unknown": 0}
    assert rows_as_of(ledger, at(99)).rows["firewall"] == {"pass": 11, "fail": 1, "unknown": 0}


@pytest.mark.parametrize("harm", ["removed", "garbage", "other ledger's"])
def test_a_lost_or_broken_sidecar_is_made_anew(ledger: Ledger, tmp_path: Any, harm: str) -> None:
    ledger.append([entry(5, kind="drill"), assess(10, "app-1", firewall=(3, 0, 0))])
    good = rows_as_of(ledger, at(10))
    sidecar = ledger.folder / SIDECAR
    if harm == "removed":
        sidecar.unlink()
    elif harm == "garbage":
        sidecar.write_bytes(b"SQLite format 3\0" + b"\xff" * 8000)
    else:
        other = Ledger.create(tmp_path / "other")
        other.append([assess(5, "app-9", firewall=(0, 9, 0)), entry(6, kind="drill")])
        rows_as_of(other, at(10))
        sidecar.write_bytes((other.folder / SIDECAR).read_bytes())
    assert rows_as_of(ledger, at(10)) == good
    ledger.append([assess(11, "app-1", firewall=(0, 3, 0))])
    assert rows_as_of(ledger, at(11)).rows["firewall"]["fail"] == 3


def test_dates_become_indices(ledger: Ledger) -> None:
    ledger.append([entry(n) for n in range(600)])
    ledger.append([entry(590), entry(700)])  # a look that began earlier and was recorded later
    assert indices_between(ledger, at(0), at(1)) == (0, 1)
    assert indices_between(ledger, at(100), at(590)) == (100, 590)
    assert indices_between(ledger, at(100), at(591)) == (100, 601)
    assert indices_between(ledger, at(800), at(900)) == (0, 0)
    assert indices_between(ledger, at(650), at(9000)) == (601, 602)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.sampled_from("abc"), st.sets(st.sampled_from("xyz"))), max_size=12
    ),
    st.integers(0, 60),
)
def test_it_is_what_reading_everything_would_say(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[int, str, set[str]]], when: int
) -> None:
    ledger = Ledger.create(tmp_path_factory.mktemp("asof") / "ledger", disk=FailingDisk())
    ledger.append([
        assess(n, host, **dict.fromkeys(rows, (1, i, 0))) for i, (n, host, rows) in enumerate(told)
    ])  # fmt: skip
    last: dict[tuple[str, str], tuple[int, int]] = {}
    for i, (n, host, rows) in enumerate(told):
        for row in rows:
            if n <= when and (n, i) >= last.get((host, row), (-1, -1)):
                last[host, row] = (n, i)
    expected: dict[str, int] = {}
    for (_, row), (_, i) in last.items():
        expected[row] = expected.get(row, 0) + i
    assert {row: counts["fail"] for row, counts in rows_as_of(ledger, at(when)).rows.items()} == expected
