"""What recording does to the state, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import func, select

from wardkeep.core.errors import BadInput
from wardkeep.core.findings import Finding, Severity, Verdict
from wardkeep.core.profiles import HIPAA
from wardkeep.engine.finding_history import history_of
from wardkeep.engine.findings import Assessment, Recorded, deadlines, record, retire_host
from wardkeep.engine.platform import Platform
from wardkeep.engine.views import matrix as rows_of
from wardkeep.store import Store
from wardkeep.store.browse import Wanted, _tokens, count, matrix, one, page, strip
from wardkeep.store.schema import finding_history, findings, row_days, row_states, tallies, totals

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LIMITS = deadlines(HIPAA.numbers)
ROOT = "system_access.no_root_login"


def finding(
    verdict: str = "fail", subject: str = "sshd", *, rule: str = ROOT, host: str = "app-1", **more: str
) -> Finding:
    control = rule.split(".")[0]
    severity = Severity(more.pop("severity", "high"))
    seen = more.pop("seen", f"{subject} is {verdict}")
    return Finding(
        control, rule, "Root cannot log in.", host, subject, Verdict(verdict), severity, seen, **more
    )


def assess(
    store: Store, *found: Finding, at: datetime = NOW, host: str = "app-1", **more: object
) -> Recorded:
    controls = frozenset({"system_access"}) | {f.control for f in found}
    return record(store, [Assessment(host, at, controls, found, **more)], LIMITS)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def what_is_kept_agrees(store: Store) -> Iterator[None]:
    """After every test, the kept counts are those of the findings, and SQLite's text index holds exactly their words."""
    yield
    f = findings.c
    with store.read() as connection:
        live = select(f.control, f.pressing, func.count()).where(f.gone_at.is_(None))
        live = live.group_by(f.control, f.pressing)
        kept = select(totals.c.control, totals.c.pressing, totals.c.n).where(totals.c.n != 0)
        of_hosts = select(tallies.c.control, tallies.c.pressing, func.sum(tallies.c.n))
        of_hosts = of_hosts.group_by(tallies.c.control, tallies.c.pressing)
        counts = [sorted(map(tuple, connection.execute(query))) for query in (live, kept, of_hosts)]
    assert counts[0] == counts[1] == counts[2]
    if store.is_sqlite:
        with store.begin() as connection:
            connection.exec_driver_sql(
                "INSERT INTO findings_text(findings_text, rank) VALUES ('integrity-check', 1)"
            )


def the(store: Store, given: Finding) -> dict[str, object]:
    with store.read() as connection:
        row = one(connection, given.fingerprint)
        assert row is not None
        return dict(row._mapping)


def history(store: Store, given: Finding) -> list[str]:
    """Its verdicts, the first one first, as they are told."""
    with store.read() as connection:
        row = one(connection, given.fingerprint)
        assert row is not None
        return [change.verdict for change in reversed(history_of(connection, row))]


def changes_kept(store: Store) -> int:
    with store.read() as connection:
        return connection.execute(select(func.count()).select_from(finding_history)).scalar_one()


def test_a_quiet_cycle_writes_no_finding_and_moves_last_seen(store: Store) -> None:
    first = assess(store, finding(), finding("pass", "user:alice"), entry=7)
    assert (first.written, [turn.kind for turn in first.turns]) == (2, ["fail"])
    second = assess(store, finding(), finding("pass", "user:alice"), at=NOW + HOUR, entry=9)
    assert (second.written, second.unchanged, second.turns) == (0, 2, [])
    row = the(store, finding())
    assert (row["first_seen"], row["last_seen"], row["changed_at"]) == (NOW, NOW + HOUR, NOW)
    assert row["entry"] == 7
    assert history(store, finding()) == ["fail"]
    assert changes_kept(store) == 0


def test_the_first_verdict_is_remembered_as_it_was_once_anything_changes(store: Store) -> None:
    assess(store, finding(seen="first words"), entry=7)
    assess(store, finding(seen="other words"), at=NOW + HOUR, entry=9)
    assess(store, finding(seen="third words"), at=NOW + 2 * HOUR, entry=11)
    assess(store, finding("pass"), at=NOW + 3 * HOUR, entry=13)
    with store.read() as connection:
        row = one(connection, finding().fingerprint)
        assert row is not None
        told = history_of(connection, row)
    assert [(one.at, one.verdict, one.entry) for one in told] == [
        (NOW + 3 * HOUR, "pass", 13),
        (NOW, "fail", 7),
    ]
    assert told[1].seen == "first words"


def test_the_deadline_follows_the_severity_from_the_start_of_the_stretch(store: Store) -> None:
    assess(store, finding(severity="critical"))
    assert the(store, finding())["due"] == NOW + 15 * DAY
    assess(store, finding(severity="high"), at=NOW + DAY)
    assert the(store, finding())["due"] == NOW + 30 * DAY
    assess(store, finding("unknown"), at=NOW + 2 * DAY)
    row = the(store, finding())
    assert (row["failing_since"], row["due"]) == (NOW, NOW + 30 * DAY)
    assess(store, finding("pass"), at=NOW + 3 * DAY)
    assert (the(store, finding())["failing_since"], the(store, finding())["due"]) == (None, None)
    assess(store, finding(), at=NOW + 4 * DAY)
    assert the(store, finding())["failing_since"] == NOW + 4 * DAY
    assert history(store, finding()) == ["fail", "unknown", "pass", "fail"]


def test_a_fault_older_than_our_look_is_due_from_its_own_date(store: Store) -> None:
    assess(store, finding(severity="critical", since="2026-11-01"))
    assert the(store, finding())["due"] == datetime(2026, 11, 16, tzinfo=UTC)
    assess(store, finding(severity="critical", since="2027-01-01"), at=NOW + HOUR)
    assert the(store, finding())["due"] == NOW + 15 * DAY


def test_a_vanished_subject_is_gone_and_may_come_back(store: Store) -> None:
    assess(store, finding(subject="user:bob"), finding("pass", "user:alice"))
    recorded = assess(store, finding("pass", "user:alice"), at=NOW + HOUR)
    assert [(turn.kind, turn.finding.subject) for turn in recorded.turns] == [("resolved", "user:bob")]
    row = the(store, finding(subject="user:bob"))
    assert (row["gone_at"], row["last_seen"], row["due"]) == (NOW + HOUR, NOW, None)
    with store.read() as connection:
        assert matrix(connection, NOW)["system_access"].fails == 0
        assert [r.subject for r in page(connection, Wanted(gone=True), NOW).rows] == ["user:bob"]
    again = assess(store, finding(subject="user:bob"), finding("pass", "user:alice"), at=NOW + 2 * HOUR)
    assert [turn.kind for turn in again.turns] == ["fail"]
    row = the(store, finding(subject="user:bob"))
    assert (row["first_seen"], row["failing_since"], row["gone_at"]) == (NOW, NOW + 2 * HOUR, None)
    assert history(store, finding(subject="user:bob")) == ["fail", "gone", "fail"]


def test_a_failed_look_never_clears_a_failing_subject(store: Store) -> None:
    bob, alice, blind = (
        finding(subject="user:bob"),
        finding("pass", "user:alice"),
        finding("unknown", "host"),
    )
    assess(store, bob, alice)
    recorded = assess(store, blind, at=NOW + HOUR)
    assert [(turn.kind, turn.finding.subject) for turn in recorded.turns] == [("unknown", "host")]
    row = the(store, bob)
    assert (row["verdict"], row["gone_at"], row["last_seen"]) == ("fail", None, NOW)
    with store.read() as connection:
        counts = matrix(connection, NOW)["system_access"]
        assert (counts.fails, counts.unknowns, counts.passes) == (1, 1, 0)
    assess(store, blind, at=NOW + 2 * HOUR)
    assert the(store, bob)["last_seen"] == NOW
    recorded = assess(store, bob, alice, at=NOW + 3 * HOUR)
    assert [(turn.kind, turn.finding.subject) for turn in recorded.turns] == [("resolved", "host")]
    row = the(store, bob)
    assert (row["failing_since"], row["last_seen"]) == (NOW, NOW + 3 * HOUR)


def test_rows_that_were_not_assessed_are_left_alone(store: Store) -> None:
    patch = finding(rule="security_patching.no_pending", subject="package:openssl")
    assess(store, finding(), patch)
    assess(store, finding("pass"), at=NOW + HOUR)
    row = the(store, patch)
    assert (row["gone_at"], row["last_seen"]) == (None, NOW)


def test_a_rule_that_speaks_twice_is_believed_where_it_says_worse(store: Store) -> None:
    assess(store, finding("pass"), finding("fail"), finding("unknown"))
    assert the(store, finding())["verdict"] == "fail"


def test_a_clock_set_back_does_not_turn_the_order_round(store: Store) -> None:
    assess(store, finding())
    assess(store, finding("pass"), at=NOW - 5 * DAY)
    row = the(store, finding())
    assert row["verdict"] == "pass"
    assert row["changed_at"] == NOW + timedelta(microseconds=1)
    assert history(store, finding()) == ["fail", "pass"]


def test_a_day_keeps_its_worst_and_how_it_closed(store: Store) -> None:
    assess(store, finding())
    assess(store, finding("pass"), at=NOW + HOUR)
    assess(store, finding("pass"), at=NOW + DAY)
    with store.read() as connection:
        days = connection.execute(select(row_days).order_by(row_days.c.day)).all()
        assert [(d.day, d.worst, d.closing) for d in days] == [
            ("2026-11-22", "fail", "pass"),
            ("2026-11-23", "pass", "pass"),
        ]
        assert strip(connection, ["2026-11-22", "2026-11-23", "2026-11-24"]) == {
            ("system_access", "2026-11-22"): "fail",
            ("system_access", "2026-11-23"): "pass",
        }


def test_a_row_of_which_nothing_was_said_is_unknown(store: Store) -> None:
    record(store, [Assessment("app-1", NOW, frozenset({"keys"}), ())], LIMITS)
    with store.read() as connection:
        assert matrix(connection, NOW)["keys"].worst is Verdict.UNKNOWN
        assert connection.execute(select(row_states.c.worst)).scalar_one() == "unknown"


def test_pages_come_most_pressing_first_and_none_twice(store: Store) -> None:
    found = [
        finding(verdict, f"package:p{n}", severity=severity)
        for n in range(7)
        for verdict in ("pass", "fail", "unknown")
        for severity in ("low", "critical")
    ]
    found = list({f.fingerprint: f for f in found}.values())
    extra = [
        finding(v, f"user:{v}{n}:{s}", severity=s)
        for v in ("fail", "unknown", "pass")
        for s in ("critical", "low")
        for n in range(4)
    ]
    assess(store, *found, *extra)
    with store.read() as connection:
        seen, after = [], ""
        while True:
            got = page(connection, Wanted(), NOW, after=after, limit=5)
            seen += got.rows
            after = got.after
            if not after:
                break
        assert len(seen) == len({r.id for r in seen}) == count(connection, Wanted(), NOW).n == 31
        keys = [(r.pressing, r.due or datetime.max.replace(tzinfo=UTC), r.id) for r in seen]
        assert keys == sorted(keys)
        only = Wanted(verdicts=frozenset({Verdict.UNKNOWN}), severities=frozenset({Severity.LOW}))
        assert {r.subject for r in page(connection, only, NOW).rows} == {
            f"user:unknown{n}:low" for n in range(4)
        }
        assert count(connection, only, NOW).n == 4
        with pytest.raises(BadInput, match="not a place"):
            page(connection, Wanted(), NOW, after="1.2")


@pytest.mark.parametrize(
    ("words", "subjects"),
    [
        ("openssl", {"package:openssl"}),
        ("OPENSS", {"package:openssl"}),
        ("libc6:amd64", {"package:libc6:amd64"}),
        ("app-1 root package", {"package:openssl", "package:libc6:amd64"}),
        ("no_root_login use", {"user:müller"}),
        ("müll", {"user:müller"}),
        ('"; DROP TABLE findings; --', set()),
        ("* OR NEAR(", set()),
        ("!!!", set()),
        ("1.1.1w", {"package:openssl"}),
        ("1.1.1", {"package:openssl", "package:libc6:amd64", "user:müller"}),  # on app-1
        ("older older", {"package:openssl"}),
        ("old", {"package:openssl"}),
        ("old old", set()),  # once whole, once as a beginning
    ],
)
def test_search_finds_beginnings_of_words(store: Store, words: str, subjects: set[str]) -> None:
    assess(
        store,
        finding(subject="package:openssl", seen="openssl 1.1.1w is older than 3.0"),
        finding(subject="package:libc6:amd64"),
        finding(subject="user:müller"),
    )
    with store.read() as connection:
        wanted = Wanted(words=words)
        assert {r.subject for r in page(connection, wanted, NOW).rows} == subjects
        assert count(connection, wanted, NOW).n == len(subjects)


def test_a_word_said_again_narrows_nothing_and_is_asked_once() -> None:
    """Said four times, PostgreSQL expects nearly nothing to match, and sorts all that does."""
    assert _tokens("0.0.0.0") == ["0"]
    assert _tokens("a-b-a-b") == ["a", "b"]
    assert _tokens("old OLD") == ["old", "old"]  # once whole, once as a beginning
    assert _tokens("--") == []


@pytest.mark.parametrize(
    "narrowed",
    [{}, {"host": "app-1"}, {"control": "keys"}, {"rule": ROOT}, {"verdicts": frozenset({Verdict.FAIL})}],
)
def test_a_search_that_finds_very_many_gives_each_once(store: Store, narrowed: dict[str, Any]) -> None:
    """More than are counted: then they are read along the text index, page by page."""
    for host in ("app-1", "app-2"):
        found = [
            finding(verdict, f"user:{n}", rule=rule, host=host, severity=severity)
            for n in range(1002 // 4 + 1)
            for verdict, severity, rule in (
                ("fail", "high", ROOT), ("unknown", "low", ROOT), ("pass", "high", "keys.x"), ("fail", "low", "keys.x"),
            )
        ]  # fmt: skip
        found = [replace(f, subject=f"{f.subject}:{f.verdict}:{f.severity}") for f in found]
        assess(store, *found, host=host)
        if host == "app-2":  # those that went match too, and are not found
            assess(store, *found[:-4], host=host, at=NOW + HOUR)
    wanted = Wanted(words="user", **narrowed)
    with store.read() as connection:
        seen, after = [], ""
        while True:
            got = page(connection, wanted, NOW, after=after, limit=400)
            seen += got.rows
            after = got.after
            if not after:
                break
        said = count(connection, wanted, NOW)
        everything = connection.execute(select(findings).where(findings.c.gone_at.is_(None))).all()
    one_host = [r for r in everything if r.host == narrowed.get("host", r.host)]
    of_row = [r for r in one_host if r.control == narrowed.get("control", r.control)]
    of_rule = [r for r in of_row if r.rule == narrowed.get("rule", r.rule)]
    expected = {r.id for r in of_rule if not narrowed.get("verdicts") or r.verdict == "fail"}
    assert len(seen) == len(expected)
    assert {r.id for r in seen} == expected
    assert [r.pressing for r in seen] == sorted(r.pressing for r in seen)
    assert (said.n, said.more) == ((1000, True) if len(expected) > 1000 else (len(expected), False))


def test_what_went_is_searched_by_itself(store: Store) -> None:
    assess(store, finding(subject="user:old"), finding())
    assess(store, finding(), at=NOW + HOUR)
    with store.read() as connection:
        for wanted, n in ((Wanted(words="old"), 0), (Wanted(words="old", gone=True), 1)):
            assert len(page(connection, wanted, NOW).rows) == count(connection, wanted, NOW).n == n


def test_search_follows_what_is_seen_now(store: Store) -> None:
    assess(store, finding(seen="PermitRootLogin yes"))
    assess(store, finding("pass", seen="PermitRootLogin no, Match blocks none"), at=NOW + HOUR)
    with store.read() as connection:
        assert not page(connection, Wanted(words="yes"), NOW).rows
        assert len(page(connection, Wanted(words="match"), NOW).rows) == 1
        failing = Wanted(words="match", verdicts=frozenset({Verdict.FAIL}))
        assert not page(connection, failing, NOW).rows


def test_overdue_is_counted_by_the_clock(store: Store) -> None:
    assess(store, finding(severity="critical"), finding(subject="user:x", severity="low"))
    later = NOW + 16 * DAY
    with store.read() as connection:
        assert matrix(connection, NOW)["system_access"].overdue == 0
        assert matrix(connection, later)["system_access"].overdue == 1
        assert [r.subject for r in page(connection, Wanted(overdue=True), later).rows] == ["sshd"]
        assert count(connection, Wanted(overdue=False), later).n == 1


def test_a_removed_host_counts_no_more_and_keeps_its_history(store: Store) -> None:
    assess(store, finding())
    assess(store, finding(host="app-2"), host="app-2")
    retire_host(store, "app-1", NOW + HOUR)
    with store.read() as connection:
        assert matrix(connection, NOW)["system_access"].fails == 1
        assert matrix(connection, NOW, host="app-1") == {}
        assert count(connection, Wanted(host="app-1"), NOW).n == 0
    assert the(store, finding())["last_seen"] == NOW
    assert history(store, finding()) == ["fail", "gone"]


def test_new_numbers_move_every_open_deadline(store: Store) -> None:
    aged = finding(subject="user:old", since="2026-11-02")
    assess(store, finding(), aged, finding("pass", "user:ok"))
    tighter = {severity: span / 2 for severity, span in LIMITS.items()}
    record(store, [Assessment("app-2", NOW + HOUR, frozenset({"keys"}), ())], tighter)
    assert the(store, finding())["due"] == NOW + 15 * DAY
    assert the(store, aged)["due"] == datetime(2026, 11, 17, tzinfo=UTC)
    assert the(store, finding("pass", "user:ok"))["due"] is None


def test_an_entry_taken_in_twice_changes_nothing(store: Store) -> None:
    assess(store, finding(), entry=5)
    assess(store, finding("pass"), at=NOW + HOUR, entry=9)
    again = assess(store, finding(), entry=5)
    assert (again.turns, again.written) == ([], 0)
    assert the(store, finding())["verdict"] == "pass"


def test_the_matrix_does_not_lose_a_fault_that_is_out_of_sight(platform: Platform) -> None:
    failing, blind = finding(subject="user:bob"), finding("unknown", "host")
    assess(platform.store, failing)
    assess(platform.store, blind, at=NOW + HOUR)
    (row,) = (row for row in rows_of(platform) if row.id == "system_access")
    assert (row.status, row.findings) == (Verdict.FAIL, {"pass": 0, "fail": 1, "unknown": 1})
