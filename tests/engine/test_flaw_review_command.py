"""`wardkeep vulns review` as a person types it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.advisories.vulns_run import Run
from tests.engine.flaws_world import FIXED_NOW, NEW, OLD, add_hosts, give_feeds, look, seen

from wardkeep.engine.finding_views import Filters, list_findings
from wardkeep.engine.platform import Platform, open_platform


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Platform]:
    with open_platform(tmp_path / "state", create=True) as made:
        yield made


@pytest.fixture
def run(place: Platform, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """With today's feeds and two hosts."""
    now = datetime.now(UTC)
    give_feeds(place, tmp_path, now)
    add_hosts(place, "app-1", "app-2")
    seen(
        place,
        look("app-1", {"openssl": OLD}, now, listens={"openssl": 443}),
        look("app-2", {"openssl": OLD}, now),
    )
    return Run(place.folder, capsys)


def test_the_queue_is_listed_the_riskiest_first(run: Run) -> None:
    told = run("review", "--json")
    assert (run.status, told["open"], told["undecided"], told["minor"]) == (1, 4, 4, 1)
    risks = [case["risk"] for case in told["cases"]]
    assert risks == sorted(risks, reverse=True)
    first = told["cases"][0]
    assert (first["id"], first["hosts"], first["overdue"], first["listens"]) == (
        "CVE-2026-0001",
        2,
        True,
        {"app-1": "443/tcp"},
    )
    run("review")
    assert "d late" in run.out
    assert "4 flaws concern the fleet, 4 undecided, 1 late; 1 more are called minor" in run.out


def test_a_decision_is_followed_by_the_row_at_once(run: Run, place: Platform) -> None:
    told = run("review", "accept", "DSA-9001-1", "--says", "tonight", "--json")
    (case,) = told["cases"]
    assert (case["id"], case["decision"], case["said"]["says"]) == ("CVE-2026-0001", "accepted", "tonight")
    (entry,) = place.ledger.read(told["entry"], told["entry"] + 1)
    assert (entry["kind"], entry["body"]["cases"]) == ("flaw", [["CVE-2026-0001", "openssl"]])
    told = run("review", "--undecided", "--json")
    assert "CVE-2026-0001" not in {case["id"] for case in told["cases"]}
    run("review", "show", "CVE-2026-0001")
    assert "accepted by operator:" in run.out
    assert "app-2" in run.out
    run("review", "reopen", "CVE-2026-0001", "--says", "it failed")
    assert run("review", "show", "CVE-2026-0001", "--json")[0]["decision"] is None


def test_all_of_a_waiver_is_shown_and_why_it_is_open_again(run: Run, place: Platform, tmp_path: Path) -> None:
    run(
        *("review", "waive", "CVE-2026-0006", "--owner", "alice", "--reason", "no fix yet"),
        *("--compensating", "over the VPN only", "--until", "60 d", "--until-fixed"),
    )
    run("review", "show", "CVE-2026-0006")
    told = " ".join(run.out.split())
    assert "no fix yet owner alice; until " in told
    assert "; instead over the VPN only; ends as soon as a fix is released" in told
    give_feeds(place, tmp_path / "later", datetime.now(UTC), openssl=FIXED_NOW)
    run("review", "show", "CVE-2026-0006")
    assert f"It is open again: a fix is released: {NEW}." in " ".join(run.out.split())
    run("digest")
    assert f"Open again: a fix is released: {NEW}." in run.out
    # The row says so too, before the next cycle.
    found = list_findings(place, Filters(control="vulnerability_review", q="CVE-2026-0006")).findings
    assert ["nobody decided about it" in one.seen for one in found if "is_decided" in one.rule] == [True]


def test_the_head_counts_the_whole_queue_whatever_is_listed(run: Run, place: Platform) -> None:
    run("review", "accept", "CVE-2026-0001", "--says", "tonight")
    run("review")
    head = run.out.splitlines()[0]
    assert head.startswith("4 flaws concern the fleet, 3 undecided, 1 late")
    run("review", "--undecided")
    assert run.out.splitlines()[0] == head
    assert "CVE-2026-0001" not in run.out


def test_the_days_review_is_put_on_record(run: Run, place: Platform) -> None:
    told = run("review", "done", "--says", "All seen.", "--json")
    (entry,) = place.ledger.read(told["entry"], told["entry"] + 1)
    assert (entry["kind"], entry["body"]["says"], entry["body"]["undecided"]) == ("review", "All seen.", 0)


def test_a_patched_fleet_has_nothing_late(run: Run, place: Platform) -> None:
    run("review", "--json")
    now = datetime.now(UTC)
    seen(place, *(look(name, {"openssl": NEW}, now) for name in ("app-1", "app-2")))
    told = run("review", "--all", "--json")
    fixed = {case["id"]: case["how"] for case in told["cases"] if case["closed"]}
    assert fixed == {"CVE-2026-0001": "fixed"}


@pytest.mark.parametrize(
    "words",
    [
        ("review", "accept", "CVE-1999-0001"),
        ("review", "accept"),
        ("review", "reopen", "CVE-2026-0001", "--says", "x"),
        ("review", "done", "--says", " "),
    ],
)
def test_wrong_use_is_one_line(run: Run, words: tuple[str, ...]) -> None:
    run("review", "--json")
    run(*words)
    assert run.status == 2
    assert "Traceback" not in run.err


def test_without_a_database_the_queue_is_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_platform(tmp_path / "bare", create=True).close()
    run = Run(tmp_path / "bare", capsys)
    told = run("review", "--json")
    assert (run.status, told["cases"]) == (3, [])
    assert "wardkeep vulns update" in told["problem"]
