"""The review queue: what concerns the fleet opens a case, a look that shows the fix ends it, and nothing else does."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.advisories.small_feeds import TRACKER, write_feeds
from tests.engine.flaws_world import (
    AT,
    NEW,
    OLD,
    add_hosts,
    give_feeds,
    judged,
    look,
    recorded,
    seen,
)

from wardkeep.advisories.updating import update_from_folder
from wardkeep.core.errors import BadInput
from wardkeep.core.findings import Verdict
from wardkeep.engine.flaw_review import acts
from wardkeep.engine.flaw_review.cases import Case, read_assets, read_cases
from wardkeep.engine.flaw_review.digest import digest
from wardkeep.engine.flaw_review.inventory import affected_by
from wardkeep.engine.flaw_review.queue import refresh
from wardkeep.engine.folder import ADVISORIES, open_advisories
from wardkeep.engine.hosts import remove_host
from wardkeep.engine.index import rebuild_index
from wardkeep.engine.platform import Platform
from wardkeep.store.flaw_tables import flaw_assets, flaw_cases

DAY = timedelta(days=1)


def cases(platform: Platform, *, closed: bool = False) -> dict[str, Case]:
    with platform.store.read() as connection:
        return {case.flaw: case for case in read_cases(platform, connection, closed=closed)}


@pytest.fixture
def fleet(platform: Platform, tmp_path: Path) -> Platform:
    """Two hosts with an old openssl; on one of them it is held by a program that listens."""
    give_feeds(platform, tmp_path)
    add_hosts(platform, "app-1", "app-2")
    seen(
        platform,
        look("app-1", {"openssl": OLD, "zlib1g": "1:1.2.13.dfsg-1"}, listens={"openssl": 443}),
        look("app-2", {"openssl": OLD}, listens={}),
    )
    return platform


def test_the_queue_is_what_concerns_the_fleet_with_its_clock_and_its_arithmetic(fleet: Platform) -> None:
    made = refresh(fleet, AT)
    found = cases(fleet)
    # 0003 is postponed by the vendor: counted, not queued. 0004 is fixed in every version: not affected.
    assert set(found) == {"CVE-2026-0001", "CVE-2026-0002", "CVE-2026-0005", "CVE-2026-0006"}
    assert (made.opened, made.joined, made.minor) == (4, 8, 1)
    first = found["CVE-2026-0001"]
    assert next(iter(found)) == "CVE-2026-0001"
    assert (first.state, first.hosts, first.exploited) == ("fix_available", 2, "2026-10-20")
    # Known exploited: the first clock, 15 days from the day of the DSA.
    assert (first.since.isoformat(), first.due.date().isoformat()) == ("2026-10-12", "2026-10-27")
    arithmetic = first.told["because"]
    assert arithmetic == (
        "severity high 8 × 4 = 32 + known exploited 40 + fix released 5 + listens to the network on 1 of 2 hosts (443/tcp) 15"
    )
    assert first.risk == 32 + 40 + 5 + 15
    # Of no given severity: the second clock, 30 days from the day it was first known here.
    assert found["CVE-2026-0002"].due.date() == (AT + 30 * DAY).date()
    with fleet.store.read() as connection:
        assets = read_assets(connection, key=first.key)
    assert [(one.host, one.version, one.fixed) for one in assets] == [
        ("app-1", OLD, NEW),
        ("app-2", OLD, NEW),
    ]


def test_nothing_is_done_twice(fleet: Platform) -> None:
    refresh(fleet, AT)
    size = fleet.ledger.size
    again = refresh(fleet, AT + DAY)
    assert (again.opened, again.entry, again.minor, fleet.ledger.size) == (0, None, 1, size)


def test_what_a_change_does_not_concern_is_not_written_again(fleet: Platform) -> None:
    """Another package of a host, another moment: no case and no asset differs, so that no entry is made."""
    refresh(fleet, AT)
    size = fleet.ledger.size
    with_bash = {"openssl": OLD, "bash": "5.2.15-2+b2"}
    seen(fleet, look("app-2", with_bash, AT + timedelta(hours=1), listens={}))
    again = refresh(fleet, AT + timedelta(hours=1))
    assert (again.entry, again.opened, fleet.ledger.size) == (None, 0, size)


def test_what_is_not_known_to_listen_is_not_taken_for_hidden(fleet: Platform) -> None:
    seen(fleet, look("app-1", {"openssl": OLD}), look("app-2", {"openssl": OLD}, listens={}))
    refresh(fleet, AT)
    told = cases(fleet)["CVE-2026-0001"].told["because"]
    assert told.endswith("whether it listens is not known on 1 of 2 hosts 7")


def chain(*rules: object) -> list[object]:
    """An input chain of nftables that drops the rest."""
    place = {"family": "inet", "table": "filter"}
    base = {"type": "filter", "hook": "input", "prio": 0, "policy": "drop"}
    made: list[object] = [{"table": {"family": "inet", "name": "filter", "handle": 1}}]
    made.append({"chain": {**place, "name": "input", "handle": 2, **base}})
    return made + [
        {"rule": {**place, "chain": "input", "handle": 3 + n, "expr": [*some, {"accept": None}]}}
        for n, some in enumerate(map(list, rules))  # type: ignore[call-overload]
    ]


def asked(protocol: str, field: str, right: object) -> object:
    left = {"payload": {"protocol": protocol, "field": field}}
    return {"match": {"op": "==", "left": left, "right": right}}


HTTPS = asked("tcp", "dport", 443)
PRIVATE = asked("ip", "saddr", {"prefix": {"addr": "10.0.0.0", "len": 8}})
XT = {"xt": {"type": "match", "name": "geoip"}}


@pytest.mark.parametrize(
    ("rules", "told", "points"),
    [
        ([], "443/tcp", 15),  # nothing filters
        (chain([HTTPS]), "443/tcp", 15),
        (chain([PRIVATE, HTTPS]), "443/tcp; the packet filter lets in private addresses alone", 7),
        (chain([asked("tcp", "dport", 22)]), "443/tcp; the packet filter lets nobody in", 0),
        (chain([XT, HTTPS]), "443/tcp; what the packet filter lets in is not known", 15),
        (None, "443/tcp; what the packet filter lets in is not known", 15),
    ],
)
def test_a_package_is_as_exposed_as_the_packet_filter_lets_it_be(
    fleet: Platform, rules: list[object] | None, told: str, points: int
) -> None:
    seen(fleet, look("app-1", {"openssl": OLD}, listens={"openssl": 443}, nftables=rules))
    refresh(fleet, AT)
    case = cases(fleet)["CVE-2026-0001"]
    assert case.told["because"].endswith(f"listens to the network on 1 of 2 hosts ({told}) {points}")
    assert case.risk == 32 + 40 + 5 + points
    shown = told.replace("; ", " (") + ")" * ("; " in told)
    assert case.told["listens"] == {"app-1": shown}


def test_the_widest_filter_speaks_for_a_flaw(fleet: Platform) -> None:
    closed = look("app-1", {"openssl": OLD}, listens={"openssl": 443}, nftables=chain())
    seen(fleet, closed, look("app-2", {"openssl": OLD}, listens={"openssl": 443}, nftables=chain([HTTPS])))
    refresh(fleet, AT)
    assert cases(fleet)["CVE-2026-0001"].told["because"].endswith("on 1 of 2 hosts (443/tcp) 15")
    seen(fleet, closed, look("app-2", {"openssl": OLD}))
    refresh(fleet, AT)
    # One is kept from everybody, of the other it is not known.
    assert cases(fleet)["CVE-2026-0001"].told["because"].endswith("is not known on 1 of 2 hosts 7")


def test_fixed_only_when_a_look_shows_it_and_on_every_host(fleet: Platform) -> None:
    refresh(fleet, AT)
    (case,) = acts.find_cases(fleet, ["CVE-2026-0001"])
    acts.accept(fleet, [case], by="operator:alice", now=AT)
    assert cases(fleet)["CVE-2026-0001"].closed is None  # a decision mends nothing
    seen(fleet, look("app-1", {"openssl": NEW}, AT + DAY, listens={}))
    made = refresh(fleet, AT + DAY)
    assert (made.fixed, cases(fleet)["CVE-2026-0001"].hosts) == (1, 1)
    later = AT + 2 * DAY
    seen(fleet, look("app-2", {"openssl": NEW}, later, listens={}))
    refresh(fleet, later + timedelta(hours=1))
    assert "CVE-2026-0001" not in cases(fleet)
    closed = cases(fleet, closed=True)["CVE-2026-0001"]
    assert (closed.how, closed.closed, closed.decision) == (
        "fixed",
        later,
        "accepted",
    )  # when the look was, not the reckoning


def test_a_host_that_cannot_be_looked_at_ends_nothing(fleet: Platform) -> None:
    refresh(fleet, AT)
    whole = look("app-1", {"openssl": NEW})
    cut = dict(whole.answers)
    del cut["packages"]
    seen(
        fleet, type(whole)("app-1", AT + DAY, cut), type(whole)("app-2", AT + DAY, whole.answers, "no route")
    )
    assert refresh(fleet, AT + DAY).fixed == 0
    assert cases(fleet)["CVE-2026-0001"].hosts == 2


def test_a_flaw_that_leaves_the_data_is_withdrawn_not_fixed(fleet: Platform, tmp_path: Path) -> None:
    refresh(fleet, AT)
    give_feeds(fleet, tmp_path / "later", openssl={"CVE-2026-0077": {"releases": {}}})
    made = refresh(fleet, AT)
    assert (made.fixed, made.ended) == (0, 6)  # the exploited one stays: the list of DSAs still names it
    closed = cases(fleet, closed=True)["CVE-2026-0006"]
    assert (closed.how, closed.closed) == ("withdrawn", AT)


def test_what_comes_back_is_undecided_again(fleet: Platform) -> None:
    refresh(fleet, AT)
    acts.accept(fleet, acts.find_cases(fleet, ["CVE-2026-0001"]), by="operator:alice", now=AT)
    for n, version in enumerate((NEW, OLD), start=1):
        hosts = [look(name, {"openssl": version}, AT + n * DAY, listens={}) for name in ("app-1", "app-2")]
        seen(fleet, *hosts)
        refresh(fleet, AT + n * DAY)
    back = cases(fleet)["CVE-2026-0001"]
    assert (back.decision, back.opened, back.hosts) == ("", AT + 2 * DAY, 2)


def test_a_host_that_left_takes_its_flaws_with_it(fleet: Platform) -> None:
    refresh(fleet, AT)
    remove_host(fleet, "app-1", "operator:alice")
    remove_host(fleet, "app-2", "operator:alice")
    refresh(fleet, AT + DAY)
    assert {case.how for case in cases(fleet, closed=True).values()} == {"left"}


def test_a_new_advisory_finds_its_hosts_by_the_index(fleet: Platform) -> None:
    db = open_advisories(fleet.folder)
    with fleet.store.read() as connection:
        found = affected_by(connection, db, "DSA-9001-1")
    db.close()
    assert {host: [c.name for c in some] for host, some in found.items()} == {
        "app-1": ["openssl"],
        "app-2": ["openssl"],
    }


def test_without_advisories_nothing_passes(platform: Platform) -> None:
    found = judged(platform)
    assert {one.verdict for (rule, _), one in found.items() if rule != "reviewed_in_time"} == {
        Verdict.UNKNOWN
    }
    assert found["reviewed_in_time", "review"].verdict is Verdict.FAIL


def test_the_row_follows_a_decision(fleet: Platform) -> None:
    found = judged(fleet)
    subject = "flaw:CVE-2026-0002 openssl"
    undecided = found["every_flaw_is_decided", subject]
    assert (undecided.verdict, undecided.severity, undecided.since) == (
        Verdict.FAIL,
        "high",
        AT.date().isoformat(),
    )
    acts.accept(fleet, acts.find_cases(fleet, ["cve-2026-0002:openssl"]), by="operator:alice", now=AT)
    found = judged(fleet)
    assert found["every_flaw_is_decided", subject].verdict is Verdict.PASS
    assert "accepted by operator:alice on 2026-11-22" in found["every_flaw_is_decided", subject].seen
    assert found["mended_in_time", subject].verdict is Verdict.PASS
    # Accepting does not stop the clock: 31 days later it is late, whatever was said.
    assert judged(fleet, AT + 31 * DAY)["mended_in_time", subject].verdict is Verdict.FAIL
    late = found["mended_in_time", "flaw:CVE-2026-0001 openssl"]
    assert (late.verdict, late.severity) == (Verdict.FAIL, "critical")


def test_the_day_without_a_review_is_a_finding(fleet: Platform) -> None:
    nine = datetime(2026, 11, 22, 9, tzinfo=UTC)
    assert judged(fleet, nine)["reviewed_in_time", "review"].verdict is Verdict.FAIL
    entry = acts.done(fleet, says="Four new ones, all looked at.", by="operator:alice", now=nine)
    (told,) = fleet.ledger.read(entry, entry + 1)
    assert (told["body"]["open"], told["body"]["undecided"]) == (4, 4)
    evening_after = datetime(2026, 11, 23, 23, tzinfo=UTC)
    assert judged(fleet, evening_after)["reviewed_in_time", "review"].verdict is Verdict.PASS
    assert (
        judged(fleet, evening_after + timedelta(hours=2))["reviewed_in_time", "review"].verdict
        is Verdict.FAIL
    )


def test_stale_data_are_a_finding_and_not_a_clean_queue(fleet: Platform) -> None:
    found = judged(fleet, AT + 40 * DAY)
    assert found["data_are_fresh", "advisories"].verdict is Verdict.UNKNOWN
    stale = [one for (rule, subject), one in found.items() if rule == "data_are_fresh" and "feed:" in subject]
    assert Verdict.FAIL in {one.verdict for one in stale}


def test_a_feed_that_shrank_is_a_finding_until_an_update_is_taken(fleet: Platform, tmp_path: Path) -> None:
    few = write_feeds(tmp_path / "few")
    (few / "debian-tracker.json").write_text(json.dumps({"zlib": TRACKER["zlib"]}))
    assert not update_from_folder(few, fleet.folder / ADVISORIES, AT).replaced
    told = judged(fleet)["data_are_fresh", "update:debian-tracker"]
    assert told.verdict is Verdict.FAIL
    assert "the old data in place: debian-tracker shrank from 10 to 1 entries" in told.seen
    assert any("shrank" in line for line in digest(fleet, AT)["troubles"])
    update_from_folder(few, fleet.folder / ADVISORIES, AT, accept_shrunken=True)
    assert ("data_are_fresh", "update:debian-tracker") not in judged(fleet)


def test_data_that_know_hardly_anything_that_is_installed_were_cut(fleet: Platform, tmp_path: Path) -> None:
    seen(fleet, look("app-1", {"openssl": OLD} | {f"package-{n}": "1.0-1" for n in range(60)}))
    told = judged(fleet)["data_are_fresh", "advisories"]
    assert told.verdict is Verdict.UNKNOWN
    assert "speak of 1 of 61 installed packages" in told.seen
    # What they are silent about is not taken for over: a queue of cut data is not a clean one.
    refresh(fleet, AT)
    give_feeds(fleet, tmp_path / "later", openssl={"CVE-2026-0077": {"releases": {}}})
    refresh(fleet, AT)
    assert "CVE-2026-0006" in cases(fleet)


def test_only_what_concerns_the_fleet_can_be_decided(fleet: Platform) -> None:
    refresh(fleet, AT)
    with pytest.raises(BadInput, match="concerns the fleet"):
        acts.find_cases(fleet, ["CVE-1999-0001"])
    with pytest.raises(BadInput, match="nothing is decided"):
        acts.reopen(fleet, acts.find_cases(fleet, ["CVE-2026-0006"]), by="operator:a", says="x")


def test_the_tables_come_back_from_the_ledger(fleet: Platform) -> None:
    refresh(fleet, AT)
    acts.accept(fleet, acts.find_cases(fleet, ["CVE-2026-0001", "CVE-2026-0006"]), by="operator:a", now=AT)
    seen(fleet, look("app-1", {"openssl": NEW}, AT + DAY, listens={}))
    refresh(fleet, AT + DAY)
    acts.reopen(fleet, acts.find_cases(fleet, ["CVE-2026-0006"]), by="operator:a", says="wrong", now=AT + DAY)
    recorded(fleet, AT + DAY)

    def rows() -> list[str]:
        with fleet.store.read() as connection:
            found = [
                str(row) for table in (flaw_cases, flaw_assets) for row in connection.execute(select(table))
            ]
        return sorted(found)

    before = rows()
    assert len(before) == 4 + 8
    rebuild_index(fleet)
    assert rows() == before
