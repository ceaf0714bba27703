"""A waiver is a person's word for a time: complete, on record, and never for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from wardkeep.core.errors import BadInput
from wardkeep.core.findings import Finding, Severity, Verdict
from wardkeep.engine.findings import Assessment, deadlines, record
from wardkeep.engine.platform import Platform
from wardkeep.engine.waivers import Waiver, list_waivers, note_expired, revoke, waive
from wardkeep.store.browse import Wanted, matrix, page

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
DAY = timedelta(days=1)
OPEN = Finding(
    "firewall",
    "firewall.default_deny",
    "Inbound is denied.",
    "app-1",
    "input",
    Verdict.FAIL,
    Severity.HIGH,
    "accept",
)
WORDS = {"owner": "alice", "reason": "moved next week", "compensating": "a firewall before it"}


def give(platform: Platform, **more: object) -> Waiver:
    given: dict[str, object] = {**WORDS, "expires": NOW + 7 * DAY, "by": "operator:alice", "now": NOW, **more}
    return waive(platform, str(given.pop("fingerprint", OPEN.fingerprint)), **given)  # type: ignore[arg-type]


@pytest.fixture
def opened(platform: Platform) -> Platform:
    found = Assessment("app-1", NOW, frozenset({"firewall"}), [OPEN])
    record(platform.store, [found], deadlines(platform.config.numbers))
    return platform


def test_a_waived_finding_stays_visible_and_still_counts(opened: Platform) -> None:
    made = give(opened)
    assert made.state == "in force"
    with opened.store.read() as connection:
        row = matrix(connection, NOW)["firewall"]
        assert (row.fails, row.waived, row.worst) == (1, 1, Verdict.FAIL)
        assert len(page(connection, Wanted(), NOW).rows) == 1
        assert len(page(connection, Wanted(waived=True), NOW).rows) == 1
        assert not page(connection, Wanted(waived=False), NOW).rows


def test_it_reopens_by_itself_and_its_end_is_on_record_once(opened: Platform) -> None:
    give(opened)
    after = NOW + 8 * DAY
    with opened.store.read() as connection:
        assert matrix(connection, after)["firewall"].waived == 0
        assert len(page(connection, Wanted(waived=False), after).rows) == 1
    assert note_expired(opened, NOW) == []
    assert [w.state for w in note_expired(opened, after)] == ["expired"]
    assert note_expired(opened, after) == []
    acts = [e["body"]["act"] for e in opened.ledger.read() if e["kind"] == "waiver"]
    assert acts == ["given", "expired"]


def test_every_act_is_in_the_ledger_with_its_words(opened: Platform) -> None:
    made = give(opened)
    revoke(opened, made.id, reason="mended", by="operator:bob", now=NOW + DAY)
    given, revoked = (e for e in opened.ledger.read() if e["kind"] == "waiver")
    assert given["body"].items() >= {**WORDS, "fingerprint": OPEN.fingerprint}.items()
    assert given["subject"] == {"host": "app-1", "control": "firewall"}
    assert (revoked["actor"], revoked["body"]["reason"]) == ("operator:bob", "mended")
    assert [w.state for w in list_waivers(opened, NOW + DAY)] == ["revoked"]
    with pytest.raises(BadInput, match="does not hold"):
        revoke(opened, made.id, reason="again", by="operator:bob", now=NOW + DAY)


def test_one_at_a_time(opened: Platform) -> None:
    first = give(opened)
    with pytest.raises(BadInput, match=r"waived already until .* by alice\. Revoke"):
        give(opened)
    revoke(opened, first.id, reason="wrong", by="operator:alice", now=NOW)
    assert give(opened, now=NOW + DAY).state == "in force"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"owner": "  "}, "needs its owner"),
        ({"reason": ""}, "needs its reason"),
        ({"compensating": "\n"}, "needs its compensating control"),
        ({"reason": "x" * 3000}, "longer than"),
        ({"expires": NOW}, "not in the future"),
        ({"expires": NOW + 367 * DAY}, "12 months at most"),
        ({"expires": datetime(2026, 12, 1)}, "no time zone"),
        ({"fingerprint": "0" * 16}, "no finding"),
    ],
)
def test_what_is_missing_or_wrong_is_refused_and_not_recorded(
    opened: Platform, wrong: dict[str, object], says: str
) -> None:
    before = opened.ledger.size
    with pytest.raises(BadInput, match=says):
        give(opened, **wrong)
    assert (opened.ledger.size, list(list_waivers(opened, NOW))) == (before, [])


def test_what_passes_cannot_be_waived(platform: Platform) -> None:
    good = Finding(
        *(OPEN.control, OPEN.rule, OPEN.says, OPEN.host, OPEN.subject), Verdict.PASS, OPEN.severity, "drop"
    )
    found = Assessment("app-1", NOW, frozenset({"firewall"}), [good])
    record(platform.store, [found], deadlines(platform.config.numbers))
    with pytest.raises(BadInput, match="not open"):
        give(platform)
