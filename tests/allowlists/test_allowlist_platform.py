"""The platform's allowlist: acts in the file and in the ledger, a review that is never silently complete, minutes."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from wardkeep.allowlists.editing import added, edited, find
from wardkeep.allowlists.minutes import as_html, as_markdown
from wardkeep.allowlists.reading import read_toml
from wardkeep.controls import control
from wardkeep.core.errors import BadInput, Refused
from wardkeep.engine.allowlist_review import (
    campaign_named,
    campaigns,
    close_campaign,
    minutes_of,
    sign,
    start_campaign,
)
from wardkeep.engine.allowlists import add_entry, extend_entry, remove_entry
from wardkeep.engine.declared import allowlist_path, declared
from wardkeep.engine.index import rebuild_index
from wardkeep.engine.platform import Platform, open_platform

BY = "operator:alice"
TODAY = datetime.now(UTC).date()
HAND = """\
# our partners

# the clearing house, see the contract
[[allow]]
network = "203.0.113.7"
service = "443/tcp"
owner = 'bob'   # bob knows
reason = "clearing [house]"

# the lab
[[allow]]
network = "198.51.100.0/24"
service = "22/tcp"
"""


def add(platform: Platform, network: str, **more: str) -> str:
    told = {"network": network, "service": "443/tcp", "owner": "bob", "reason": "partner", **more}
    days = {"created": TODAY, "expires": TODAY + timedelta(days=90)}
    return add_entry(platform, {**told, **days}, "allow", BY)[0].id


def test_an_edit_touches_the_lines_of_its_entry_and_no_other() -> None:
    first, second = read_toml(HAND, "a.toml").entries
    after = edited(HAND, [(first, {"owner": "carol", "reviewed": TODAY})])
    assert after == HAND.replace("owner = 'bob'   # bob knows", 'owner = "carol"').replace(
        '"clearing [house]"\n', f'"clearing [house]"\nreviewed = {TODAY}\n'
    )
    assert (
        edited(HAND, [(first, None)]) == HAND.partition("# the clearing")[0] + HAND[HAND.index("# the lab") :]
    )
    assert edited(HAND, [(second, None)]) == HAND.partition("\n# the lab")[0]
    alone = HAND.replace("[[allow]]", '[[allow]]\nlist = "lab"').replace('"lab"', '"house"', 1)
    assert edited(alone, [(read_toml(alone, "a.toml").entries[1], None)]).endswith("\n[list.lab]\n")
    made, entry = added(HAND, "a.toml", {"network": "192.0.2.9", "service": "ssh", "owner": "x"})
    assert made.startswith(HAND)
    assert entry == read_toml(made, "a.toml").entries[2]
    with pytest.raises(BadInput, match="stands there already"):
        added(HAND, "a.toml", {"network": "203.0.113.7/32", "service": "https"})
    with pytest.raises(BadInput, match="line break"):
        added(HAND, "a.toml", {"network": "192.0.2.9", "service": "ssh", "reason": "a\n[[allow]]"})


def test_an_entry_whose_lines_cannot_be_told_is_refused() -> None:
    odd = 'allow = [{network = "192.0.2.1", service = "22/tcp"}]\n'
    with pytest.raises(Refused, match="by hand"):
        edited(odd, [(read_toml(odd, "a.toml").entries[0], None)])
    long = '[[allow]]\nnetwork = "192.0.2.1"\nservice = "22/tcp"\nreason = """\nowner = "x"\n"""\n'
    with pytest.raises((Refused, BadInput)):
        edited(long, [(read_toml(long, "a.toml").entries[0], {"owner": "y"})])


def test_entries_are_found_by_id_and_network() -> None:
    known = read_toml(HAND + '\n[[allow]]\nnetwork = "203.0.113.7/32"\nservice = "22/tcp"\n', "a.toml")
    assert find(known, known.entries[0].id) == known.entries[:1]
    assert find(known, "198.51.100.9/24") == known.entries[1:2]
    with pytest.raises(BadInput, match="2 entries are for"):
        find(known, "203.0.113.7")
    assert find(known, "203.0.113.7", service="22/tcp")[0].line > 10
    for said in ("192.0.2.1", "nonsense"):
        with pytest.raises(BadInput):
            find(known, said)


def test_acts_are_in_the_file_and_in_the_ledger(platform: Platform) -> None:
    assert declared(platform.config).entries == ()
    one = add(platform, "203.0.113.7")
    add(platform, "203.0.113.8")
    extend_entry(
        platform, one, listed="", service="", until=TODAY + timedelta(days=200), reason="renewed", by=BY
    )
    remove_entry(platform, "203.0.113.8", listed="", service="", reason="gone", by=BY)
    (left,) = declared(platform.config).entries
    assert (left.id, left.expires) == (one, TODAY + timedelta(days=200))
    acts = [e for e in platform.ledger.read() if e["kind"] == "allowlist"]
    assert [a["body"]["act"] for a in acts] == ["add", "add", "extend", "remove"]
    assert all(a["actor"] == BY and a["subject"] == {"control": "firewall_audit"} for a in acts)
    assert [a["body"]["before"] for a in acts[1:]] == [a["body"]["after"] for a in acts[:-1]]
    with pytest.raises(BadInput, match="reason"):
        remove_entry(platform, one, listed="", service="", reason=" ", by=BY)
    with pytest.raises(BadInput, match="is over"):
        extend_entry(platform, one, listed="", service="", until=TODAY - timedelta(1), reason="x", by=BY)


def test_a_policy_opens_what_its_lists_name_until_their_end(platform: Platform) -> None:
    one = add(platform, "203.0.113.7", list="partners")
    add(platform, "198.51.100.4-198.51.100.6", list="others")
    config = platform.folder / "wardkeep.toml"
    config.write_text(config.read_text() + '\n[policy.firewall]\nallow = ["22/tcp", "list partners"]\n')
    row = control("firewall")

    def opened(day: date) -> list[str]:
        with open_platform(platform.folder) as again:
            return [str(opening) for opening in again.config.policy(row).permit_on(day).openings]

    end = TODAY + timedelta(days=90)
    assert opened(end) == ["22/tcp", f"443/tcp from 203.0.113.7/32 until {end}"]
    assert opened(end + timedelta(days=1)) == ["22/tcp"]
    before = platform.config.digest()
    with open_platform(platform.folder) as again:
        assert again.config.digest() != before
    remove_entry(platform, one, listed="", service="", reason="gone", by=BY)
    assert opened(TODAY) == ["22/tcp"]  # the list is empty now, and still there
    config.write_text(config.read_text().replace("list partners", "list strangers"))
    with pytest.raises(BadInput, match="names the list `strangers`"):
        opened(TODAY)
    config.write_text(config.read_text().replace("list strangers", "list others"))
    assert opened(TODAY)[1].startswith("443/tcp from 198.51.100.4/31, 198.51.100.6/32 until")
    allowlist_path(platform.config).write_text("[[allow]]\nnetwork = 7\n")
    with pytest.raises(BadInput, match=r"allowlist\.toml:1"):
        opened(TODAY)


def test_a_fault_of_the_file_stops_an_act_before_the_ledger(platform: Platform) -> None:
    allowlist_path(platform.config).write_text("[[allow]]\nnetwork = 7\n")
    with pytest.raises(BadInput, match=r"allowlist\.toml:1"):
        add(platform, "203.0.113.7")
    assert not [e for e in platform.ledger.read() if e["kind"] == "allowlist"]


def test_a_campaign_names_who_decided_and_what_was_left(platform: Platform) -> None:
    ids = [add(platform, f"203.0.113.{n}", owner="bob" if n else "carol", reason="a|b <b>") for n in range(4)]
    with pytest.raises(BadInput, match="no campaign was begun"):
        campaign_named(platform)
    start_campaign(platform, BY, "2026-Q4")
    with pytest.raises(BadInput, match="is open"):
        start_campaign(platform, BY, "another")
    late = add(platform, "203.0.113.99")
    sign(platform, [ids[0]], "keep", reviewer="carol", by=BY)
    until = TODAY + timedelta(days=300)
    sign(platform, ["203.0.113.1"], "extend", reviewer="dave", by=BY, until=until, says="contract to 2027")
    sign(platform, [ids[2]], "remove", reviewer="dave", by=BY, says="nobody answers")
    for said, decision, more, told in (
        ([late], "keep", {}, "came after"),
        ([ids[3]], "remove", {}, "must be said"),
        ([ids[3]], "extend", {"says": "x"}, "new last day"),
        ([ids[3]], "keep", {"until": until}, "only that"),
        ([ids[3]], "perhaps", {}, "is no decision"),
        ([ids[2]], "keep", {}, "not in the file any more"),
    ):
        with pytest.raises(BadInput, match=told):
            sign(platform, said, decision, reviewer="dave", by=BY, **more)  # type: ignore[arg-type]
    known = {e.id: e for e in declared(platform.config).entries}
    assert ids[2] not in known
    assert (known[ids[0]].reviewed, known[ids[0]].reviewer) == (TODAY, "carol")
    assert known[ids[1]].expires == until
    assert campaign_named(platform).state == "open"
    with pytest.raises(BadInput, match="say why"):
        close_campaign(platform, BY)
    close_campaign(platform, BY, says="dave is ill")
    with pytest.raises(BadInput, match="was closed"):
        sign(platform, [ids[3]], "keep", reviewer="carol", by=BY)
    told = minutes_of(platform)
    assert (told["state"], told["counts"]) == (
        "closed incomplete",
        {"kept": 1, "extended": 1, "removed": 1, "left": 1},
    )
    assert [one["id"] for one in told["left"]] == [ids[3]]
    assert {one["id"]: (one["reviewer"], one["decision"], one["own"]) for one in told["decided"]} == {
        ids[0]: ("carol", "kept", True),
        ids[1]: ("dave", "extended", False),
        ids[2]: ("dave", "removed", False),
    }
    for page in (as_html(told), as_markdown(told)):
        assert "NOT COMPLETE: closed with 1 of 4 entries undecided" in page
        assert "<b>" not in page
        assert "dave is ill" in page
        assert ids[3] not in [one["id"] for one in told["decided"]]
    indexes = [one["ledger_entry"] for one in told["decided"]]
    assert [next(platform.ledger.read(i))["body"]["act"] for i in indexes] == ["review-sign"] * 3


def test_a_campaign_is_told_by_the_ledger_alone_and_complete_only_when_nothing_is_left(
    platform: Platform,
) -> None:
    ids = [add(platform, f"203.0.113.{n}") for n in range(3)]
    start_campaign(platform, BY)
    sign(platform, ids[:2], "keep", reviewer="carol", by=BY)
    before = campaigns(platform)
    rebuild_index(platform)
    assert campaigns(platform) == before
    sign(platform, ids[2:], "keep", reviewer="carol", by=BY)
    sign(platform, ids[2:], "remove", reviewer="dave", by=BY, says="after all")
    rebuild_index(platform)
    campaign = campaign_named(platform)
    assert campaign.state == "complete"
    assert campaign.completed
    assert [one.decision for one in campaign.overruled] == ["keep"]
    assert (
        as_markdown(minutes_of(platform)).count(
            "Complete: all 3 entries decided; 2 kept, 0 extended, 1 removed"
        )
        == 1
    )
    with pytest.raises(BadInput, match="there was a campaign"):
        start_campaign(platform, BY)
    start_campaign(platform, BY, "next")
    assert len(campaign_named(platform).entries) == 2


def test_what_has_expired_cannot_be_kept(platform: Platform) -> None:
    path: Path = allowlist_path(platform.config)
    path.write_text('[[allow]]\nnetwork = "203.0.113.7"\nservice = "22/tcp"\nexpires = 2026-01-31\n')
    start_campaign(platform, BY)
    with pytest.raises(BadInput, match="has expired"):
        sign(platform, ["203.0.113.7"], "keep", reviewer="carol", by=BY)
    assert json.dumps(minutes_of(platform))
