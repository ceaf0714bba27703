"""A whole cycle on this machine: asked once, assessed, on record, readable back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from wardkeep.core.errors import Unavailable
from wardkeep.core.facts import HOST
from wardkeep.core.findings import Verdict
from wardkeep.engine.assess import long_questions, questions
from wardkeep.engine.cycle import check
from wardkeep.engine.hosts import add_host
from wardkeep.engine.index import catch_up
from wardkeep.engine.past import matrix_as_of
from wardkeep.engine.platform import Platform, open_platform
from wardkeep.engine.start import take_this_machine
from wardkeep.engine.views import matrix
from wardkeep.fleet import Host, snapshot_from_bytes
from wardkeep.store.schema import row_states


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with open_platform(tmp_path / "state", create=True) as made:
        yield made


def test_a_cycle_is_in_the_ledger_and_in_the_matrix_alike(platform: Platform) -> None:
    name = take_this_machine(platform, "operator:test")
    cycle = check(platform, "operator:test")
    assert [one.subject for one in cycle.checked] == [name, "platform"]
    kinds = [entry["kind"] for entry in platform.ledger.read()]
    assert kinds == ["host", "policy", "observe", "assess", "observe", "assess"]

    seen, assessed = list(platform.ledger.read(2, 4))
    raw = platform.ledger.get_blob(seen["blobs"][0]["digest"])
    asked = (*questions(platform.controls, HOST), *long_questions(platform.controls))
    assert snapshot_from_bytes(raw).answers.keys() == {question.id for question in asked}
    told = json.loads(platform.ledger.get_blob(assessed["blobs"][0]["digest"]))
    assert {one["fingerprint"] for one in told} == {f.fingerprint for f in cycle.checked[0].findings}
    for row in matrix(platform):
        counts = [sum(f.control == row.id and f.verdict is v for f in cycle.findings) for v in Verdict]
        assert list(row.findings.values()) == counts


def test_every_control_is_spoken_of_and_an_unbuilt_promise_is_unknown(platform: Platform) -> None:
    take_this_machine(platform, "operator:test")
    found = check(platform, "operator:test").findings
    assert {finding.control for finding in found} == {control.id for control in platform.controls}
    gaps = [finding for finding in found if finding.rule.endswith(".not_built")]
    assert len(gaps) == sum(len(control.missing) for control in platform.controls)
    assert {finding.verdict for finding in gaps} <= {Verdict.UNKNOWN}


def test_a_host_that_cannot_be_asked_is_unknown_everywhere_and_on_record(
    platform: Platform, tmp_path: Path
) -> None:
    add_host(platform, Host(name="gone", url=f"recorded:{tmp_path / 'none'}"), "operator:test")
    cycle = check(platform, "operator:test")
    gone = next(one for one in cycle.checked if one.subject == "gone")
    assert gone.problem
    assert {finding.verdict for finding in gone.findings} == {Verdict.UNKNOWN}
    observe = next(
        e for e in platform.ledger.read() if e["kind"] == "observe" and e["subject"]["host"] == "gone"
    )
    assert observe["body"]["problem"] == gone.problem


def test_a_named_row_is_assessed_alone_and_leaves_the_others_as_they_were(platform: Platform) -> None:
    take_this_machine(platform, "operator:test")
    check(platform, "operator:test")
    before = {row.id: row.findings for row in matrix(platform)}
    only = [control for control in platform.controls if control.id == "system_access"]
    cycle = check(platform, "operator:test", controls=only)
    assert {finding.control for finding in cycle.findings} == {"system_access"}
    assert {row.id: row.findings for row in matrix(platform)} == before


def test_the_past_is_read_from_the_ledger_and_not_from_the_database(platform: Platform) -> None:
    before = datetime.now(UTC)
    take_this_machine(platform, "operator:test")
    check(platform, "operator:test")
    now = matrix_as_of(platform, datetime.now(UTC))
    assert {row.id: row.findings for row in now} == {row.id: row.findings for row in matrix(platform)}
    assert all(row.rests_on["platform"] == platform.ledger.size - 1 for row in now)
    assert {row.status for row in matrix_as_of(platform, before)} == {Verdict.UNKNOWN}
    with platform.store.begin() as connection:
        connection.execute(delete(row_states))
    assert matrix_as_of(platform, datetime.now(UTC)) == now


RECORDINGS = sorted(path.parent for path in (Path(__file__).parents[1] / "hosts").glob("*/provenance*"))[:3]


def recorded(platform: Platform) -> list[str]:
    for path in RECORDINGS:
        add_host(platform, Host(name=path.name, url=f"recorded:{path}"), "operator:test")
    return [path.name for path in RECORDINGS]


def test_hosts_come_into_the_state_group_after_group(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = recorded(platform)
    monkeypatch.setattr("wardkeep.engine.cycle.GROUP", 1)
    seen: list[tuple[str, int, int]] = []

    def progress(subject: str, done: int, of: int) -> None:
        with platform.store.read() as connection:
            known = set(connection.execute(select(row_states.c.host).distinct()).scalars())
        assert subject in known
        seen.append((subject, done, of))

    cycle = check(platform, "operator:test", progress=progress)
    assert {name for name, _, _ in seen} == {*names, "platform"}
    assert [(done, of) for _, done, of in seen] == [(n, 4) for n in (1, 2, 3, 4)]
    assert [one.subject for one in cycle.checked] == [name for name, _, _ in seen]


def test_a_fault_in_the_state_ends_the_cycle_and_the_ledger_keeps_what_it_has(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(platform)
    monkeypatch.setattr("wardkeep.engine.cycle.GROUP", 1)
    with platform.store.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE row_days RENAME TO row_days_away")
    with pytest.raises(Unavailable):
        check(platform, "operator:test")
    with platform.store.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE row_days_away RENAME TO row_days")
    assessed = [entry["subject"]["host"] for entry in platform.ledger.read() if entry["kind"] == "assess"]
    assert assessed
    catch_up(platform)
    with platform.store.read() as connection:
        known = set(connection.execute(select(row_states.c.host).distinct()).scalars())
    assert known == set(assessed)
