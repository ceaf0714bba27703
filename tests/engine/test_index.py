"""The database is an index: whatever is lost of it comes back from the ledger, the same."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import func, select, text

from wardkeep.core.errors import WardkeepError
from wardkeep.core.findings import Finding, Severity, Verdict
from wardkeep.engine.cycle import record_looks
from wardkeep.engine.findings import Assessment, deadlines, record, retire_host
from wardkeep.engine.index import REBUILT, catch_up, rebuild_index
from wardkeep.engine.platform import Platform, timestamp
from wardkeep.engine.row_states import KEPT_DAYS, forget_days, rows_on
from wardkeep.engine.schedules import attest, duties
from wardkeep.engine.waivers import note_expired, revoke, waive
from wardkeep.store.schema import entries, findings, row_days, row_states, schedules

START = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def finding(host: str, subject: str, verdict: str) -> Finding:
    seen = f"{subject} is {verdict}"
    return Finding(
        "keys", "keys.in_order", "Keys are in order.", host, subject, Verdict(verdict), Severity.HIGH, seen
    )


def assess(platform: Platform, host: str, at: datetime, *found: Finding, into_state: bool = True) -> None:
    """What the cycle does: first the ledger, then the state."""
    told = [
        {"fingerprint": f.fingerprint, "control": f.control, "rule": f.rule, "says": f.says, "host": f.host}
        | {
            "subject": f.subject,
            "verdict": f.verdict,
            "severity": f.severity,
            "seen": f.seen,
            "todo": "",
            "since": "",
        }
        for f in found
    ]
    data = json.dumps(told).encode()
    blob = {"name": "findings", "digest": platform.ledger.put_blob(data), "size": len(data)}
    counts = {v: sum(f.verdict == v for f in found) for v in ("pass", "fail", "unknown")}
    entry = {"kind": "assess", "at": timestamp(at), "actor": "engine", "subject": {"host": host}}
    (index,) = platform.ledger.append([{**entry, "body": {"rows": {"keys": counts}}, "blobs": [blob]}])
    if into_state:
        given = Assessment(host, at, frozenset({"keys"}), found, index)
        record(platform.store, [given], deadlines(platform.config.numbers))


def a_month(platform: Platform) -> None:
    """A history with everything in it: faults that come and go, waivers, a review, a host that leaves."""
    for day in range(6):
        at = START + day * DAY + timedelta(microseconds=123_456)
        bad = "fail" if day in (1, 2, 4) else "pass"
        assess(platform, "app-1", at, finding("app-1", "a", bad), finding("app-1", "b", "fail"))
        if day < 3:
            assess(
                platform,
                "app-2",
                at,
                finding("app-2", "a", "unknown"),
                finding("app-2", f"day {day}", "fail"),
            )
        if day == 4:
            assess(platform, "app-1", at - 2 * DAY, finding("app-1", "host", "unknown"))
    words = {"owner": "a", "reason": "b", "compensating": "c", "by": "operator:a"}
    print_b = finding("app-1", "b", "fail").fingerprint
    first = waive(platform, print_b, **words, expires=START + 9 * DAY, now=START + 6 * DAY)
    revoke(platform, first.id, reason="wrong", by="operator:b", now=START + 7 * DAY)
    waive(platform, print_b, **words, expires=START + 9 * DAY, now=START + 8 * DAY)
    note_expired(platform, START + 10 * DAY)
    gone = datetime.now(UTC)
    platform.record(
        "host", "operator:a", {"act": "removed", "removed": timestamp(gone)}, subject={"host": "app-2"}
    )
    retire_host(platform.store, "app-2", gone)
    attest(platform, "system_access", says="All fine.", by="operator:a", now=START)


def state(platform: Platform) -> dict[str, list[str]]:
    """Every rebuildable row, without the numbers that the database gives."""
    with platform.store.read() as connection:
        found = {}
        for table in REBUILT:
            columns = [c for c in table.c if c.name not in ("id", "expiry_said") or table.name == "waivers"]
            columns = [c for c in columns if c.name != "expiry_said"]
            found[table.name] = sorted(str(row) for row in connection.execute(select(*columns)))
        kept = connection.execute(select(schedules.c.key, schedules.c.last_done).order_by(schedules.c.key))
        found["schedules"] = [str(row) for row in kept]
        return found


def test_a_rebuilt_index_is_equal(platform: Platform) -> None:
    a_month(platform)
    catch_up(platform)
    before = state(platform)
    assert all(
        before[name]
        for name in before
        if name not in {"drills", "plans", "applies", "flaw_cases", "flaw_assets"}
    )
    assert rebuild_index(platform) == platform.ledger.size
    assert state(platform) == before
    assert catch_up(platform) == 0


def test_a_state_that_fell_behind_catches_up(platform: Platform) -> None:
    assess(platform, "app-1", START, finding("app-1", "a", "pass"))
    assess(
        platform, "app-1", START + DAY, finding("app-1", "a", "fail"), into_state=False
    )  # killed before the state
    with platform.store.read() as connection:
        assert connection.execute(select(findings.c.verdict)).scalar_one() == "pass"
    assert catch_up(platform) == 2
    with platform.store.read() as connection:
        assert connection.execute(select(findings.c.verdict)).scalar_one() == "fail"
        summaries = connection.execute(select(entries.c.summary).order_by(entries.c.idx)).scalars().all()
    assert summaries == ["1 pass, 0 fail, 0 unknown", "0 pass, 1 fail, 0 unknown"]


def test_catching_up_does_not_undo_what_came_later(platform: Platform) -> None:
    assess(platform, "app-1", START, finding("app-1", "a", "pass"))
    platform.record("host", "operator:a", {"act": "removed"}, subject={"host": "app-1"})
    assess(platform, "app-1", START + DAY, finding("app-1", "a", "fail"))
    catch_up(platform)
    with platform.store.read() as connection:
        row = connection.execute(select(findings)).one()
        assert (row.verdict, row.gone_at) == ("fail", None)
        assert len(connection.execute(select(row_states)).all()) == 1


def test_a_database_that_fails_after_the_ledger_loses_nothing(platform: Platform) -> None:
    """The ledger has the entry, the state refuses it (here: its table is away); afterwards it is caught up."""
    assess(platform, "app-1", START, finding("app-1", "a", "pass"))
    with platform.store.begin() as connection:
        connection.execute(text("ALTER TABLE row_states RENAME TO row_states_away"))
    size = platform.ledger.size
    with pytest.raises(Exception, match="row_states"):
        assess(platform, "app-1", START + DAY, finding("app-1", "a", "fail"))
    assert platform.ledger.size == size + 1
    with platform.store.begin() as connection:
        connection.execute(text("ALTER TABLE row_states_away RENAME TO row_states"))
    catch_up(platform)
    with platform.store.read() as connection:
        assert connection.execute(select(findings.c.verdict)).scalar_one() == "fail"


def test_a_ledger_shorter_than_the_state_is_said(platform: Platform) -> None:
    catch_up(platform)
    with platform.store.begin() as connection:
        row = {"idx": 99, "at": START, "kind": "state", "actor": "engine"}
        connection.execute(entries.insert().values(**row))
    with pytest.raises(WardkeepError, match="knows 100 entries, the ledger has"):
        catch_up(platform)


def test_rows_as_a_past_day_ended(platform: Platform) -> None:
    a_month(platform)
    with platform.store.read() as connection:
        on = {d: rows_on(connection, f"2026-11-{d:02}")["keys"] for d in (1, 2, 4)}
        assert rows_on(connection, "2026-10-31") == {}
        today = rows_on(connection, datetime.now(UTC).date().isoformat())["keys"]
    assert on[1] == {Verdict.PASS: 1, Verdict.FAIL: 2, Verdict.UNKNOWN: 1}
    assert on[2] == {Verdict.PASS: 0, Verdict.FAIL: 3, Verdict.UNKNOWN: 1}
    assert on[4] == {Verdict.PASS: 1, Verdict.FAIL: 2, Verdict.UNKNOWN: 1}  # app-2 as last seen on the 3rd
    assert today[Verdict.FAIL] + today[Verdict.PASS] + today[Verdict.UNKNOWN] == 2  # app-2 has left
    assert date(2026, 11, 1) == START.date()


def test_days_of_long_ago_are_forgotten_and_what_is_kept_says_the_same(platform: Platform) -> None:
    a_month(platform)
    fourth = START.date() + timedelta(days=3)
    days = [(fourth + timedelta(days=n)).isoformat() for n in (0, 1, 2, 30)]
    with platform.store.read() as connection:
        before = [rows_on(connection, day) for day in days]
        had = connection.execute(select(func.count()).select_from(row_days)).scalar_one()
    with platform.store.begin() as connection:
        forgotten = forget_days(connection, fourth + timedelta(days=KEPT_DAYS))
        again = forget_days(connection, fourth + timedelta(days=KEPT_DAYS))
    with platform.store.read() as connection:
        assert [rows_on(connection, day) for day in days] == before
        left = connection.execute(select(row_days.c.host, row_days.c.day).order_by(row_days.c.day)).all()
    assert (forgotten, again, len(left)) == (had - len(left), 0, had - forgotten)
    assert forgotten == 5  # three days of app-1, two of app-2
    assert min(left) == ("app-1", "2026-11-04")
    assert ("app-2", "2026-11-03") in [tuple(row) for row in left]  # its last, still what is true on the 4th


def test_real_looks_come_back_too(platform: Platform) -> None:
    from wardkeep.core.facts import Snapshot

    controls = [control for control in platform.controls if control.rules][:2]
    record_looks(platform, "engine", [Snapshot("app-1", START, {}, "no way there")], controls)
    duties(platform, START)
    catch_up(platform)
    before = state(platform)
    rebuild_index(platform)
    assert state(platform) == before
